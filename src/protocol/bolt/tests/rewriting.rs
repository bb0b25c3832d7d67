//! Frames that are sent on: under another id, and perhaps with other headers.

use super::super::super::rpc::{Codec, Edit, Flaw};
use super::super::{Headers, Parts, V1};
use super::{CHECKED_V2, REQUEST_V1, block, decoded, hex};

/// The frame as it is sent on, after something that was in the buffer already.
fn relayed(bytes: &[u8], id: u64, headers: Option<&[u8]>) -> Vec<u8> {
    let mut out = b"before".to_vec();
    V1.relay(&decoded(bytes), bytes, id, headers, &mut out);
    out.split_off(6)
}

#[test]
fn only_the_id_changes() {
    for (text, at) in [(REQUEST_V1, 5), (CHECKED_V2, 6)] {
        let bytes = hex(text);
        let sent = relayed(&bytes, 0x0102_0304, None);
        let mut expected = bytes.clone();
        expected[at..at + 4].copy_from_slice(&[1, 2, 3, 4]);
        let end = decoded(&bytes).content.end;
        assert_eq!(sent[..end], expected[..end]);
        assert_eq!(decoded(&sent).asker.id, 0x0102_0304);

        let (mut frame, mut in_place) = (decoded(&bytes), bytes);
        V1.set_id(&mut frame, &mut in_place, 0x0102_0304);
        assert_eq!(in_place, sent);
        assert_eq!(frame, decoded(&sent));
    }
}

#[test]
fn another_header_block_leaves_the_rest_as_it_is() {
    for text in [REQUEST_V1, CHECKED_V2] {
        let bytes = hex(text);
        for headers in [block(&[]), block(&[("service", "other"), ("x", "")])] {
            let sent = relayed(&bytes, 9, Some(&headers));
            let (frame, before) = (decoded(&sent), decoded(&bytes));
            let parts = Parts::of(&frame, &sent);
            assert_eq!(parts.headers, headers);
            let old = Parts::of(&before, &bytes);
            assert_eq!((parts.class, parts.content), (old.class, old.content));
            assert_eq!((frame.kind, frame.timeout), (before.kind, before.timeout));
        }
    }
}

#[test]
fn edits_keep_the_order_of_headers() {
    let mut bytes = hex(REQUEST_V1);
    let old = block(&[("a", "1"), ("b", "2"), ("a", "3")]);
    bytes = relayed(&bytes, 1, Some(&old));
    let frame = decoded(&bytes);
    type Row<'a> = (&'a [Edit<'a>], &'a [(&'a str, &'a str)]);
    let table: [Row<'_>; 6] = [
        (&[], &[("a", "1"), ("b", "2"), ("a", "3")]),
        (
            &[Edit::Set(b"a", b"9")],
            &[("a", "9"), ("b", "2"), ("a", "3")],
        ),
        (&[Edit::Remove(b"a")], &[("b", "2")]),
        (
            &[Edit::Append(b"b", b"x")],
            &[("a", "1"), ("b", "2,x"), ("a", "3")],
        ),
        (
            &[Edit::Append(b"c", b"x")],
            &[("a", "1"), ("b", "2"), ("a", "3"), ("c", "x")],
        ),
        (
            &[Edit::Remove(b"a"), Edit::Set(b"a", b"n")],
            &[("b", "2"), ("a", "n")],
        ),
    ];
    for (edits, expected) in table {
        assert_eq!(
            V1.edited(&frame, &bytes, edits),
            Ok(block(expected)),
            "{edits:?}"
        );
    }
}

#[test]
fn a_block_that_no_frame_can_hold_is_refused() {
    let bytes = hex(REQUEST_V1);
    let frame = decoded(&bytes);
    // `service=testSofa` has 23 bytes, a name of one letter and its lengths 9.
    let most = vec![b'x'; 65535 - 23 - 9];
    let edited = V1
        .edited(&frame, &bytes, &[Edit::Set(b"k", &most)])
        .unwrap();
    assert_eq!(edited.len(), 65535);
    assert_eq!(
        decoded(&relayed(&bytes, 1, Some(&edited))).headers.len(),
        65535
    );
    let more = vec![b'x'; most.len() + 1];
    let refused = V1.edited(&frame, &bytes, &[Edit::Set(b"k", &more)]);
    assert_eq!(refused, Err(Flaw::HeadersTooLong));
}

#[test]
fn strings_that_are_none_are_passed_over() {
    let none = [0xff; 4];
    let a = block(&[("a", "1")]);
    let name = &a[..5];
    let table: [(Vec<u8>, usize); 4] = [
        ([none.as_slice(), &a].concat(), 1),
        ([name, &none, &a].concat(), 1),
        ([none, none].concat(), 0),
        ([a.as_slice(), &a].concat(), 2),
    ];
    for (block, count) in table {
        let headers: Result<Vec<_>, _> = Headers::of(&block).collect();
        assert_eq!(headers.unwrap().len(), count, "{block:x?}");
    }
}

#[test]
fn a_block_that_ends_within_a_header_is_refused() {
    let good = block(&[("ab", "cd")]);
    for end in 1..good.len() {
        let headers: Result<Vec<_>, _> = Headers::of(&good[..end]).collect();
        assert_eq!(headers, Err(Flaw::Headers), "{end}");
    }
    // A name is found before what is wrong behind it.
    let mut bad = block(&[("a", "1"), ("b", "2")]);
    bad.pop();
    assert_eq!(Headers::of(&bad).find(b"a"), Ok(Some(b"1".as_slice())));
    assert_eq!(Headers::of(&bad).find(b"b"), Err(Flaw::Headers));
    let endless = Headers::of(&bad).filter(Result::is_err).count();
    assert_eq!(endless, 1);
}
