//! The pieces of a request's target, decoded.

/// The parameters of a query, in order; those without `=` have an empty value.
pub(super) fn parse(query: &str) -> Vec<(String, String)> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    let pairs = parts.map(|part| part.split_once('=').unwrap_or((part, "")));
    pairs
        .map(|(name, value)| (decode(name, Plus::Space), decode(value, Plus::Space)))
        .collect()
}

/// The segments of a path that stand in the places of `{…}`, when it fits the pattern.
pub(super) fn fits(pattern: &str, path: &str) -> Option<Vec<String>> {
    // Nearly every pattern is another one's, and begins otherwise.
    let fixed = pattern.bytes().zip(path.bytes());
    let mut fixed = fixed.take_while(|(wanted, _)| *wanted != b'{');
    if fixed.any(|(wanted, given)| wanted != given) {
        return None;
    }
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    let mut found = Vec::new();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(found),
            (Some(name), Some(value)) if name.starts_with('{') && !value.is_empty() => {
                found.push(decode(value, Plus::Plus));
            }
            (Some(name), Some(value)) if name == value => {}
            _ => return None,
        }
    }
}

/// What a `+` means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plus {
    Plus,
    Space,
}

/// Octets written as `%41`; what is no such octet stays as it is.
fn decode(text: &str, plus: Plus) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let octet = bytes.get(at + 1..at + 3).filter(|_| byte == b'%');
        let octet = octet.and_then(|digits| std::str::from_utf8(digits).ok());
        let octet = octet.filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        match octet.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(octet) => {
                decoded.push(octet);
                at += 3;
            }
            None => {
                decoded.push(if byte == b'+' && plus == Plus::Space {
                    b' '
                } else {
                    byte
                });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_taken_apart() {
        for (query, expected) in [
            ("", &[][..]),
            ("a=1&b", &[("a", "1"), ("b", "")]),
            ("a=%20%2f+x&a=%zz%", &[("a", " / x"), ("a", "%zz%")]),
            ("=x", &[("", "x")]),
        ] {
            let parsed = parse(query);
            let parsed: Vec<_> = parsed
                .iter()
                .map(|(k, v)| (k.as_str(), v.as_str()))
                .collect();
            assert_eq!(parsed, expected, "{query}");
        }
        for (pattern, path, expected) in [
            ("/a", "/a", Some(&[][..])),
            ("/a", "/a/", None),
            ("/a/{name}", "/a/x%2Fy+z", Some(&["x/y+z"])),
            ("/a/{name}", "/a/", None),
            ("/a/{name}/b", "/a/x/b", Some(&["x"])),
            ("/a/{name}/b", "/a/x", None),
        ] {
            assert_eq!(
                fits(pattern, path).as_deref(),
                expected
                    .map(|e| e.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>())
                    .as_deref(),
                "{path}"
            );
        }
    }
}
