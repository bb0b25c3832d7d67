//! Bolt: frames are the same however their bytes are cut, no length that is announced makes room
//! for more than the limit, and a frame that was read is read back from what we send on.

#![no_main]

use banyan::protocol::bolt::V1;
use banyan::protocol::rpc::{Codec, Decoded, Edit, Flaw, Frame, Malformed};
use libfuzzer_sys::fuzz_target;

mod pieces;

use pieces::Pieces;

/// Small, so that the fuzzer reaches it.
const MOST: usize = 512;

fuzz_target!(|input: &[u8]| {
    let Some((pieces, input)) = Pieces::of(input) else {
        return;
    };
    let whole = read(input, [input.len()].into_iter());
    let cut = read(input, pieces.ends(input.len()));
    assert_eq!(whole, cut);
    let mut at = 0;
    for frame in &whole.0 {
        let bytes = &input[at..at + frame.length];
        assert_sent_on(frame, bytes);
        assert_edited(frame, bytes);
        at += frame.length;
    }
});

/// The frames, and what ended them: a flaw, or nothing.
fn read(input: &[u8], ends: impl Iterator<Item = usize>) -> (Vec<Frame>, Option<Malformed>) {
    let (mut frames, mut at) = (Vec::new(), 0);
    for end in ends {
        loop {
            match V1.decode(&input[at..end], MOST) {
                Ok(Decoded::Frame(frame)) => {
                    assert!(frame.length <= MOST);
                    at += frame.length;
                    frames.push(frame);
                }
                Ok(Decoded::Need(needed)) => {
                    assert!(end - at < needed && needed <= MOST, "{needed}");
                    break;
                }
                Err(malformed) => return (frames, Some(malformed)),
            }
        }
    }
    (frames, None)
}

fn assert_sent_on(frame: &Frame, bytes: &[u8]) {
    let mut sent = Vec::new();
    V1.relay(frame, bytes, frame.asker.id, None, &mut sent);
    assert_eq!(sent, bytes);
    sent.clear();
    let other = frame.asker.id ^ 0x55;
    V1.relay(frame, bytes, other, None, &mut sent);
    let Ok(Decoded::Frame(mut again)) = V1.decode(&sent, MOST) else {
        panic!("what is sent on is no frame");
    };
    assert_eq!(again.asker.id, other);
    V1.set_id(&mut again, &mut sent, frame.asker.id);
    assert_eq!((&again, &*sent), (frame, bytes));
}

fn assert_edited(frame: &Frame, bytes: &[u8]) {
    let mut told = Vec::new();
    let mut tell = |name: &[u8], value: &[u8]| told.push((name.to_vec(), value.to_vec()));
    let all = V1.each_header(frame, bytes, &mut tell);
    let edits = [
        Edit::Remove(b"a"),
        Edit::Set(b"service", b"s"),
        Edit::Append(b"service", b"t"),
    ];
    let block = match V1.edited(frame, bytes, &edits) {
        Ok(block) => block,
        Err(flaw) => return assert_eq!(all, Err(flaw)),
    };
    assert_eq!(all, Ok(()));
    let mut sent = Vec::new();
    V1.relay(frame, bytes, frame.asker.id, Some(&block), &mut sent);
    let Ok(Decoded::Frame(again)) = V1.decode(&sent, 2 * MOST) else {
        panic!("what was edited is no frame");
    };
    assert_eq!(again.content.of(&sent), frame.content.of(bytes));
    let found = |name: &[u8]| -> Result<_, Flaw> { V1.header(&again, &sent, name) };
    assert_eq!(found(b"service"), Ok(Some(&b"s,t"[..])));
    assert_eq!(found(b"a"), Ok(None));
    for (name, _) in &told {
        if name != b"service" && name != b"a" {
            let first = told.iter().find(|(other, _)| other == name);
            let first = first.map(|(_, value)| value.as_slice());
            assert_eq!(found(name), Ok(first));
        }
    }
}
