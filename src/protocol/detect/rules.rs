//! The rule of each protocol that MOSN tells apart.

use super::{Answer, Rule};

/// MOSN's protocols by its names, in the order in which `Auto` asks them. No two accept the same
/// bytes, so the order decides nothing but speed.
pub const KNOWN: [(&str, Rule); 7] = [
    ("Http1", http1),
    ("bolt", bolt),
    ("boltv2", bolt_v2),
    ("Http2", http2),
    ("dubbo", dubbo),
    ("dubbo-thrift", dubbo_thrift),
    ("tars", tars),
];

/// The methods that begin a request; a blank behind them is not looked for.
const METHODS: [&[u8]; 11] = [
    b"OPTIONS", b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"TRACE", b"CONNECT", b"PATCH",
    b"LINK", b"UNLINK",
];

/// What every client of HTTP/2 begins with (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DUBBO: [u8; 2] = [0xda, 0xbb];
const DUBBO_THRIFT: [u8; 2] = [0xda, 0xbc];

/// The lengths that a frame of Tars may say, its own four bytes included.
const TARS_LENGTHS: std::ops::RangeInclusive<u32> = 4..=10_485_760;

/// `Http1`: it begins with a method.
#[must_use]
pub fn http1(bytes: &[u8]) -> Answer {
    let mut answer = Answer::No;
    for method in METHODS {
        match begins(bytes, method) {
            Answer::Yes => return Answer::Yes,
            Answer::More => answer = Answer::More,
            Answer::No => {}
        }
    }
    answer
}

/// `Http2`: it begins with the preface.
#[must_use]
pub fn http2(bytes: &[u8]) -> Answer {
    begins(bytes, PREFACE)
}

/// `bolt`: the first byte is the version.
#[must_use]
pub fn bolt(bytes: &[u8]) -> Answer {
    begins(bytes, &[1])
}

/// `boltv2`: the same.
#[must_use]
pub fn bolt_v2(bytes: &[u8]) -> Answer {
    begins(bytes, &[2])
}

/// `dubbo`: the magic.
#[must_use]
pub fn dubbo(bytes: &[u8]) -> Answer {
    begins(bytes, &DUBBO)
}

/// `dubbo-thrift`: the magic behind a length.
#[must_use]
pub fn dubbo_thrift(bytes: &[u8]) -> Answer {
    match bytes.get(4..) {
        Some(behind) => begins(behind, &DUBBO_THRIFT),
        None => Answer::More,
    }
}

/// `tars`: a length that may be, and a packet of version 1 or 3 behind it.
#[must_use]
pub fn tars(bytes: &[u8]) -> Answer {
    let Some((length, packet)) = bytes.split_first_chunk::<4>() else {
        let mut least = [0; 4];
        least[..bytes.len()].copy_from_slice(bytes);
        return match u32::from_be_bytes(least) <= *TARS_LENGTHS.end() {
            true => Answer::More,
            false => Answer::No,
        };
    };
    match packet {
        _ if !TARS_LENGTHS.contains(&u32::from_be_bytes(*length)) => Answer::No,
        [] | [0x10] => Answer::More,
        [0x10, 1 | 3, ..] => Answer::Yes,
        _ => Answer::No,
    }
}

fn begins(bytes: &[u8], with: &[u8]) -> Answer {
    match bytes.len() {
        length if length >= with.len() && bytes.starts_with(with) => Answer::Yes,
        length if length < with.len() && with.starts_with(bytes) => Answer::More,
        _ => Answer::No,
    }
}
