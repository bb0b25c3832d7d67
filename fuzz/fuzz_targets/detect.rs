//! Detection: a verdict, once given, stays, whatever follows.

#![no_main]

use banyan::protocol::detect::{KNOWN, Verdict, detect};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut decided = Verdict::More;
    for end in 0..=input.len().min(64) {
        let verdict = detect(KNOWN, &input[..end]);
        if decided != Verdict::More {
            assert_eq!(verdict, decided);
        }
        decided = verdict;
    }
});
