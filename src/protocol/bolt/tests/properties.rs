//! What holds for all input.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::super::rpc::{Codec, Decoded, Edit, Frame, Malformed, Timeout};
use super::super::{
    Answer, Checksum, Headers, Parts, Request, Response, V1, Version, write_header,
};
use super::{MOST, decoded};

fn version() -> impl Strategy<Value = (Version, Checksum)> {
    prop_oneof![
        Just((Version::V1, Checksum::None)),
        Just((Version::V2, Checksum::None)),
        Just((Version::V2, Checksum::Crc32)),
    ]
}

fn headers() -> impl Strategy<Value = Vec<u8>> {
    vec((vec(any::<u8>(), 0..9), vec(any::<u8>(), 0..9)), 0..5).prop_map(|pairs| {
        let mut block = Vec::new();
        for (name, value) in &pairs {
            write_header(&mut block, name, value);
        }
        block
    })
}

/// The three parts.
fn parts() -> impl Strategy<Value = (Vec<u8>, Vec<u8>, Vec<u8>)> {
    (vec(any::<u8>(), 0..20), headers(), vec(any::<u8>(), 0..40))
}

/// Frames as a peer writes them.
fn written() -> impl Strategy<Value = Vec<u8>> {
    let head = (
        version(),
        any::<u32>(),
        any::<u16>(),
        any::<bool>(),
        0..9_u8,
    );
    (head, parts()).prop_map(|((version, id, said, is_request, other), parts)| {
        let mut out = Vec::new();
        match other {
            0 => out = V1.heartbeat(u64::from(id)).unwrap(),
            1 => out = V1.goaway(u64::from(id)).unwrap(),
            _ if is_request => request(version, id, said, &parts).write(&mut out).unwrap(),
            _ => response(version, id, said, &parts).write(&mut out).unwrap(),
        }
        out
    })
}

type Three = (Vec<u8>, Vec<u8>, Vec<u8>);

fn of((class, headers, content): &Three) -> Parts<'_> {
    Parts {
        class,
        headers,
        content,
    }
}

fn request(of_version: (Version, Checksum), id: u32, said: u16, parts: &Three) -> Request<'_> {
    Request {
        version: of_version.0,
        checksum: of_version.1,
        id,
        timeout: (said > 0).then(|| Duration::from_millis(u64::from(said))),
        answer: if said % 5 == 1 {
            Answer::Unwanted
        } else {
            Answer::Wanted
        },
        parts: of(parts),
    }
}

fn response(of_version: (Version, Checksum), id: u32, status: u16, parts: &Three) -> Response<'_> {
    Response {
        version: of_version.0,
        checksum: of_version.1,
        id,
        status,
        parts: of(parts),
    }
}

/// Bytes with something in them that may look like a frame.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let head = vec(
        prop_oneof![Just(0_u8), Just(1), Just(2), any::<u8>()],
        0..30,
    );
    (head, vec(any::<u8>(), 0..30)).prop_map(|(head, rest)| [head, rest].concat())
}

/// The frames of a stream that comes in pieces that end at `cuts`.
fn read(stream: &[u8], cuts: &[usize]) -> (Vec<Frame>, Option<Malformed>) {
    let (mut frames, mut start, mut buffer) = (Vec::new(), 0, Vec::new());
    let cuts = cuts.iter().map(|cut| cut % (stream.len() + 1));
    let mut cuts: Vec<_> = cuts.chain([stream.len()]).collect();
    cuts.sort_unstable();
    for end in cuts {
        buffer.extend_from_slice(&stream[start..end]);
        start = end;
        loop {
            match V1.decode(&buffer, MOST) {
                Ok(Decoded::Need(bytes)) => {
                    assert!(bytes > buffer.len(), "more is needed, and it is there");
                    break;
                }
                Ok(Decoded::Frame(frame)) => {
                    buffer.drain(..frame.length);
                    frames.push(frame);
                }
                Err(malformed) => return (frames, Some(malformed)),
            }
        }
    }
    (frames, None)
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in any_bytes()) {
        if let Ok(Decoded::Frame(frame)) = V1.decode(&bytes, MOST) {
            prop_assert!(frame.length <= bytes.len());
            let _ = V1.each_header(&frame, &bytes, &mut |_, _| {});
            let mut out = Vec::new();
            V1.relay(&frame, &bytes, 1, None, &mut out);
            prop_assert_eq!(out.len(), frame.length);
        }
    }

    #[test]
    fn a_request_that_is_written_is_read_back(
        version in version(), id in any::<u32>(), said in any::<u16>(), parts in parts()
    ) {
        let request = request(version, id, said, &parts);
        let mut bytes = Vec::new();
        request.write(&mut bytes).unwrap();
        let frame = decoded(&bytes);
        prop_assert_eq!(frame.asker.id, u64::from(id));
        prop_assert_eq!(frame.length, bytes.len());
        prop_assert_eq!(Parts::of(&frame, &bytes), request.parts);
        let timeout = request.timeout.map_or(Timeout::Unsaid, Timeout::After);
        prop_assert_eq!(frame.timeout, timeout);
    }

    #[test]
    fn a_frame_that_is_sent_on_under_its_own_id_is_the_same(bytes in written()) {
        let frame = decoded(&bytes);
        let mut out = Vec::new();
        V1.relay(&frame, &bytes, frame.asker.id, None, &mut out);
        prop_assert_eq!(&out, &bytes);
        let block = frame.headers.of(&bytes).to_vec();
        out.clear();
        V1.relay(&frame, &bytes, frame.asker.id, Some(&block), &mut out);
        prop_assert_eq!(&out, &bytes);
        prop_assert_eq!(V1.edited(&frame, &bytes, &[]), Ok(block));
    }

    #[test]
    fn edits_of_a_frame_are_read_back(
        bytes in written(), name in vec(any::<u8>(), 0..9), value in vec(any::<u8>(), 0..9)
    ) {
        let frame = decoded(&bytes);
        let set = V1.edited(&frame, &bytes, &[Edit::Set(&name, &value)]).unwrap();
        let mut out = Vec::new();
        V1.relay(&frame, &bytes, 7, Some(&set), &mut out);
        let sent = decoded(&out);
        prop_assert_eq!(V1.header(&sent, &out, &name), Ok(Some(value.as_slice())));
        prop_assert_eq!(sent.content.of(&out), frame.content.of(&bytes));
        let removed = V1.edited(&sent, &out, &[Edit::Remove(&name)]).unwrap();
        prop_assert_eq!(Headers::of(&removed).find(&name), Ok(None));
    }

    #[test]
    fn any_split_gives_the_same_frames(
        frames in vec(written(), 0..5), tail in any_bytes(), cuts in vec(any::<usize>(), 0..6)
    ) {
        let stream = [frames.concat(), tail].concat();
        let whole = read(&stream, &[]);
        prop_assert!(whole.0.len() >= frames.len());
        prop_assert_eq!(&read(&stream, &cuts), &whole);
        let each: Vec<_> = (0..stream.len()).collect();
        prop_assert_eq!(&read(&stream, &each), &whole);
    }
}
