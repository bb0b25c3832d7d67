//! Responses: a head in parts is the head as a whole, and its body is the same however it is cut.

#![no_main]

use banyan::protocol::http1::{Asked, Body, Parsed, Persistence, Response};
use libfuzzer_sys::fuzz_target;

mod pieces;

use pieces::{LIMITS, Pieces, assert_bodies_agree, pairs};

fuzz_target!(|input: &[u8]| {
    let Some((pieces, input)) = Pieces::of(input) else {
        return;
    };
    let Some((&asked, input)) = input.split_first() else {
        return;
    };
    let to = match asked % 4 {
        0 => Asked::Head,
        1 => Asked::Connect,
        _ => Asked::Other,
    };
    let mut whole = Response::default();
    let answer = whole.parse(input, &LIMITS, to);
    let mut part = Response::default();
    for end in pieces.ends(input.len()) {
        match part.parse(&input[..end], &LIMITS, to) {
            Ok(Parsed::Partial) => {}
            Ok(Parsed::Whole(length)) => {
                assert_eq!(answer, Ok(Parsed::Whole(length)));
                assert_eq!(pairs(&part.fields), pairs(&whole.fields));
                assert_eq!(part.reason(), whole.reason());
                assert_eq!((part.status, part.body), (whole.status, whole.body));
                break;
            }
            Err(_) => {
                assert!(answer.is_err(), "a part was refused and the whole was not");
                break;
            }
        }
    }
    if let Ok(Parsed::Whole(length)) = answer {
        assert!((100..=999).contains(&whole.status));
        if whole.body == Body::UntilClose {
            assert_eq!(whole.persistence, Persistence::Close);
        }
        assert_bodies_agree(whole.body, &input[length..], pieces);
    }
});
