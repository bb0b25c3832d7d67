//! Heads of requests.

use super::super::{
    Body, Malformed, Method, Parsed, Persistence, Refusal, Request, TargetForm, Version,
};
use super::{HeadLimits, LIMITS};

pub(super) fn parse(head: &str) -> Result<Request, Refusal> {
    parse_bytes(head.as_bytes())
}

fn parse_bytes(head: &[u8]) -> Result<Request, Refusal> {
    let mut request = Request::default();
    match request.parse(head, &LIMITS)? {
        Parsed::Whole(length) => {
            assert_eq!(length, request.head_bytes());
            Ok(request)
        }
        Parsed::Partial => panic!("{:?} has no end", String::from_utf8_lossy(head)),
    }
}

/// The answer to a request with these field lines besides `Host`.
pub(super) fn with(fields: &str) -> Result<Request, Refusal> {
    parse(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
}

pub(super) fn text(bytes: Option<&[u8]>) -> Option<&str> {
    bytes.map(|bytes| std::str::from_utf8(bytes).unwrap())
}

const WHOLE: &str = "POST /a/b?c=d HTTP/1.1\r\nHost: example.org:80\r\nUser-Agent:\tx y \r\nEmpty:\r\n\
    Blank: \t \r\nConnection: Upgrade, x\r\nUpgrade: websocket\r\nExpect: 100-Continue\r\n\
    Content-Length: 12\r\n\r\n";

fn assert_is_whole(request: &Request) {
    assert_eq!(request.method, Method::Post);
    assert_eq!(request.method_text(), b"POST");
    assert_eq!(request.version, Version::Http11);
    assert_eq!(request.target(), b"/a/b?c=d");
    assert_eq!(request.path(), b"/a/b");
    assert_eq!(text(request.query()), Some("c=d"));
    assert_eq!(text(request.host()), Some("example.org:80"));
    assert_eq!(request.body, Body::Length(12));
    assert_eq!(request.persistence, Persistence::Keep);
    assert_eq!(text(request.upgrade()), Some("websocket"));
    assert!(request.expects_continue());
    let fields: Vec<_> = request.fields.iter().take(4).collect();
    assert_eq!(fields[0], (&b"Host"[..], &b"example.org:80"[..]));
    assert_eq!(fields[1], (&b"User-Agent"[..], &b"x y"[..]));
    assert_eq!(fields[2], (&b"Empty"[..], &b""[..]));
    assert_eq!(fields[3], (&b"Blank"[..], &b""[..]));
    assert_eq!(request.fields.len(), 8);
}

#[test]
fn a_head_is_partial_until_its_last_byte() {
    let mut request = Request::default();
    for end in 0..WHOLE.len() {
        let part = &WHOLE.as_bytes()[..end];
        assert_eq!(request.parse(part, &LIMITS), Ok(Parsed::Partial), "{end}");
    }
    let pipelined = format!("{WHOLE}POST");
    let whole = Ok(Parsed::Whole(WHOLE.len()));
    assert_eq!(request.parse(pipelined.as_bytes(), &LIMITS), whole);
    assert_is_whole(&request);
}

#[test]
fn nothing_of_an_earlier_head_is_left() {
    let mut request = parse(WHOLE).unwrap();
    let next = b"GET / HTTP/1.0\r\n\r\n";
    assert_eq!(request.parse(next, &LIMITS), Ok(Parsed::Whole(next.len())));
    assert_eq!(
        (request.method, request.version),
        (Method::Get, Version::Http10)
    );
    assert_eq!(
        (request.body, request.persistence),
        (Body::None, Persistence::Close)
    );
    assert_eq!(
        (request.host(), request.upgrade(), request.query()),
        (None, None, None)
    );
    assert!(request.fields.is_empty() && !request.expects_continue());
}

#[test]
fn what_was_received_outlives_changes_of_the_fields() {
    let mut request = parse(WHOLE).unwrap();
    request.fields.strip_hop_by_hop();
    request.fields.clear();
    assert_eq!(request.target(), b"/a/b?c=d");
    assert_eq!(text(request.host()), Some("example.org:80"));
    assert_eq!(text(request.upgrade()), Some("websocket"));
}

#[test]
fn targets_have_four_forms() {
    use TargetForm::{Absolute, Asterisk, Authority, Origin};
    for (line, form, path, query, scheme, host) in [
        ("GET /", Origin, "/", None, None, "a"),
        ("GET /?", Origin, "/", Some(""), None, "a"),
        (
            "GET //x/%20;p?y?z=/",
            Origin,
            "//x/%20;p",
            Some("y?z=/"),
            None,
            "a",
        ),
        ("GET http://b", Absolute, "/", None, Some("http"), "b"),
        (
            "GET http://b?q",
            Absolute,
            "/",
            Some("q"),
            Some("http"),
            "b",
        ),
        (
            "GET HTTPS://b:8/c?q",
            Absolute,
            "/c",
            Some("q"),
            Some("HTTPS"),
            "b:8",
        ),
        (
            "GET http://[::1]:8/",
            Absolute,
            "/",
            None,
            Some("http"),
            "[::1]:8",
        ),
        ("OPTIONS *", Asterisk, "*", None, None, "a"),
        ("OPTIONS /", Origin, "/", None, None, "a"),
        ("CONNECT b:443", Authority, "", None, None, "b:443"),
    ] {
        let request = parse(&format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n")).expect(line);
        assert_eq!(request.target_form(), form, "{line}");
        assert_eq!(text(Some(request.path())), Some(path), "{line}");
        assert_eq!(text(request.query()), query, "{line}");
        assert_eq!(text(request.scheme()), scheme, "{line}");
        assert_eq!(text(request.host()), Some(host), "{line}");
    }
}

#[test]
fn request_lines_are_refused() {
    for (line, refusal) in [
        ("GET *", Refusal::AsteriskTarget),
        ("CONNECT /", Refusal::ConnectTarget),
        ("CONNECT b", Refusal::ConnectTarget),
        ("CONNECT b:", Refusal::ConnectTarget),
        ("CONNECT :443", Refusal::ConnectTarget),
        ("CONNECT http://b:443/", Refusal::ConnectTarget),
        ("CONNECT u@b:443", Refusal::ConnectTarget),
        ("GET b:443", Refusal::Target),
        ("GET b", Refusal::Target),
        ("GET ?q", Refusal::Target),
        ("GET http:/b", Refusal::Target),
        ("GET http://", Refusal::Target),
        ("GET http:///c", Refusal::Target),
        ("GET http://u@b/", Refusal::Target),
        ("GET http://b,c/", Refusal::Target),
        ("GET 1http://b/", Refusal::Target),
        ("GET ://b/", Refusal::Target),
        ("GET /#f", Refusal::Target),
        ("GET /?q#f", Refusal::Target),
        ("GET http://b#f", Refusal::Target),
        ("GET /\u{e9}", Refusal::Target),
        ("GET /\x7f", Refusal::Target),
        ("GET /\t", Refusal::Target),
        ("GET /\0", Refusal::Target),
        ("GET /\rb", Refusal::Target),
        ("GET  /", Refusal::Target),
        ("GET / ", Refusal::RequestLine),
        ("GET /a b", Refusal::RequestLine),
        ("GET\t/", Refusal::Method),
        ("G(T /", Refusal::Method),
        (" GET /", Refusal::Method),
        ("\0GET /", Refusal::Method),
        ("\u{16}\u{3}\u{1} /", Refusal::Method),
    ] {
        let answer = parse(&format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(answer.map(|_| ()), Err(refusal), "{line:?}");
        assert_eq!(refusal.status(), 400);
    }
}

#[test]
fn versions_are_refused() {
    for (version, status) in [
        ("HTTP/2.0", 505),
        ("HTTP/1.2", 505),
        ("HTTP/0.9", 505),
        ("HTTP/9.9", 505),
        ("HTTP/1.10", 400),
        ("HTTP/1", 400),
        ("HTTP/2", 400),
        ("HTTP/1.x", 400),
        ("http/1.1", 400),
        ("HTTP/1.1 ", 400),
        ("HTTP/1,1", 400),
        ("HTTQ/1.1", 400),
        ("", 400),
    ] {
        let head = format!("GET / {version}\r\nHost: a\r\n\r\n");
        assert_eq!(parse(&head).unwrap_err().status(), status, "{version:?}");
        // However little has come, no other answer is given.
        for end in 0..head.len() {
            match Request::default().parse(&head.as_bytes()[..end], &LIMITS) {
                Ok(parsed) => assert_eq!(parsed, Parsed::Partial),
                Err(refusal) => assert_eq!(refusal.status(), status, "{version:?}, {end}"),
            }
        }
    }
    assert_eq!(parse("GET /\r\nHost: a\r\n\r\n").unwrap_err().status(), 400);
}

#[test]
fn a_line_ends_in_cr_lf_and_in_nothing_else() {
    for head in [
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX:\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: \t\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\n\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\rX\r\n\r\n",
        // Of the first part this is already known.
        "GET / HTTP/1.1\nHost: a",
    ] {
        let mut request = Request::default();
        let answer = request.parse(head.as_bytes(), &LIMITS);
        assert_eq!(answer, Err(Malformed::LineEnd.into()), "{head:?}");
    }
    for head in [
        "GET / HTTP/1.1\rHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost\r: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
    ] {
        assert_eq!(parse(head).unwrap_err().status(), 400, "{head:?}");
    }
}

#[test]
fn two_empty_lines_are_overlooked() {
    let head = "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(parse(head).unwrap().head_bytes(), head.len());
    let refused = parse(&format!("\r\n{head}")).map(|_| ());
    assert_eq!(refused, Err(Refusal::EmptyLines));
}

#[test]
fn field_lines_are_refused() {
    use Malformed::{FieldName, FieldValue, LineStart};
    for (line, malformed) in [
        (": b", FieldName),
        ("X : b", FieldName),
        ("X\t: b", FieldName),
        ("X", FieldName),
        ("X Y: b", FieldName),
        ("X(: b", FieldName),
        ("X\0: b", FieldName),
        ("X\u{e9}: b", FieldName),
        (" X: b", LineStart),
        ("\tX: b", LineStart),
        ("X: b\r\n c", LineStart),
        ("X: b\r\n\tc", LineStart),
        ("X: \0", FieldValue),
        ("X: b\0c", FieldValue),
        ("X: \x0b", FieldValue),
        ("X: b\x0cc", FieldValue),
        ("X: \x7f", FieldValue),
        ("X: \x1b[0m", FieldValue),
    ] {
        let answer = with(&format!("{line}\r\n")).map(|_| ());
        assert_eq!(answer, Err(malformed.into()), "{line:?}");
    }
    let first = parse("GET / HTTP/1.1\r\n Host: a\r\n\r\n").map(|_| ());
    assert_eq!(first, Err(LineStart.into()));
    let above_ascii = parse_bytes(b"GET / HTTP/1.1\r\nHost: a\r\nX: \xff\x80b\r\n\r\n").unwrap();
    assert_eq!(above_ascii.fields.get("x"), Some(&b"\xff\x80b"[..]));
}

#[test]
fn a_host_is_named_once_and_well() {
    for (head, expected) in [
        ("GET / HTTP/1.1\r\n\r\n", Err(Refusal::NoHost)),
        ("GET http://b/ HTTP/1.1\r\n\r\n", Err(Refusal::NoHost)),
        ("GET / HTTP/1.0\r\n\r\n", Ok(None)),
        ("GET http://b/ HTTP/1.0\r\n\r\n", Ok(Some("b"))),
        ("GET / HTTP/1.0\r\nHost: a\r\n\r\n", Ok(Some("a"))),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", Ok(Some(""))),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n",
            Err(Refusal::Hosts),
        ),
        (
            "GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n",
            Err(Refusal::Hosts),
        ),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Err(Refusal::Host)),
        ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", Err(Refusal::Host)),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Err(Refusal::Host)),
        ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", Err(Refusal::Host)),
        ("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", Err(Refusal::Host)),
        (
            "GET http://b/ HTTP/1.1\r\nHost: a/b\r\n\r\n",
            Err(Refusal::Host),
        ),
    ] {
        let answer = parse(head);
        let answer = answer.as_ref().map(|request| text(request.host()));
        assert_eq!(answer.map_err(|&refusal| refusal), expected, "{head:?}");
    }
}

#[test]
fn limits_are_exact_and_known_as_soon_as_they_are_passed() {
    let head = WHOLE.as_bytes();
    let answer = |head: &[u8], bytes, fields| {
        let limits = HeadLimits { bytes, fields };
        Request::default().parse(head, &limits)
    };
    assert_eq!(answer(head, head.len(), 8), Ok(Parsed::Whole(head.len())));

    let too_large = Err(Malformed::HeadTooLarge.into());
    assert_eq!(answer(head, head.len() - 1, 8), too_large);
    assert_eq!(answer(&head[..100], 100, 8), too_large);
    assert_eq!(answer(&head[..99], 100, 8), Ok(Parsed::Partial));
    assert_eq!(
        answer(head, head.len(), 7),
        Err(Malformed::TooManyFields.into())
    );
    assert_eq!(answer(head, 10, 8), Err(Refusal::TargetTooLong));
    assert_eq!(answer(&head[..10], 10, 8), Err(Refusal::TargetTooLong));

    assert_eq!(Refusal::from(Malformed::HeadTooLarge).status(), 431);
    assert_eq!(Refusal::from(Malformed::TooManyFields).status(), 431);
    assert_eq!(Refusal::TargetTooLong.status(), 414);
}

#[test]
fn a_limit_of_fields_over_the_most_is_the_most() {
    let limits = HeadLimits {
        bytes: usize::MAX,
        fields: usize::MAX,
    };
    let head = |fields| format!("GET / HTTP/1.0\r\n{}\r\n", "a:\r\n".repeat(fields));
    let answer = |fields| Request::default().parse(head(fields).as_bytes(), &limits);
    assert!(matches!(
        answer(super::super::MAX_FIELDS),
        Ok(Parsed::Whole(_))
    ));
    let too_many = Err(Malformed::TooManyFields.into());
    assert_eq!(answer(super::super::MAX_FIELDS + 1), too_many);
}
