//! Values as text that keeps a line one line: quoting, JSON strings, journal fields.

use std::fmt;
use std::io::Write;

use serde::Serializer as _;

/// Appends a value as it stands after `key=`: bare when it is one word, quoted and escaped else.
pub(super) fn push_word(line: &mut Vec<u8>, value: &fmt::Arguments<'_>) {
    let start = line.len();
    push_display(line, value);
    if is_word(&line[start..]) {
        return;
    }
    let raw = String::from_utf8_lossy(&line[start..]).into_owned();
    line.truncate(start);
    push_quoted(line, &raw);
}

/// Appends a value as it is displayed.
pub(super) fn push_display(line: &mut Vec<u8>, value: &fmt::Arguments<'_>) {
    match value.as_str() {
        Some(text) => line.extend_from_slice(text.as_bytes()),
        // Writing to a vector fails only when the value's own `Display` does: what it wrote stays.
        None => drop(line.write_fmt(*value)),
    }
}

/// Appends a JSON string.
pub(super) fn push_json(line: &mut Vec<u8>, value: &fmt::Arguments<'_>) {
    if let Some(text) = value.as_str() {
        return push_json_str(line, text);
    }
    let start = line.len();
    if serde_json::Serializer::new(&mut *line)
        .collect_str(value)
        .is_err()
    {
        line.truncate(start);
        line.extend_from_slice(b"null");
    }
}

/// Appends a JSON string; faster, because it is not displayed first.
pub(super) fn push_json_str(line: &mut Vec<u8>, text: &str) {
    // Writing to a vector does not fail.
    let _infallible = serde_json::to_writer(line, text);
}

/// Appends one field of journald's native protocol, in the form that allows every byte; `value`
/// appends what is in it.
pub(super) fn push_field(line: &mut Vec<u8>, name: &str, value: impl FnOnce(&mut Vec<u8>)) {
    push_field_name(line, name);
    line.push(b'\n');
    let start = line.len() + size_of::<u64>();
    line.resize(start, 0);
    value(line);
    let written = (line.len() - start) as u64;
    line[start - size_of::<u64>()..start].copy_from_slice(&written.to_le_bytes());
    line.push(b'\n');
}

/// Journald takes upper case letters, digits and underscores, 64 at most.
fn push_field_name(line: &mut Vec<u8>, name: &str) {
    line.extend(name.bytes().take(64).map(|byte| match byte {
        b'a'..=b'z' => byte.to_ascii_uppercase(),
        b'A'..=b'Z' | b'0'..=b'9' => byte,
        _ => b'_',
    }));
}

fn is_word(bytes: &[u8]) -> bool {
    let breaks = |byte: &u8| byte.is_ascii_whitespace() || byte.is_ascii_control();
    !bytes.is_empty() && !bytes.iter().any(|b| breaks(b) || matches!(b, b'"' | b'='))
}

fn push_quoted(line: &mut Vec<u8>, raw: &str) {
    line.push(b'"');
    for character in raw.chars() {
        match character {
            '"' | '\\' => line.extend_from_slice(&[b'\\', character as u8]),
            '\n' => line.extend_from_slice(b"\\n"),
            '\r' => line.extend_from_slice(b"\\r"),
            '\t' => line.extend_from_slice(b"\\t"),
            c if c.is_control() => push_display(line, &format_args!("{}", c.escape_unicode())),
            c => line.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    line.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(value: &str) -> String {
        let mut line = Vec::new();
        push_word(&mut line, &format_args!("{value}"));
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn only_what_is_not_one_word_is_quoted() {
        assert_eq!(word("127.0.0.1:80"), "127.0.0.1:80");
        assert_eq!(word(r"C:\x"), r"C:\x");
        assert_eq!(word("two words"), "\"two words\"");
        assert_eq!(word(""), "\"\"");
        assert_eq!(word("a=b"), "\"a=b\"");
        assert_eq!(word("say \"é\"\n\u{1b}"), "\"say \\\"é\\\"\\n\\u{1b}\"");
    }

    #[test]
    fn a_journal_field_carries_its_length() {
        let mut line = Vec::new();
        push_field(&mut line, "cluster-name", |line| {
            line.extend_from_slice(b"a\n1");
        });
        assert_eq!(line, b"CLUSTER_NAME\n\x03\0\0\0\0\0\0\0a\n1\n");
    }
}
