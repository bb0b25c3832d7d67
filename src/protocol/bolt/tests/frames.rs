//! What bytes are which frame, and which are none.

use std::time::Duration;

use super::super::super::rpc::{Asker, Codec, Decoded, Flaw, Kind, Malformed, Timeout};
use super::super::{
    Answer, Checksum, Parts, REQUEST_CLASS, RESPONSE_CLASS, Request, Response, V1, V2, Version,
};
use super::{CHECKED_V2, MOST, REQUEST_V1, block, decoded, hex};

/// A request of version 1 for a table.
fn request(class: &'static [u8], headers: &[u8], content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Request {
        version: Version::V1,
        checksum: Checksum::None,
        id: 1,
        timeout: None,
        answer: Answer::Wanted,
        parts: Parts {
            class,
            headers,
            content,
        },
    }
    .write(&mut out)
    .unwrap();
    out
}

#[test]
fn a_request_is_what_the_specification_says() {
    let mut out = Vec::new();
    let request = Request {
        version: Version::V1,
        checksum: Checksum::None,
        id: 1,
        timeout: Some(Duration::from_secs(3)),
        answer: Answer::Wanted,
        parts: Parts {
            class: REQUEST_CLASS.as_bytes(),
            headers: &block(&[("service", "testSofa")]),
            content: b"hi",
        },
    };
    request.write(&mut out).unwrap();
    assert_eq!(out, hex(REQUEST_V1));

    let frame = decoded(&out);
    assert_eq!(frame.kind, Kind::Request);
    assert_eq!((frame.asker.id, frame.asker.dialect), (1, 1));
    assert_eq!(frame.timeout, Timeout::After(Duration::from_secs(3)));
    assert_eq!(frame.length, 91);
    assert_eq!(Parts::of(&frame, &out), request.parts);
    let service = V1.header(&frame, &out, b"service");
    assert_eq!(service, Ok(Some(b"testSofa".as_slice())));
    assert_eq!(V1.header(&frame, &out, b"Service"), Ok(None));
}

#[test]
fn a_response_is_what_the_specification_says() {
    let mut out = Vec::new();
    let response = Response {
        version: Version::V1,
        checksum: Checksum::None,
        id: 1,
        status: 0,
        parts: Parts {
            class: RESPONSE_CLASS.as_bytes(),
            headers: b"",
            content: b"ok",
        },
    };
    response.write(&mut out).unwrap();
    let expected = hex("01 00 00 02 01 00 00 00 01 01 00 00 00 2e 00 00 00 00 00 02");
    assert_eq!(out[..20], expected);
    assert_eq!(out.len(), 68);
    let frame = decoded(&out);
    assert_eq!((frame.kind, V1.code(&frame)), (Kind::Response, 200));
    assert_eq!(Parts::of(&frame, &out), response.parts);
}

#[test]
fn version_two_has_switches_and_perhaps_a_checksum() {
    let write = |checksum| {
        let mut out = Vec::new();
        Request {
            version: Version::V2,
            checksum,
            id: 10,
            timeout: Some(Duration::from_secs(3)),
            answer: Answer::Wanted,
            parts: Parts {
                class: b"C",
                headers: &block(&[("service", "s")]),
                content: b"hello",
            },
        }
        .write(&mut out)
        .unwrap();
        out
    };
    assert_eq!(write(Checksum::Crc32), hex(CHECKED_V2));
    let plain = write(Checksum::None);
    assert_eq!((plain.len(), plain[1], plain[11]), (46, 1, 0));
    let frame = decoded(&hex(CHECKED_V2));
    assert_eq!((frame.length, frame.content.len()), (50, 5));

    let mut response = Vec::new();
    Response {
        version: Version::V2,
        checksum: Checksum::None,
        id: 10,
        status: 0,
        parts: Parts {
            class: b"R",
            headers: b"",
            content: b"hello",
        },
    }
    .write(&mut response)
    .unwrap();
    let expected =
        "02 01 00 00 02 01 00 00 00 0a 01 00 00 00 00 01 00 00 00 00 00 05 52 68 65 6c 6c 6f";
    assert_eq!(response, hex(expected));
}

#[test]
fn every_kind_is_told_apart() {
    let table = [
        (
            "01 01 00 00 01 00 00 00 07 01 ff ff ff ff 00 00 00 00 00 00 00 00",
            Kind::Heartbeat,
        ),
        (
            "01 02 00 00 01 00 00 00 07 01 ff ff ff ff 00 00 00 00 00 00 00 00",
            Kind::Heartbeat,
        ),
        (
            "01 00 00 00 01 00 00 00 07 01 00 00 00 00 00 00 00 00 00 00",
            Kind::HeartbeatAck,
        ),
        (
            "01 01 00 64 01 00 00 00 01 01 00 00 00 00 00 00 00 00 00 00 00 00",
            Kind::GoAway,
        ),
        (
            "01 02 00 01 01 00 00 00 02 01 00 00 0b b8 00 00 00 00 00 00 00 00",
            Kind::OneWay,
        ),
        (
            "01 01 00 07 01 00 00 00 02 01 00 00 0b b8 00 00 00 00 00 00 00 00",
            Kind::Request,
        ),
        (
            "01 00 00 02 01 00 00 12 34 01 00 06 00 00 00 00 00 00 00 00",
            Kind::Response,
        ),
        (
            "02 01 01 00 00 01 00 00 00 09 01 00 ff ff ff ff 00 00 00 00 00 00 00 00",
            Kind::Heartbeat,
        ),
        (
            "02 01 00 00 00 01 00 00 00 09 01 00 00 00 00 00 00 00 00 00 00 00",
            Kind::HeartbeatAck,
        ),
    ];
    for (bytes, kind) in table {
        assert_eq!(decoded(&hex(bytes)).kind, kind, "{bytes}");
        // Both codecs read both versions.
        assert_eq!(V1.decode(&hex(bytes), MOST), V2.decode(&hex(bytes), MOST));
    }
}

#[test]
fn a_timeout_of_zero_is_unsaid_and_a_negative_one_is_never() {
    let with = |field: &str| {
        let bytes = format!("01 01 00 01 01 00 00 00 01 01 {field} 00 00 00 00 00 00 00 00");
        decoded(&hex(&bytes)).timeout
    };
    assert_eq!(with("00 00 00 00"), Timeout::Unsaid);
    assert_eq!(with("ff ff ff ff"), Timeout::Never);
    assert_eq!(with("80 00 00 00"), Timeout::Never);
    assert_eq!(
        with("00 00 00 01"),
        Timeout::After(Duration::from_millis(1))
    );
    let longest = Duration::from_millis(i32::MAX as u64);
    assert_eq!(with("7f ff ff ff"), Timeout::After(longest));
}

#[test]
fn what_is_no_frame_is_refused_at_the_first_byte_that_shows_it() {
    let table = [
        ("00", Flaw::Magic),
        ("47", Flaw::Magic),
        ("03", Flaw::Magic),
        ("01 03", Flaw::Type),
        ("01 ff", Flaw::Type),
        ("01 01 00 01 00", Flaw::Version),
        ("01 01 00 01 02", Flaw::Version),
        ("02 00", Flaw::Version),
        ("02 03", Flaw::Version),
        ("02 01 03", Flaw::Type),
        ("02 01 01 00 01 09", Flaw::Version),
    ];
    for (bytes, flaw) in table {
        let bytes = hex(bytes);
        assert_eq!(V1.decode(&bytes, MOST), Err(flaw.into()), "{bytes:x?}");
        let (_, before) = bytes.split_last().unwrap();
        let before = V1.decode(before, MOST);
        assert!(matches!(before, Ok(Decoded::Need(_))), "{bytes:x?}");
    }
}

#[test]
fn a_length_beyond_the_limit_is_refused_before_its_bytes_come() {
    let giant = hex("01 01 00 01 01 00 00 00 05 01 00 00 00 00 ff ff ff ff ff ff ff ff");
    let asker = Some(Asker { id: 5, dialect: 1 });
    let flaw = Flaw::TooLong;
    assert_eq!(V1.decode(&giant, MOST), Err(Malformed { flaw, asker }));
    let frame = request(b"", b"", b"abc");
    assert!(matches!(
        V1.decode(&frame, frame.len()),
        Ok(Decoded::Frame(_))
    ));
    let too_long = V1.decode(&frame, frame.len() - 1);
    assert_eq!(too_long.unwrap_err().flaw, Flaw::TooLong);
    // Nobody waits for an answer to a response.
    let giant = hex("01 00 00 02 01 00 00 00 05 01 00 00 ff ff ff ff ff ff ff ff");
    assert_eq!(V1.decode(&giant, MOST), Err(Flaw::TooLong.into()));
}

#[test]
fn parts_may_be_empty() {
    for parts in [
        (b"".as_slice(), b"".as_slice(), b"".as_slice()),
        (b"C", b"", b""),
        (b"", b"", b"x"),
    ] {
        let bytes = request(b"", parts.1, parts.2);
        let frame = decoded(&bytes);
        assert_eq!(frame.length, bytes.len());
        assert_eq!(V1.header(&frame, &bytes, b"service"), Ok(None));
    }
}

#[test]
fn a_checksum_that_does_not_match_is_refused() {
    let good = hex(CHECKED_V2);
    // Not the bytes that say how long the frame is, nor those that say whether there is a checksum.
    for at in (6..11).chain(12..16).chain(24..50) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        let answer = V1.decode(&bad, MOST).unwrap_err();
        assert_eq!(answer.flaw, Flaw::Checksum, "byte {at}");
        assert!(answer.asker.is_some());
    }
}

#[test]
fn what_is_needed_grows_from_the_head_to_the_frame() {
    let bytes = hex(REQUEST_V1);
    let need = |length: usize| V1.decode(&bytes[..length], MOST);
    assert_eq!(need(0), Ok(Decoded::Need(20)));
    assert_eq!(need(4), Ok(Decoded::Need(20)));
    assert_eq!(need(20), Ok(Decoded::Need(22)));
    assert_eq!(need(22), Ok(Decoded::Need(91)));
    assert_eq!(need(90), Ok(Decoded::Need(91)));
}

#[test]
fn a_local_answer_has_the_status_of_its_cause_and_the_version_of_its_request() {
    let reply = |dialect, code, body: &[u8]| {
        let mut out = Vec::new();
        V1.reply(
            &Asker {
                id: 0x1234,
                dialect,
            },
            code,
            body,
            &mut out,
        );
        out
    };
    let table = [
        (0, 9, 9),
        (3, 18, 18),
        (200, 0, 0),
        (400, 3, 3),
        (401, 3, 3),
        (403, 2, 3),
        (404, 6, 6),
        (429, 3, 3),
        (500, 3, 3),
        (502, 6, 6),
        (503, 4, 4),
        (504, 7, 7),
        (509, 3, 3),
    ];
    for (code, first, second) in table {
        let statuses = (
            decoded(&reply(1, code, b"")).status,
            decoded(&reply(2, code, b"")).status,
        );
        assert_eq!(statuses, (first, second), "{code}");
    }
    let expected = "01 00 00 02 01 00 00 12 34 01 00 06 00 00 00 00 00 00 00 00";
    assert_eq!(reply(1, 404, b""), hex(expected));
    let expected = "02 01 00 00 02 01 00 00 12 34 01 00 00 03 00 00 00 00 00 00 00 02 68 69";
    assert_eq!(reply(2, 509, b"hi"), hex(expected));
}

#[test]
fn a_status_that_came_has_a_word_of_http() {
    let table = [
        (0, 200),
        (4, 503),
        (7, 504),
        (16, 502),
        (1, 500),
        (6, 500),
        (18, 500),
        (99, 500),
    ];
    for (status, code) in table {
        let mut frame = decoded(&request(b"", b"", b""));
        frame.status = status;
        assert_eq!(V1.code(&frame), code, "{status}");
    }
}

#[test]
fn heartbeats_and_goodbyes_are_those_of_mosn() {
    let heartbeat = hex("01 01 00 00 01 00 00 00 07 01 ff ff ff ff 00 00 00 00 00 00 00 00");
    assert_eq!(V1.heartbeat(7), Some(heartbeat));
    let heartbeat = hex("02 01 01 00 00 01 00 00 00 09 01 00 ff ff ff ff 00 00 00 00 00 00 00 00");
    assert_eq!(V2.heartbeat(9), Some(heartbeat));
    let goaway = hex("01 01 00 64 01 00 00 00 01 01 00 00 00 00 00 00 00 00 00 00 00 00");
    assert_eq!(V1.goaway(1), Some(goaway));
    assert_eq!(V2.goaway(1), None);
    for (dialect, ack) in [
        (
            1,
            "01 00 00 00 01 00 00 00 07 01 00 00 00 00 00 00 00 00 00 00",
        ),
        (
            2,
            "02 01 00 00 00 01 00 00 00 07 01 00 00 00 00 00 00 00 00 00 00 00",
        ),
    ] {
        let mut out = Vec::new();
        V1.acknowledge(&Asker { id: 7, dialect }, &mut out);
        assert_eq!(out, hex(ack));
    }
}
