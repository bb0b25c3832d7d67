//! Requests: a head in parts is the head as a whole, its body is the same however it is cut, and
//! what was accepted is read back from what we write.

#![no_main]

use banyan::protocol::http1::{Body, Framing, Parsed, Request, write_request_line};
use libfuzzer_sys::fuzz_target;

mod pieces;

use pieces::{LIMITS, Pieces, assert_bodies_agree, pairs};

fuzz_target!(|input: &[u8]| {
    let Some((pieces, input)) = Pieces::of(input) else {
        return;
    };
    let mut whole = Request::default();
    let answer = whole.parse(input, &LIMITS);
    let mut part = Request::default();
    for end in pieces.ends(input.len()) {
        match part.parse(&input[..end], &LIMITS) {
            Ok(Parsed::Partial) => {}
            Ok(Parsed::Whole(length)) => {
                assert_eq!(answer, Ok(Parsed::Whole(length)));
                assert_eq!(pairs(&part.fields), pairs(&whole.fields));
                assert_eq!(part.target(), whole.target());
                assert_eq!((part.body, part.host()), (whole.body, whole.host()));
                break;
            }
            Err(_) => {
                assert!(answer.is_err(), "a part was refused and the whole was not");
                break;
            }
        }
    }
    if let Ok(Parsed::Whole(length)) = answer {
        assert_ne!(whole.body, Body::UntilClose);
        assert_is_read_back(&whole);
        assert_bodies_agree(whole.body, &input[length..], pieces);
    }
});

fn assert_is_read_back(request: &Request) {
    let mut out = Vec::new();
    write_request_line(&mut out, request.method_text(), request.target());
    let mut fields = request.fields.clone();
    fields.strip_hop_by_hop();
    fields.strip_framing();
    fields.set("Host", request.host().unwrap_or_default());
    fields.write_to(&mut out);
    Framing::from(request.body).write_to(&mut out);
    out.extend_from_slice(b"\r\n");

    let mut again = Request::default();
    // A line that we write with a space after its colon may have come without.
    let limits = pieces::twice(&LIMITS);
    assert_eq!(again.parse(&out, &limits), Ok(Parsed::Whole(out.len())));
    assert_eq!(again.target(), request.target());
    assert_eq!(again.body, request.body);
    assert_eq!(
        again.host().unwrap_or_default(),
        request.host().unwrap_or_default()
    );
}
