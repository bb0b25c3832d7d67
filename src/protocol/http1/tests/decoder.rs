//! Bodies.

use super::super::{
    Body, Decoder, Fields, Framing, LAST_CHUNK, Malformed, Progress, standard_reason,
    write_chunk_size, write_last_chunk, write_request_line, write_status_line,
};

/// What a decoder made of all of its input.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) data: Vec<u8>,
    pub(super) consumed: usize,
    pub(super) end: Result<Progress, Malformed>,
    pub(super) trailers: Vec<u8>,
}

pub(super) fn decode<'a>(body: Body, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut decoder = Decoder::new(body);
    let mut outcome = Outcome {
        data: Vec::new(),
        consumed: 0,
        end: Ok(Progress::More),
        trailers: Vec::new(),
    };
    for mut piece in pieces {
        loop {
            let decoded = match decoder.decode(piece) {
                Ok(decoded) => decoded,
                Err(malformed) => {
                    assert_eq!(decoder.decode(b"\r\n"), Err(malformed));
                    assert_eq!(decoder.eof(), Err(malformed));
                    outcome.end = Err(malformed);
                    return outcome;
                }
            };
            assert!(decoded.data.end <= decoded.consumed);
            outcome.data.extend_from_slice(&piece[decoded.data]);
            outcome.consumed += decoded.consumed;
            outcome.end = Ok(decoded.state);
            piece = &piece[decoded.consumed..];
            if piece.is_empty() || decoded.state == Progress::End {
                break;
            }
            assert_ne!(decoded.consumed, 0, "input is left and nothing was taken");
        }
    }
    decoder.trailers().write_to(&mut outcome.trailers);
    outcome
}

fn whole(input: &[u8]) -> Outcome {
    decode(Body::Chunked, [input])
}

#[test]
fn a_chunked_body_is_its_chunks() {
    for (input, data, left) in [
        (&b"0\r\n\r\n"[..], &b""[..], 0),
        (b"000\r\n\r\nnext", b"", 4),
        (b"3\r\nabc\r\n0\r\n\r\n", b"abc", 0),
        (
            b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\nX",
            b"abc0123456789",
            1,
        ),
        (b"003;a=b;c=\"d\"\r\nabc\r\n0;x\r\n\r\n", b"abc", 0),
        (b"3 \t;a\r\na\r\n\r\n0\r\n\r\n", b"a\r\n", 0),
    ] {
        for pieces in [vec![input], input.chunks(1).collect()] {
            let outcome = decode(Body::Chunked, pieces);
            assert_eq!(outcome.end, Ok(Progress::End), "{input:?}");
            assert_eq!(
                (&*outcome.data, outcome.consumed),
                (data, input.len() - left)
            );
        }
    }
}

#[test]
fn malformed_chunks_are_errors() {
    use Malformed::{ChunkEnd, ChunkLine, LineEnd};
    for (input, malformed) in [
        (&b"\r\n"[..], ChunkLine),
        (b";a\r\n", ChunkLine),
        (b"g\r\n", ChunkLine),
        (b"-1\r\n", ChunkLine),
        (b"+1\r\n", ChunkLine),
        (b"0x1\r\n", ChunkLine),
        (b" 1\r\n", ChunkLine),
        (b"1 \r\n", ChunkLine),
        (b"1 1\r\n", ChunkLine),
        (b"1\0", ChunkLine),
        (b"1;a\0", ChunkLine),
        (b"1;a\x7f", ChunkLine),
        (b"00000000000000001\r\n", ChunkLine),
        (b"10000000000000000\r\n", ChunkLine),
        (b"1\na\r\n0\r\n\r\n", LineEnd),
        (b"1\ra", LineEnd),
        (b"1\r\r\n", LineEnd),
        (b"1;a\nb", LineEnd),
        (b"1;a\rb", LineEnd),
        (b"1\r\nab\r\n", ChunkEnd),
        (b"1\r\na\n0\r\n\r\n", ChunkEnd),
        (b"1\r\na\r0\r\n\r\n", ChunkEnd),
        (b"1\r\na0\r\n\r\n", ChunkEnd),
        (b"0\r\n\n", LineEnd),
        (b"0\r\nA: b\n\r\n", LineEnd),
    ] {
        for pieces in [vec![input], input.chunks(1).collect()] {
            assert_eq!(
                decode(Body::Chunked, pieces).end,
                Err(malformed),
                "{input:?}"
            );
        }
    }
}

#[test]
fn the_largest_chunk_fits_and_does_not_wrap() {
    let mut decoder = Decoder::new(Body::Chunked);
    let decoded = decoder.decode(b"ffffffffffffffff\r\nab").unwrap();
    assert_eq!((decoded.data, decoded.state), (18..20, Progress::More));
    assert_eq!(decoder.eof(), Err(Malformed::BodyCut));
}

#[test]
fn chunk_lines_and_their_extensions_are_bounded() {
    let line = |extension: usize| format!("1;{}\r\n", "a".repeat(extension));
    let longest = 256 - "1;\r\n".len();
    assert_eq!(whole(line(longest).as_bytes()).end, Ok(Progress::More));
    let too_long = Err(Malformed::ChunkLineTooLong);
    assert_eq!(whole(line(longest + 1).as_bytes()).end, too_long);

    let chunk = format!("1;{}\r\nx\r\n", "a".repeat(127));
    let chunks = (16 << 10) / 128;
    assert_eq!(
        whole(chunk.repeat(chunks).as_bytes()).end,
        Ok(Progress::More)
    );
    let plain = format!("{}1\r\nx\r\n", chunk.repeat(chunks));
    assert_eq!(whole(plain.as_bytes()).end, Ok(Progress::More));
    let too_many = Err(Malformed::ChunkExtensions);
    assert_eq!(whole(format!("{plain}1;").as_bytes()).end, too_many);
}

#[test]
fn trailers_follow_the_last_chunk() {
    let input = b"1\r\na\r\n0\r\nX-Sum: \t1 2\t \r\nContent-Length: 5\r\nhost: a\r\nE:\r\n\r\nnext";
    for pieces in [
        vec![&input[..]],
        input.chunks(1).collect(),
        input.chunks(7).collect(),
    ] {
        let outcome = decode(Body::Chunked, pieces);
        assert_eq!(outcome.end, Ok(Progress::End));
        assert_eq!(outcome.consumed, input.len() - 4);
        assert_eq!(outcome.trailers, b"X-Sum: 1 2\r\nE: \r\n");
    }
}

#[test]
fn malformed_trailers_are_errors() {
    for (trailer, malformed) in [
        ("A", Malformed::FieldName),
        ("A : b", Malformed::FieldName),
        (": b", Malformed::FieldName),
        (" A: b", Malformed::LineStart),
        ("A: b\r\n c", Malformed::LineStart),
        ("A: b\0", Malformed::FieldValue),
        ("A: b\rc", Malformed::FieldValue),
        ("\r", Malformed::FieldName),
    ] {
        let input = format!("0\r\n{trailer}\r\n\r\n");
        assert_eq!(whole(input.as_bytes()).end, Err(malformed), "{trailer:?}");
    }
}

#[test]
fn trailers_are_bounded() {
    let end = |trailers: String| whole(format!("0\r\n{trailers}\r\n").as_bytes()).end;
    let too_large = Err(Malformed::Trailers);
    assert_eq!(end("a:\r\n".repeat(64)), Ok(Progress::End));
    assert_eq!(end("a:\r\n".repeat(65)), too_large);
    let longest = (8 << 10) - "a:\r\n\r\n".len();
    assert_eq!(
        end(format!("a:{}\r\n", "b".repeat(longest))),
        Ok(Progress::End)
    );
    assert_eq!(end(format!("a:{}\r\n", "b".repeat(longest + 1))), too_large);
    // A line without an end is not waited for.
    assert_eq!(
        whole(format!("0\r\n{}", "a".repeat(8193)).as_bytes()).end,
        too_large
    );
}

#[test]
fn a_body_of_known_length_ends_there() {
    let outcome = decode(Body::Length(5), [&b"abc"[..], b"defg"]);
    assert_eq!((&*outcome.data, outcome.consumed), (&b"abcde"[..], 5));
    assert_eq!(outcome.end, Ok(Progress::End));

    for body in [Body::None, Body::Length(0)] {
        let mut decoder = Decoder::new(body);
        assert!(decoder.is_ended());
        let decoded = decoder.decode(b"next").unwrap();
        assert_eq!((decoded.consumed, decoded.state), (0, Progress::End));
        assert_eq!(decoder.eof(), Ok(()));
    }
}

#[test]
fn bytes_that_went_past_are_counted() {
    let mut decoder = Decoder::new(Body::Length(10));
    assert_eq!(decoder.decode(b"abc").unwrap().consumed, 3);
    assert_eq!(decoder.remaining(), Some(7));
    decoder.skip(6);
    assert_eq!((decoder.remaining(), decoder.is_ended()), (Some(1), false));
    decoder.skip(1);
    assert_eq!((decoder.remaining(), decoder.is_ended()), (Some(0), true));
    assert_eq!(Decoder::new(Body::Chunked).remaining(), None);
    assert_eq!(Decoder::new(Body::UntilClose).remaining(), None);
}

#[test]
fn only_a_body_without_a_length_may_end_with_the_connection() {
    let mut decoder = Decoder::new(Body::UntilClose);
    let decoded = decoder.decode(b"abc").unwrap();
    assert_eq!((decoded.data, decoded.state), (0..3, Progress::More));
    assert_eq!(decoder.eof(), Ok(()));
    assert!(decoder.is_ended());

    for (body, input) in [
        (Body::Length(5), "abcd"),
        (Body::Chunked, ""),
        (Body::Chunked, "3\r\nabc\r\n"),
        (Body::Chunked, "3\r\nabc\r\n0\r\n"),
        (Body::Chunked, "3\r\nabc\r\n0\r\n\r"),
    ] {
        let mut decoder = Decoder::new(body);
        decoder.decode(input.as_bytes()).unwrap();
        assert_eq!(decoder.eof(), Err(Malformed::BodyCut), "{input:?}");
    }
}

#[test]
fn heads_and_chunks_are_written_as_the_rfc_has_them() {
    let mut out = Vec::new();
    write_request_line(&mut out, b"GET", b"/a?b");
    write_status_line(&mut out, 404, standard_reason(404).as_bytes());
    write_status_line(&mut out, 599, standard_reason(599).as_bytes());
    for framing in [
        Framing::None,
        Framing::Length(u64::MAX),
        Framing::Chunked,
        Framing::UntilClose,
    ] {
        framing.write_to(&mut out);
    }
    for size in [0, 1, 15, 16, 26, 0xabc_def0, usize::MAX] {
        write_chunk_size(&mut out, size);
    }
    let mut trailers = Fields::default();
    write_last_chunk(&mut out, &trailers);
    assert!(out.ends_with(LAST_CHUNK));
    trailers.push(b"A", b"b");
    write_last_chunk(&mut out, &trailers);
    let expected = "GET /a?b HTTP/1.1\r\nHTTP/1.1 404 Not Found\r\nHTTP/1.1 599 \r\n\
        Content-Length: 18446744073709551615\r\nTransfer-Encoding: chunked\r\n\
        0\r\n1\r\nf\r\n10\r\n1a\r\nabcdef0\r\nffffffffffffffff\r\n\
        0\r\n\r\n0\r\nA: b\r\n\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn every_status_that_has_a_reason_is_found() {
    for (status, reason) in [
        (100, "Continue"),
        (200, "OK"),
        (504, "Gateway Timeout"),
        (299, ""),
    ] {
        assert_eq!(standard_reason(status), reason);
    }
    let found = (100..=999).filter(|&status| !standard_reason(status).is_empty());
    assert_eq!(found.count(), 61);
}
