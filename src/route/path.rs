//! A path as it came, as routes compare it, and as it goes on.

use std::borrow::Cow;

use memchr::{memchr, memrchr};

/// The path that routes compare: unescaped, with one slash where there are several, without `.` and
/// `..`, and with a slash before it.
///
/// What is escaped is unescaped first, so that `%2e%2e` and `%2f` mean what an upstream may take
/// them for. A `%` that begins no escape stays. Borrowed when there is nothing to do.
#[must_use]
pub fn normal_path(raw: &[u8]) -> Cow<'_, [u8]> {
    if is_normal(raw) {
        return Cow::Borrowed(raw);
    }
    let mut path = Vec::with_capacity(raw.len() + 1);
    if raw.first() != Some(&b'/') {
        path.push(b'/');
    }
    unescape(raw, &mut path);
    resolve(&mut path);
    Cow::Owned(path)
}

/// A path as a request line has it: escaped as Go does it. Empty, it is `/`; `*` stays.
#[must_use]
pub fn escape_path(path: &[u8]) -> Cow<'_, [u8]> {
    match path {
        b"" => return Cow::Borrowed(b"/"),
        b"*" => return Cow::Borrowed(path),
        _ if path.iter().copied().all(stays) => return Cow::Borrowed(path),
        _ => {}
    }
    let mut escaped = Vec::with_capacity(path.len() + 16);
    for &byte in path {
        match stays(byte) {
            true => escaped.push(byte),
            false => escaped.extend([b'%', hex(byte >> 4), hex(byte & 15)]),
        }
    }
    Cow::Owned(escaped)
}

/// The path that goes upstream: `raw` as it came where it still says what `now` says, the path that
/// filters and rewrites have left; else `now`, escaped.
#[must_use]
pub fn forwarded_path<'a>(raw: &'a [u8], now: &'a [u8]) -> Cow<'a, [u8]> {
    if raw.is_empty() {
        return escape_path(now);
    }
    let same = *normal_path(raw) == *now || {
        let mut unescaped = Vec::new();
        memchr(b'%', raw).is_some() && {
            unescape(raw, &mut unescaped);
            unescaped == now
        }
    };
    match same || raw == now && memchr(b'%', raw).is_none() {
        true => Cow::Borrowed(raw),
        false => escape_path(now),
    }
}

fn is_normal(raw: &[u8]) -> bool {
    if raw.first() != Some(&b'/') {
        return false;
    }
    let mut rest = raw;
    while let Some((&byte, after)) = rest.split_first() {
        let wrong = match byte {
            b'%' => true,
            b'/' => matches!(
                after,
                [b'/', ..] | [b'.'] | [b'.', b'/', ..] | [b'.', b'.'] | [b'.', b'.', b'/', ..]
            ),
            _ => false,
        };
        if wrong {
            return false;
        }
        rest = after;
    }
    true
}

fn unescape(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(at) = memchr(b'%', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let escaped = match rest {
            [_, high, low, ..] => digit(*high).zip(digit(*low)),
            _ => None,
        };
        let length = match escaped {
            Some((high, low)) => {
                out.push(high << 4 | low);
                3
            }
            None => {
                out.push(b'%');
                1
            }
        };
        rest = &rest[length..];
    }
    out.extend_from_slice(rest);
}

/// Resolves segments in place. `path` begins with a slash.
fn resolve(path: &mut Vec<u8>) {
    // What lies before `kept` is resolved, and ends without a slash.
    let (mut kept, mut at) = (0, 0);
    loop {
        let end = memchr(b'/', &path[at + 1..]).map_or(path.len(), |next| at + 1 + next);
        let names_a_place = match &path[at + 1..end] {
            b"" | b"." => false,
            b".." => {
                kept = memrchr(b'/', &path[..kept]).unwrap_or(0);
                false
            }
            _ => {
                path.copy_within(at..end, kept);
                kept += end - at;
                true
            }
        };
        if end < path.len() {
            at = end;
            continue;
        }
        if !names_a_place {
            path[kept] = b'/';
            kept += 1;
        }
        return path.truncate(kept);
    }
}

fn stays(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&byte)
}

fn digit(hex: u8) -> Option<u8> {
    let digit = char::from(hex).to_digit(16)?;
    u8::try_from(digit).ok()
}

fn hex(digit: u8) -> u8 {
    b"0123456789ABCDEF"[usize::from(digit)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(path: &[u8]) -> String {
        String::from_utf8_lossy(path).into_owned()
    }

    #[test]
    fn a_path_is_unescaped_and_its_segments_resolved() {
        for (raw, expected) in [
            ("", "/"),
            ("*", "/*"),
            ("a", "/a"),
            ("/a%20b", "/a b"),
            ("/a%2Fb", "/a/b"),
            ("/a%2f%2fb", "/a/b"),
            ("/100%", "/100%"),
            ("/%zz%4", "/%zz%4"),
            ("/a+b", "/a+b"),
            ("//a///b//", "/a/b/"),
            ("/a/./b", "/a/b"),
            ("/a/.", "/a/"),
            ("/./", "/"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/b/../..", "/"),
            ("/../../a", "/a"),
            ("/..", "/"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/..%2fb", "/b"),
            ("/a//../b", "/b"),
            ("/a/.../b", "/a/.../b"),
            ("/%252e%252e/a", "/%2e%2e/a"),
        ] {
            assert_eq!(text(&normal_path(raw.as_bytes())), expected, "{raw}");
        }
    }

    #[test]
    fn a_path_with_nothing_to_do_is_borrowed() {
        for raw in ["/", "/a/b/", "/.well-known/x", "/a/..b/.c", "/\u{e4}"] {
            assert!(
                matches!(normal_path(raw.as_bytes()), Cow::Borrowed(_)),
                "{raw}"
            );
        }
    }

    #[test]
    fn a_path_is_escaped_as_go_does_it() {
        for (path, expected) in [
            ("", "/"),
            ("*", "*"),
            ("/a-_.~$&+,:;=@z", "/a-_.~$&+,:;=@z"),
            ("/a b?c#d%", "/a%20b%3Fc%23d%25"),
            ("/!'()*[]\u{e4}", "/%21%27%28%29%2A%5B%5D%C3%A4"),
            ("/a\r\nb\0", "/a%0D%0Ab%00"),
        ] {
            assert_eq!(text(&escape_path(path.as_bytes())), expected, "{path}");
        }
    }

    #[test]
    fn a_path_goes_on_as_it_came_unless_it_was_changed() {
        for (raw, now, expected) in [
            ("/a%20b", "/a b", "/a%20b"),
            ("/a!b", "/a!b", "/a!b"),
            ("/a/../b", "/b", "/a/../b"),
            ("//a", "//a", "//a"),
            ("//a%20", "//a ", "//a%20"),
            ("*", "/*", "*"),
            ("/a%2Fb", "/a/b", "/a%2Fb"),
            ("/a%20b", "/c d", "/c%20d"),
            ("/%41", "/%41", "/%2541"),
            ("", "/", "/"),
            ("", "", "/"),
        ] {
            let forwarded = forwarded_path(raw.as_bytes(), now.as_bytes());
            assert_eq!(text(&forwarded), expected, "{raw} {now}");
        }
    }

    proptest! {
        #[test]
        fn a_normal_path_is_absolute_and_has_nothing_left_to_resolve(
            raw in "[/.a%2eEfF5]{0,24}"
        ) {
            let path = normal_path(raw.as_bytes()).into_owned();
            prop_assert_eq!(path[0], b'/');
            let mut segments = path[1..].split(|&byte| byte == b'/').rev();
            prop_assert!(!matches!(segments.next().unwrap(), b"." | b".."));
            for segment in segments {
                prop_assert!(!matches!(segment, b"" | b"." | b".."), "{}", text(&path));
            }
        }

        #[test]
        fn unescaping_what_was_escaped_gives_it_back(path in proptest::collection::vec(any::<u8>(), 1..24)) {
            let mut back = Vec::new();
            unescape(&escape_path(&path), &mut back);
            prop_assert_eq!(back, path);
        }
    }
}
