//! The codec from outside: the frames of the specification, tables for its rules, properties for
//! all input.

mod corpus;
mod frames;
mod properties;
mod rewriting;

use super::super::rpc::{Codec, Decoded, Frame};
use super::{V1, write_header};

/// A limit that no frame here reaches.
const MOST: usize = 1 << 20;

/// The bytes that some text of hexadecimal digits stands for.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pairs = digits.chunks_exact(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// The frame that these bytes are.
fn decoded(bytes: &[u8]) -> Frame {
    match V1.decode(bytes, MOST) {
        Ok(Decoded::Frame(frame)) => frame,
        other => panic!("{other:?}"),
    }
}

/// A header block of one header for each pair.
fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        write_header(&mut block, name.as_bytes(), value.as_bytes());
    }
    block
}

/// A request of version 1, with a class, `service=testSofa` and the content `hi`.
const REQUEST_V1: &str = "
    01 01 00 01 01 00 00 00 01 01 00 00 0b b8 00 2c
    00 17 00 00 00 02 63 6f 6d 2e 61 6c 69 70 61 79
    2e 73 6f 66 61 2e 72 70 63 2e 63 6f 72 65 2e 72
    65 71 75 65 73 74 2e 53 6f 66 61 52 65 71 75 65
    73 74 00 00 00 07 73 65 72 76 69 63 65 00 00 00
    08 74 65 73 74 53 6f 66 61 68 69";

/// A request of version 2 with a checksum, class `C`, `service=s`, content `hello`.
const CHECKED_V2: &str = "
    02 02 01 00 01 01 00 00 00 0a 01 01 00 00 0b b8
    00 01 00 10 00 00 00 05 43 00 00 00 07 73 65 72
    76 69 63 65 00 00 00 01 73 68 65 6c 6c 6f a5 47
    03 fa";
