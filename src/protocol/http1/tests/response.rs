//! Heads of responses.

use super::super::{Asked, Body, Malformed, Parsed, Persistence, Response, Version};
use super::{HeadLimits, LIMITS};

fn parse(head: &str, to: Asked) -> Result<Response, Malformed> {
    let mut response = Response::default();
    match response.parse(head.as_bytes(), &LIMITS, to)? {
        Parsed::Whole(length) => {
            assert_eq!(length, response.head_bytes());
            Ok(response)
        }
        Parsed::Partial => panic!("{head:?} has no end"),
    }
}

#[test]
fn a_head_is_partial_until_its_last_byte() {
    const WHOLE: &[u8] = b"HTTP/1.1 404 Not  Found\xff\r\nServer: x\r\nContent-Length: 3\r\n\r\n";
    let mut response = Response::default();
    for end in 0..WHOLE.len() {
        let answer = response.parse(&WHOLE[..end], &LIMITS, Asked::Other);
        assert_eq!(answer, Ok(Parsed::Partial), "{end}");
    }
    let answer = response.parse(&[WHOLE, b"abc"].concat(), &LIMITS, Asked::Other);
    assert_eq!(answer, Ok(Parsed::Whole(WHOLE.len())));
    assert_eq!((response.status, response.version), (404, Version::Http11));
    assert_eq!(response.reason(), b"Not  Found\xff");
    assert_eq!(response.fields.get("server"), Some(&b"x"[..]));
    assert_eq!(response.body, Body::Length(3));
    assert_eq!(response.persistence, Persistence::Keep);

    let next = response.parse(b"HTTP/1.0 200\r\n\r\n", &LIMITS, Asked::Other);
    assert_eq!(next, Ok(Parsed::Whole(16)));
    assert_eq!((response.status, response.reason()), (200, &b""[..]));
    assert_eq!(
        (response.version, response.content_length()),
        (Version::Http10, None)
    );
    assert!(response.fields.is_empty());
}

#[test]
fn whether_a_body_follows_is_for_request_and_status_to_say() {
    use Asked::{Connect, Head, Other};
    const LENGTH: &str = "Content-Length: 5\r\n";
    const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
    for (status, fields, to, expected) in [
        (200, LENGTH, Other, Body::Length(5)),
        (200, CHUNKED, Other, Body::Chunked),
        (200, "", Other, Body::UntilClose),
        (200, LENGTH, Head, Body::None),
        (200, CHUNKED, Head, Body::None),
        (200, "", Head, Body::None),
        (200, LENGTH, Connect, Body::None),
        (299, "", Connect, Body::None),
        (407, LENGTH, Connect, Body::Length(5)),
        (502, "", Connect, Body::UntilClose),
        (100, "", Other, Body::None),
        (101, "", Other, Body::None),
        (103, LENGTH, Other, Body::None),
        (204, LENGTH, Other, Body::None),
        (304, LENGTH, Other, Body::None),
        (304, CHUNKED, Other, Body::None),
        (999, "", Other, Body::UntilClose),
    ] {
        let response = parse(&format!("HTTP/1.1 {status} x\r\n{fields}\r\n"), to).unwrap();
        assert_eq!(response.body, expected, "{status} {fields:?} {to:?}");
        let told = (fields == LENGTH).then_some(5);
        assert_eq!(response.content_length(), told);
    }
}

#[test]
fn a_connection_persists_if_the_end_of_the_body_is_certain() {
    use Persistence::{Close, Keep};
    for (line, fields, expected) in [
        ("1.1 200", "Content-Length: 5\r\n", Keep),
        (
            "1.1 200",
            "Content-Length: 5\r\nConnection: close\r\n",
            Close,
        ),
        ("1.1 200", "", Close),
        ("1.1 200", "Connection: keep-alive\r\n", Close),
        ("1.0 200", "Content-Length: 5\r\n", Close),
        (
            "1.0 200",
            "Content-Length: 5\r\nConnection: keep-alive\r\n",
            Keep,
        ),
        ("1.1 100", "", Keep),
        ("1.1 100", "Content-Length: 5\r\n", Close),
        ("1.1 204", "", Keep),
        ("1.1 204", "Content-Length: 0\r\n", Keep),
        ("1.1 204", "Content-Length: 5\r\n", Close),
        ("1.1 204", "Transfer-Encoding: chunked\r\n", Close),
        ("1.1 304", "Content-Length: 5\r\n", Keep),
    ] {
        let head = format!("HTTP/{line} x\r\n{fields}\r\n");
        let response = parse(&head, Asked::Other).unwrap();
        assert_eq!(response.persistence, expected, "{head:?}");
        let says_close = head.contains("Connection: close");
        assert_eq!(response.says_close, says_close, "{head:?}");
    }
}

#[test]
fn malformed_status_lines_are_errors() {
    use Malformed::{LineEnd, StatusLine, Version};
    for (line, malformed) in [
        ("HTTP/2.0 200 x\r\n", Version),
        ("HTTP/1.2 200 x\r\n", Version),
        ("http/1.1 200 x\r\n", Version),
        ("<html>", Version),
        (" HTTP/1.1 200 x\r\n", Version),
        ("\r\nHTTP/1.1 200 x\r\n", StatusLine),
        ("\nHTTP/1.1 200 x\r\n", StatusLine),
        ("HTTP/1.1  200 x\r\n", StatusLine),
        ("HTTP/1.1 20 x\r\n", StatusLine),
        ("HTTP/1.1 2000 x\r\n", StatusLine),
        ("HTTP/1.1 2x0 x\r\n", StatusLine),
        ("HTTP/1.1 099 x\r\n", StatusLine),
        ("HTTP/1.1 000 x\r\n", StatusLine),
        ("HTTP/1.1 200\tx\r\n", StatusLine),
        ("HTTP/1.1 200 a\0\r\n", StatusLine),
        ("HTTP/1.1 200 a\rb\r\n", StatusLine),
        ("HTTP/1.1 200 x\n", LineEnd),
        ("HTTP/1.1 200\n", LineEnd),
    ] {
        let head = format!("{line}\r\n");
        let answer = Response::default().parse(head.as_bytes(), &LIMITS, Asked::Other);
        assert_eq!(answer, Err(malformed), "{head:?}");
    }
}

#[test]
fn malformed_field_lines_are_errors() {
    use Malformed::{
        ContentLength, ContentLengthBesideTransferEncoding, ContentLengths, FieldName, FieldValue,
        LineEnd, LineStart, TransferEncoding, UnknownTransferCoding,
    };
    const BOTH: &str = "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n";
    for (lines, malformed) in [
        ("A: b\n", LineEnd),
        ("\n", LineEnd),
        ("A: b\r\n c\r\n", LineStart),
        ("A : b\r\n", FieldName),
        ("A: \0\r\n", FieldValue),
        ("Content-Length: +1\r\n", ContentLength),
        ("Content-Length: 1, 1\r\n", ContentLengths),
        (BOTH, ContentLengthBesideTransferEncoding),
        ("Transfer-Encoding: chunked, gzip\r\n", TransferEncoding),
        (
            "Transfer-Encoding: gzip, chunked\r\n",
            UnknownTransferCoding,
        ),
    ] {
        let head = format!("HTTP/1.1 200 x\r\n{lines}\r\n");
        let answer = Response::default().parse(head.as_bytes(), &LIMITS, Asked::Other);
        assert_eq!(answer, Err(malformed), "{head:?}");
    }
    let old = "HTTP/1.0 200 x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = parse(old, Asked::Other).map(|_| ());
    assert_eq!(answer, Err(Malformed::TransferEncodingInHttp10));
}

#[test]
fn limits_are_exact() {
    let head = b"HTTP/1.1 200 x\r\nA: b\r\nC: d\r\n\r\n";
    let answer = |head: &[u8], bytes, fields| {
        let limits = HeadLimits { bytes, fields };
        Response::default().parse(head, &limits, Asked::Other)
    };
    assert_eq!(answer(head, head.len(), 2), Ok(Parsed::Whole(head.len())));
    assert_eq!(
        answer(head, head.len() - 1, 2),
        Err(Malformed::HeadTooLarge)
    );
    assert_eq!(answer(&head[..20], 20, 2), Err(Malformed::HeadTooLarge));
    assert_eq!(answer(head, head.len(), 1), Err(Malformed::TooManyFields));
}
