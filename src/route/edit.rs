//! Changes of header fields that a configuration asks for.

use crate::config::{Edits, Existing, Template, Variable};
use crate::protocol::http1::Fields;

/// Fields that belong to one connection or say where a message ends and whom it is for. They
/// follow from the message itself, so no configuration changes them.
const RESERVED: &[&str] = &[
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether the field of this name, in lower case, is beyond the reach of configuration.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// Changes `fields` as the scopes say: route, virtual host, router. Each adds, then removes.
///
/// `value` appends to the buffer what a variable is worth, and nothing when it has no value. It
/// sees the fields as they are at that point.
///
/// A value that no field may have (RFC 9110 section 5.5: control characters) counts as none, so
/// that a variable cannot add a line. A field that is to be replaced by no value becomes empty: a
/// peer's own text never stays in its place. Where there are several fields of a name, one that is
/// appended to becomes the only one, with all values in it; `set-cookie`, which no comma may
/// join, becomes one more field instead.
///
/// Reserved fields (see [`is_reserved`]) are left alone.
pub fn apply(
    fields: &mut Fields,
    scopes: [&Edits; 3],
    mut value: impl FnMut(&Variable, &Fields, &mut Vec<u8>),
) {
    let mut buffer = Vec::new();
    for scope in scopes {
        for addition in &scope.add {
            let name = addition.name.as_str();
            if is_reserved(name) {
                continue;
            }
            match &addition.value {
                Template::Text(text) => add(fields, name, text.as_bytes(), addition.existing),
                Template::Value(variable) => {
                    buffer.clear();
                    value(variable, fields, &mut buffer);
                    add(fields, name, &buffer, addition.existing);
                }
            }
        }
        for name in &scope.remove {
            if !is_reserved(name) {
                fields.remove(name);
            }
        }
    }
}

fn add(fields: &mut Fields, name: &str, value: &[u8], existing: Existing) {
    let value = match value.iter().all(|&byte| may_stand_in_a_value(byte)) {
        true => value.trim_ascii(),
        false => b"",
    };
    if existing == Existing::Replace {
        return fields.set(name, value);
    }
    if name == "set-cookie" {
        return fields.push(name.as_bytes(), value);
    }
    let mut joined = Vec::new();
    for old in fields.all(name).filter(|old| !old.is_empty()) {
        joined.extend_from_slice(old);
        joined.push(b',');
    }
    if joined.is_empty() {
        return fields.set(name, value);
    }
    match value {
        b"" => _ = joined.pop(),
        _ => joined.extend_from_slice(value),
    }
    fields.set(name, &joined);
}

fn may_stand_in_a_value(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Addition;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in pairs {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        fields
    }

    fn wire(fields: &Fields) -> String {
        let mut out = Vec::new();
        fields.write_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// `+name value` appends, `=name value` replaces, `-name` removes; `%name` is a request field.
    fn edits(texts: &[&str]) -> Edits {
        let mut edits = Edits::default();
        for text in texts {
            let (name, value) = text[1..]
                .split_once(' ')
                .unwrap_or_else(|| (&text[1..], ""));
            let value = match value.strip_prefix('%') {
                Some(field) => Template::Value(Variable::RequestField(field.to_owned())),
                None => Template::Text(value.to_owned()),
            };
            let existing = match text.starts_with('+') {
                true => Existing::Append,
                false => Existing::Replace,
            };
            let name = name.to_owned();
            match text.starts_with('-') {
                true => edits.remove.push(name),
                false => edits.add.push(Addition {
                    name,
                    value,
                    existing,
                }),
            }
        }
        edits
    }

    fn edited(before: &[(&str, &str)], scopes: [&[&str]; 3]) -> String {
        let mut fields = fields(before);
        let [route, host, router] = scopes.map(edits);
        apply(
            &mut fields,
            [&route, &host, &router],
            |variable, fields, out| {
                if let Variable::RequestField(name) = variable {
                    out.extend_from_slice(fields.get(name).unwrap_or_default());
                }
            },
        );
        wire(&fields)
    }

    #[test]
    fn additions_append_or_replace() {
        for (before, edit, expected) in [
            (&[][..], "+x-a 1", "x-a: 1\r\n"),
            (&[], "=x-a 1", "x-a: 1\r\n"),
            (&[("X-A", "0")], "+x-a 1", "X-A: 0,1\r\n"),
            (&[("X-A", "")], "+x-a 1", "X-A: 1\r\n"),
            (&[("X-A", "0")], "=x-a 1", "X-A: 1\r\n"),
            (
                &[("X-A", "0"), ("b", "2"), ("x-a", "9")],
                "+x-a 1",
                "X-A: 0,9,1\r\nb: 2\r\n",
            ),
            (&[("X-A", "0"), ("x-a", "9")], "=x-a 1", "X-A: 1\r\n"),
            (
                &[("Set-Cookie", "a=1")],
                "+set-cookie b=2",
                "Set-Cookie: a=1\r\nset-cookie: b=2\r\n",
            ),
        ] {
            assert_eq!(edited(before, [&[edit], &[], &[]]), expected, "{edit}");
        }
    }

    #[test]
    fn scopes_follow_one_another_and_each_adds_before_it_removes() {
        let scopes: [&[&str]; 3] = [
            &["+x-a route", "-x-b"],
            &["+x-a host", "+x-b host", "-x-c"],
            &["+x-a router", "+x-c router"],
        ];
        let before = [("x-b", "0"), ("x-c", "0")];
        assert_eq!(
            edited(&before, scopes),
            "x-a: route,host,router\r\nx-b: host\r\nx-c: router\r\n"
        );
        assert_eq!(edited(&[], [&["+x-a 1", "-x-a"], &[], &[]]), "");
    }

    #[test]
    fn a_variable_sees_the_fields_as_they_are_by_then() {
        let scopes: [&[&str]; 3] = [&["=x-a 1", "+x-b %x-a"], &["+x-b %x-b"], &[]];
        assert_eq!(edited(&[], scopes), "x-a: 1\r\nx-b: 1,1\r\n");
    }

    #[test]
    fn a_variable_without_value_appends_nothing_and_replaces_with_nothing() {
        for (before, edit, expected) in [
            (&[("x-a", "0")][..], "+x-a %none", "x-a: 0\r\n"),
            (&[("x-a", "forged")], "=x-a %none", "x-a: \r\n"),
            (&[], "+x-a %none", "x-a: \r\n"),
        ] {
            assert_eq!(edited(before, [&[edit], &[], &[]]), expected, "{edit}");
        }
    }

    #[test]
    fn no_value_adds_a_line() {
        for value in ["1\r\nx-b: 2", "1\n2", "1\r2", "1\u{0}2", "1\u{7f}"] {
            for (edit, expected) in [("+x-a %bad", "x-a: 0\r\n"), ("=x-a %bad", "x-a: \r\n")] {
                let mut fields = fields(&[("x-a", "0")]);
                let (edits, none) = (edits(&[edit]), Edits::default());
                apply(&mut fields, [&edits, &none, &none], |_, _, out| {
                    out.extend_from_slice(value.as_bytes());
                });
                assert_eq!(wire(&fields), expected, "{edit} {value:?}");
            }
        }
        let tab = ["+x-a 1\t2"];
        assert_eq!(edited(&[], [&tab, &[], &[]]), "x-a: 1\t2\r\n");
    }

    #[test]
    fn what_frames_a_message_or_addresses_it_is_left_alone() {
        let before = [("Host", "a"), ("Content-Length", "3")];
        let edits = [
            "=host b",
            "-host",
            "+content-length 4",
            "-content-length",
            "+transfer-encoding chunked",
            "+connection close",
        ];
        assert_eq!(
            edited(&before, [&edits, &edits, &edits]),
            "Host: a\r\nContent-Length: 3\r\n"
        );
    }
}
