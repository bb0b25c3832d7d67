//! What holds for all input.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{
    Asked, Body, Decoder, Fields, Framing, Parsed, Progress, Request, Response, write_chunk_size,
    write_last_chunk, write_request_line,
};
use super::LIMITS;
use super::decoder::decode;

/// A line of a head, mostly well-formed.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[A-Za-z-]{1,12}:[ \t]{0,2}[!-~]{0,12}",
        1 => Just("Content-Length: 5".to_owned()),
        1 => Just("Transfer-Encoding: chunked".to_owned()),
        1 => "(Host|Connection|Content-Length|Transfer-Encoding|Upgrade|Expect) ?: ?[ -~]{0,8}",
        1 => "[ -~\t\r\n]{0,12}",
    ]
}

fn head() -> impl Strategy<Value = String> {
    let first = prop_oneof![
        6 => "(GET|POST|PUT|x) /[!-~]{0,12} HTTP/1\\.[01]",
        1 => "(GET|CONNECT|OPTIONS) (\\*|a:1|https?://[!-~]{1,9}) HTTP/[0-9]\\.[0-9]",
        1 => "[ -~]{0,20}",
    ];
    let end = prop_oneof![12 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r")];
    (first, vec((line(), end), 0..6), any::<bool>()).prop_map(|(first, lines, has_host)| {
        let mut head = format!("{first}\r\n{}", if has_host { "Host: a\r\n" } else { "" });
        for (line, end) in lines {
            head += &line;
            head += end;
        }
        head + "\r\n"
    })
}

/// A request as we send it on.
fn written(request: &Request) -> Vec<u8> {
    let mut out = Vec::new();
    write_request_line(&mut out, request.method_text(), request.target());
    let mut fields = request.fields.clone();
    fields.strip_framing();
    fields.write_to(&mut out);
    Framing::from(request.body).write_to(&mut out);
    out.extend_from_slice(b"\r\n");
    out
}

fn pairs(fields: &Fields) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pairs = fields.iter();
    pairs
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect()
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(input in vec(any::<u8>(), 0..300)) {
        let _ = Request::default().parse(&input, &LIMITS);
        for to in [Asked::Head, Asked::Connect, Asked::Other] {
            let _ = Response::default().parse(&input, &LIMITS, to);
        }
        let _ = decode(Body::Chunked, [&*input]);
        let chunked = [b"1\r\na\r\n0\r\n", &*input].concat();
        let _ = decode(Body::Chunked, [&*chunked]);
    }

    #[test]
    fn a_head_that_comes_in_parts_is_the_same_head(head in head()) {
        let mut whole = Request::default();
        let answer = whole.parse(head.as_bytes(), &LIMITS);
        let mut part = Request::default();
        for end in 0..head.len() {
            match part.parse(&head.as_bytes()[..end], &LIMITS) {
                Ok(Parsed::Partial) => {}
                Ok(Parsed::Whole(length)) => {
                    prop_assert_eq!(answer, Ok(Parsed::Whole(length)));
                    prop_assert_eq!(pairs(&part.fields), pairs(&whole.fields));
                    break;
                }
                Err(_) => {
                    prop_assert!(answer.is_err());
                    break;
                }
            }
        }
    }

    #[test]
    fn what_is_accepted_is_read_alike_by_us_and_by_others(head in head()) {
        let mut request = Request::default();
        // Refused ones are not counted as cases: were they most, the property would fail.
        prop_assume!(request.parse(head.as_bytes(), &LIMITS).is_ok_and(|parsed| parsed != Parsed::Partial));
        let out = written(&request);

        let mut again = Request::default();
        let parsed = again.parse(&out, &LIMITS);
        if request.fields.get("host").is_some() {
            prop_assert_eq!(parsed, Ok(Parsed::Whole(out.len())));
            prop_assert_eq!(again.method_text(), request.method_text());
            prop_assert_eq!(again.target(), request.target());
            prop_assert_eq!(again.host(), request.host());
            prop_assert_eq!(again.body, request.body);
            prop_assert_eq!(again.fields.len(), request.fields.len());
        }

        let mut rows = [httparse::EMPTY_HEADER; 64];
        let mut other = httparse::Request::new(&mut rows);
        prop_assert_eq!(other.parse(&out), Ok(httparse::Status::Complete(out.len())));
        prop_assert_eq!(other.headers.len(), request.fields.len());
        let framing = other.headers.iter().filter(|header| {
            ["content-length", "transfer-encoding"].contains(&&*header.name.to_lowercase())
        });
        let declared = usize::from(request.body != Body::None);
        prop_assert_eq!(framing.count(), declared);
    }

    #[test]
    fn a_chunked_body_is_read_back_in_any_pieces(
        chunks in vec(vec(any::<u8>(), 1..40), 0..6),
        trailers in vec(("[a-z]{3,9}-x", "[!-~]{0,9}"), 0..4),
        cuts in vec(1..20_usize, 1..8),
    ) {
        let mut wire = Vec::new();
        for chunk in &chunks {
            write_chunk_size(&mut wire, chunk.len());
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        let mut fields = Fields::default();
        for (name, value) in &trailers {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        write_last_chunk(&mut wire, &fields);
        let length = wire.len();
        wire.extend_from_slice(b"next");

        let outcome = decode(Body::Chunked, pieces(&wire, &cuts));
        prop_assert_eq!(outcome.end, Ok(Progress::End));
        prop_assert_eq!(outcome.consumed, length);
        prop_assert_eq!(outcome.data, chunks.concat());
        let mut expected = Vec::new();
        fields.write_to(&mut expected);
        prop_assert_eq!(outcome.trailers, expected);
    }

    #[test]
    fn however_chunks_are_cut_the_outcome_is_the_same(
        wire in "([0-3](;[a-z]{0,3})?\r\n[a-z]{0,3}\r\n){0,4}(0\r\n([a-z]:\r\n){0,2}\r\n)?[ -~\r\n]{0,5}",
        cuts in vec(1..9_usize, 1..8),
    ) {
        let whole = decode(Body::Chunked, [wire.as_bytes()]);
        let cut = decode(Body::Chunked, pieces(wire.as_bytes(), &cuts));
        prop_assert_eq!(cut.end, whole.end);
        if whole.end.is_ok() {
            prop_assert_eq!(cut.consumed, whole.consumed);
            prop_assert_eq!(cut.data, whole.data);
            prop_assert_eq!(cut.trailers, whole.trailers);
        }
    }

    #[test]
    fn a_length_is_kept_to(length in 0..50_u64, input in vec(any::<u8>(), 0..60)) {
        let mut decoder = Decoder::new(Body::Length(length));
        let decoded = decoder.decode(&input).unwrap();
        let expected = input.len().min(usize::try_from(length).unwrap());
        prop_assert_eq!(decoded.consumed, expected);
        prop_assert_eq!(decoder.remaining(), Some(length - expected as u64));
    }
}

/// The input in pieces whose lengths are `cuts`, again and again.
fn pieces<'a>(mut input: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for &cut in cuts.iter().cycle() {
        if input.is_empty() {
            break;
        }
        let (piece, rest) = input.split_at(cut.min(input.len()));
        pieces.push(piece);
        input = rest;
    }
    pieces
}
