//! Cutting input, and decoding it cut.
#![allow(dead_code, reason = "not every target uses all of it")]

use banyan::protocol::http1::{Body, Decoder, Fields, HeadLimits, Malformed, Progress};

/// Small, so that the fuzzer reaches them.
pub const LIMITS: HeadLimits = HeadLimits {
    bytes: 512,
    fields: 8,
};

/// Room for what grows when it is written anew.
pub fn twice(limits: &HeadLimits) -> HeadLimits {
    HeadLimits {
        bytes: limits.bytes * 2,
        fields: limits.fields * 2,
    }
}

/// The lengths of pieces, used again and again.
#[derive(Clone, Copy)]
pub struct Pieces([usize; 2]);

impl Pieces {
    /// Taken from the first two bytes of an input, and the rest of it.
    pub fn of(input: &[u8]) -> Option<(Self, &[u8])> {
        let (&[one, two], rest) = input.split_first_chunk()?;
        Some((
            Self([one, two].map(|byte| usize::from(byte % 64) + 1)),
            rest,
        ))
    }

    /// Where pieces of an input of this length end.
    pub fn ends(self, len: usize) -> impl Iterator<Item = usize> {
        let mut end = 0;
        self.0.into_iter().cycle().map_while(move |piece| {
            let before = end;
            end = len.min(end + piece);
            (before < len).then_some(end)
        })
    }
}

pub fn pairs(fields: &Fields) -> Vec<(&[u8], &[u8])> {
    fields.iter().collect()
}

/// Decodes a body whole and in pieces, and compares.
pub fn assert_bodies_agree(body: Body, input: &[u8], pieces: Pieces) {
    let whole = decode(body, input, std::iter::once(input.len()));
    let cut = decode(body, input, pieces.ends(input.len()));
    if whole.end.is_ok() {
        assert_eq!(whole, cut);
    } else {
        assert_eq!(whole.end, cut.end);
        assert!(cut.data.starts_with(&whole.data));
    }
}

#[derive(Debug, PartialEq)]
struct Outcome {
    data: Vec<u8>,
    consumed: usize,
    end: Result<Progress, Malformed>,
    trailers: Vec<u8>,
}

fn decode(body: Body, input: &[u8], ends: impl Iterator<Item = usize>) -> Outcome {
    let mut decoder = Decoder::new(body);
    let (mut data, mut consumed, mut end) = (Vec::new(), 0, Ok(Progress::More));
    'pieces: for piece in ends {
        loop {
            match decoder.decode(&input[consumed..piece]) {
                Ok(decoded) => {
                    data.extend_from_slice(&input[consumed..piece][decoded.data]);
                    consumed += decoded.consumed;
                    end = Ok(decoded.state);
                    if decoded.state == Progress::End {
                        break 'pieces;
                    }
                    if consumed == piece {
                        break;
                    }
                    assert_ne!(decoded.consumed, 0, "input is left and nothing was taken");
                }
                Err(malformed) => {
                    end = Err(malformed);
                    break 'pieces;
                }
            }
        }
    }
    // An input of no bytes has no pieces, and a body of no bytes has ended before.
    if consumed == 0 && decoder.is_ended() {
        end = Ok(Progress::End);
    }
    let mut trailers = Vec::new();
    decoder.trailers().write_to(&mut trailers);
    Outcome {
        data,
        consumed,
        end,
        trailers,
    }
}
