//! Hosts and ports, as `Host` and targets name them (RFC 3986 section 3.2, without user names).

use std::net::Ipv6Addr;

/// Whether this is a host and perhaps a port. An empty one is: it is what a client sends whose
/// target has no authority.
#[must_use]
pub fn is_authority(text: &[u8]) -> bool {
    parts(text).is_some()
}

/// Whether this names a host, and perhaps a port.
pub(super) fn names_a_host(text: &[u8]) -> bool {
    parts(text).is_some_and(|(host, _)| !host.is_empty())
}

/// Whether this names a host and a port.
pub(super) fn names_a_host_and_a_port(text: &[u8]) -> bool {
    parts(text).is_some_and(|(host, port)| !host.is_empty() && !port.is_empty())
}

/// The host and the digits of the port, of which there may be none.
fn parts(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = match text {
        [b'[', ..] => memchr::memchr(b']', text)? + 1,
        _ => memchr::memchr(b':', text).unwrap_or(text.len()),
    };
    let (host, port) = text.split_at(end);
    let port = match port {
        [b':', digits @ ..] => digits,
        [] => port,
        _ => return None,
    };
    (is_host(host) && is_port(port)).then_some((host, port))
}

fn is_host(text: &[u8]) -> bool {
    match text {
        [b'[', address @ .., b']'] => {
            std::str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
        }
        _ => is_name(text),
    }
}

fn is_name(mut text: &[u8]) -> bool {
    // Most names are no more than such bytes.
    while let Some(at) = text.iter().position(|&byte| !NAME[usize::from(byte)]) {
        text = match &text[at..] {
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest
            }
            _ => return false,
        };
    }
    true
}

/// What a name is made of, but for `%`. RFC 3986 allows a comma, but it is two hosts that a list
/// made one.
static NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(
            byte as u8,
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~'
                | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'='
        );
        byte += 1;
    }
    table
};

fn is_port(digits: &[u8]) -> bool {
    let value = |sum: u32, digit: &u8| sum * 10 + u32::from(digit - b'0');
    digits.len() <= 5
        && digits.iter().all(u8::is_ascii_digit)
        && digits.iter().fold(0, value) <= u32::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_host_and_perhaps_a_port() {
        for text in [
            "a",
            "a.example",
            "a:80",
            "a:",
            "A_b-c~",
            "127.0.0.1:65535",
            "[::1]",
            "[2001:db8::1]:80",
            "%41b",
            "a;b=c",
            "",
            ":80",
        ] {
            assert!(is_authority(text.as_bytes()), "{text}");
        }
        for text in [
            "a b",
            "a,b",
            "a/b",
            "a@b",
            "a:b",
            "a:80:80",
            "a:65536",
            "a:000080",
            "[::1",
            "::1",
            "[::1]a",
            "[]",
            "[v1.a]",
            "[fe80::1%25eth0]",
            "%4",
            "%zz",
            "a?",
            "a#",
            "\u{e9}",
            "a\t",
            "a\\b",
            "<a>",
        ] {
            assert!(!is_authority(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_host_or_a_port_may_be_missing() {
        for (text, host, both) in [
            ("a", true, false),
            ("a:", true, false),
            ("a:1", true, true),
            ("[::1]:1", true, true),
            (":1", false, false),
            ("", false, false),
            ("a b:1", false, false),
        ] {
            let text = text.as_bytes();
            assert_eq!(
                (names_a_host(text), names_a_host_and_a_port(text)),
                (host, both)
            );
        }
    }
}
