//! What SOFARPC puts into frames, in Hessian 2: the request that sofaload sends, and its answer.

use crate::protocol::bolt::{REQUEST_CLASS, RESPONSE_CLASS};

/// The service that the request is for.
pub(super) const SERVICE: &str = "com.alipay.test.TestService:1.0";

/// Letters of the string that is sent, and sent back.
const LETTERS: u16 = 1098;
/// Where its digits begin anew.
const AGAIN: usize = 1024;

/// The content of the request: 1,314 bytes.
pub(super) fn request() -> Vec<u8> {
    let names = [
        "targetAppName",
        "methodName",
        "targetServiceUniqueName",
        "requestProps",
        "methodArgSigs",
    ];
    let mut out = object(REQUEST_CLASS, &names);
    out.push(b'N');
    short(&mut out, "echoStr");
    short(&mut out, SERVICE);
    out.push(b'M');
    short(&mut out, "protocol");
    short(&mut out, "bolt");
    out.push(b'z');
    // A typed list of one string.
    out.extend_from_slice(b"Vt\0\x07[stringn\x01");
    short(&mut out, "java.lang.String");
    out.push(b'z');
    long(&mut out);
    out
}

/// The content of the answer: 1,198 bytes.
pub(super) fn response() -> Vec<u8> {
    let names = ["isError", "errorMsg", "appResponse", "responseProps"];
    let mut out = object(RESPONSE_CLASS, &names);
    out.extend_from_slice(b"FN");
    long(&mut out);
    out.push(b'N');
    out
}

/// The definition of a class and the beginning of its first object.
fn object(class: &str, names: &[&str]) -> Vec<u8> {
    let mut out = vec![b'O', integer(class.len())];
    out.extend_from_slice(class.as_bytes());
    out.push(integer(names.len()));
    names.iter().for_each(|name| short(&mut out, name));
    out.extend_from_slice(&[b'o', integer(0)]);
    out
}

/// An integer below 48, which is one byte.
fn integer(small: usize) -> u8 {
    0x90 + u8::try_from(small).unwrap_or(0)
}

/// A string of less than 32 letters.
fn short(out: &mut Vec<u8>, text: &str) {
    out.push(u8::try_from(text.len()).unwrap_or(0));
    out.extend_from_slice(text.as_bytes());
}

/// The string that makes the frames as long as they are.
fn long(out: &mut Vec<u8>) {
    out.push(b'S');
    out.extend_from_slice(&LETTERS.to_be_bytes());
    let digits = b"1234567890".iter().cycle();
    out.extend(digits.clone().take(AGAIN));
    out.extend(digits.take(usize::from(LETTERS) - AGAIN));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lengths_are_those_of_the_report() {
        assert_eq!(request().len(), 1314);
        // 20 of the head, and the class: 1,264 bytes each, of which 1,244 are data.
        assert_eq!(response().len() + RESPONSE_CLASS.len(), 1244);
    }
}
