//! Which bytes RFC 9110 section 5 allows where.

/// Whether this is a token: what a method, a field name or a connection option must be.
#[must_use]
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| TOKEN[usize::from(byte)])
}

/// Whether this may stand as the value of a field: no control byte but tabs, and no white space
/// around it. It may be empty.
#[must_use]
pub fn is_field_value(text: &[u8]) -> bool {
    is_line_text(text) && trimmed(text).len() == text.len()
}

/// Whether these bytes may stand in a line: white space, visible ASCII and bytes above it.
pub(super) fn is_line_text(text: &[u8]) -> bool {
    text.iter().copied().all(is_line_byte)
}

pub(super) fn is_line_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Without the spaces and tabs around it.
pub(super) fn trimmed(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// The elements of a comma-separated list, empty ones too.
pub(super) fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(trimmed)
}

static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(
            byte as u8,
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\''
                | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        );
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_of_token_bytes() {
        for token in ["GET", "x-a_b.c", "!#$%&'*+-.^_`|~09"] {
            assert!(is_token(token.as_bytes()), "{token}");
        }
        for other in [
            "", "a b", "a:", "a\t", "(a)", "a/b", "\u{e9}", "a\0", "\"a\"",
        ] {
            assert!(!is_token(other.as_bytes()), "{other:?}");
        }
    }

    #[test]
    fn a_value_has_no_control_byte_and_no_space_around() {
        for value in [&b""[..], b"a", b"a\tb c", b"\xff\x80", b"~"] {
            assert!(is_field_value(value), "{value:?}");
        }
        for other in [
            &b" a"[..],
            b"a ",
            b"\ta",
            b" ",
            b"a\rb",
            b"a\nb",
            b"a\0",
            b"\x7f",
        ] {
            assert!(!is_field_value(other), "{other:?}");
        }
    }
}
