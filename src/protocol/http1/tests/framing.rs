//! How requests say where they end, and what becomes of their connections.

use super::super::{Body, Malformed, Persistence, Refusal};
use super::request::{parse, text, with};

#[test]
fn a_length_is_one_number_or_refused() {
    use Malformed::{ContentLength, ContentLengths};
    for (value, expected) in [
        ("0", Ok(Body::Length(0))),
        (" 007\t", Ok(Body::Length(7))),
        ("18446744073709551615", Ok(Body::Length(u64::MAX))),
        ("18446744073709551616", Err(ContentLength)),
        ("99999999999999999999999", Err(ContentLength)),
        ("", Err(ContentLength)),
        ("+5", Err(ContentLength)),
        ("-5", Err(ContentLength)),
        ("5 5", Err(ContentLength)),
        ("0x5", Err(ContentLength)),
        ("5.0", Err(ContentLength)),
        ("5;", Err(ContentLength)),
        ("5, 5", Err(ContentLengths)),
        ("5, 6", Err(ContentLengths)),
        ("5,", Err(ContentLengths)),
        ("5\r\ncontent-length: 5", Err(ContentLengths)),
        ("5\r\nContent-Length: 6", Err(ContentLengths)),
    ] {
        let answer = with(&format!("content-LENGTH: {value}\r\n"));
        let answer = answer.map(|request| request.body);
        assert_eq!(answer, expected.map_err(Refusal::from), "{value:?}");
    }
    assert_eq!(with("").unwrap().body, Body::None);
}

#[test]
fn a_transfer_coding_is_one_chunked_or_refused() {
    use Malformed::{TransferEncoding, UnknownTransferCoding};
    for (value, expected) in [
        ("chunked", Ok(Body::Chunked)),
        ("\tCHUNKED ", Ok(Body::Chunked)),
        ("gzip", Err(UnknownTransferCoding)),
        ("xchunked", Err(UnknownTransferCoding)),
        ("identity", Err(UnknownTransferCoding)),
        ("gzip, chunked", Err(UnknownTransferCoding)),
        (
            "gzip\r\nTransfer-Encoding: chunked",
            Err(UnknownTransferCoding),
        ),
        ("chunked, gzip", Err(TransferEncoding)),
        ("chunked, chunked", Err(TransferEncoding)),
        (
            "chunked\r\nTransfer-Encoding: chunked",
            Err(TransferEncoding),
        ),
        ("", Err(TransferEncoding)),
        (",chunked", Err(TransferEncoding)),
        ("chunked,", Err(TransferEncoding)),
        ("chunked;q=1", Err(TransferEncoding)),
        ("\"chunked\"", Err(TransferEncoding)),
        ("chunked x", Err(TransferEncoding)),
    ] {
        let answer = with(&format!("TRANSFER-encoding: {value}\r\n"));
        let answer = answer.map(|request| request.body);
        assert_eq!(answer, expected.map_err(Refusal::from), "{value:?}");
    }
    assert_eq!(Refusal::from(UnknownTransferCoding).status(), 501);
    assert_eq!(Refusal::from(TransferEncoding).status(), 400);
    let old = parse("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").map(|_| ());
    assert_eq!(old, Err(Malformed::TransferEncodingInHttp10.into()));
}

#[test]
fn a_body_is_not_framed_in_two_ways() {
    let length = "Content-Length: 0\r\n";
    let coding = "Transfer-Encoding: chunked\r\n";
    for fields in [[length, coding], [coding, length]] {
        let answer = with(&fields.concat()).map(|_| ());
        let refusal = Malformed::ContentLengthBesideTransferEncoding;
        assert_eq!(answer, Err(refusal.into()), "{fields:?}");
    }
}

#[test]
fn connections_persist_as_version_and_options_say() {
    use Persistence::{Close, Keep};
    for (version, fields, expected) in [
        ("1.1", "", Keep),
        ("1.1", "Connection: CLOSE\r\n", Close),
        ("1.1", "Connection: x, close\r\n", Close),
        ("1.1", "Connection: x\r\nConnection: close\r\n", Close),
        ("1.1", "Connection: closed, x-close\r\n", Keep),
        ("1.1", "Connection: keep-alive, close\r\n", Close),
        ("1.0", "", Close),
        ("1.0", "Connection: Keep-Alive\r\n", Keep),
        ("1.0", "Connection: keep-alive, close\r\n", Close),
        ("1.0", "Keep-Alive: 5\r\n", Close),
    ] {
        let request = parse(&format!("GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n")).unwrap();
        assert_eq!(request.persistence, expected, "{version} {fields:?}");
    }
}

#[test]
fn only_http_1_1_upgrades() {
    const NAMED: &str = "Connection: x, Upgrade\r\n";
    for (version, fields, expected) in [
        ("1.1", &[NAMED, "Upgrade: h\r\n"][..], Some("h")),
        ("1.1", &["Upgrade: h\r\n"], None),
        ("1.1", &[NAMED], None),
        ("1.1", &[NAMED, "Upgrade: h\r\n", "Upgrade: i\r\n"], None),
        ("1.0", &[NAMED, "Upgrade: h\r\n"], None),
    ] {
        let fields = fields.concat();
        let request = parse(&format!("GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n")).unwrap();
        assert_eq!(text(request.upgrade()), expected, "{version} {fields:?}");
    }
}

#[test]
fn only_http_1_1_with_a_body_waits_to_continue() {
    const CONTINUE: &str = "Expect: 100-CONTINUE\r\n";
    for (version, expect, framing, expected) in [
        ("1.1", CONTINUE, "Content-Length: 1\r\n", true),
        ("1.1", CONTINUE, "Transfer-Encoding: chunked\r\n", true),
        ("1.1", CONTINUE, "Content-Length: 0\r\n", false),
        ("1.1", CONTINUE, "", false),
        ("1.1", "Expect: 200-ok\r\n", "Content-Length: 1\r\n", false),
        ("1.1", "", "Content-Length: 1\r\n", false),
        ("1.0", CONTINUE, "Content-Length: 1\r\n", false),
    ] {
        let head = format!("PUT / HTTP/{version}\r\nHost: a\r\n{expect}{framing}\r\n");
        assert_eq!(
            parse(&head).unwrap().expects_continue(),
            expected,
            "{head:?}"
        );
    }
}
