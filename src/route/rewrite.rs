//! The path that a route makes of a request's path.

use crate::config::{Matcher, PathRewrite};

/// The path that goes on in place of `path`, which is normal; `None` when it stays.
///
/// A prefix takes the place of what the route matched: the prefix, the whole path, or the literal
/// text of the expression where the path begins with it. Routes that look at variables match
/// nothing of a path, so only an expression changes it. Those that look at fields alone change no
/// path, as in MOSN.
#[must_use]
pub fn rewritten(matcher: &Matcher, rewrite: &PathRewrite, path: &[u8]) -> Option<Vec<u8>> {
    let mut new = match rewrite {
        PathRewrite::Keep => return None,
        PathRewrite::Prefix(prefix) => {
            let rest = match matcher {
                Matcher::Prefix(matched, _) => path.strip_prefix(matched.as_bytes())?,
                Matcher::Path(..) => b"",
                Matcher::Regex(pattern, _) => path.strip_prefix(pattern.as_str().as_bytes())?,
                Matcher::Variables(_)
                | Matcher::Service(_)
                | Matcher::Fields(_)
                | Matcher::Never => return None,
            };
            [prefix.as_bytes(), rest].concat()
        }
        PathRewrite::Regex(pattern, with) => match matcher {
            Matcher::Prefix(..)
            | Matcher::Path(..)
            | Matcher::Regex(..)
            | Matcher::Variables(_) => pattern.replace_all(path, with),
            Matcher::Service(_) | Matcher::Fields(_) | Matcher::Never => return None,
        },
    };
    // A request line has no other paths.
    if new.first() != Some(&b'/') {
        new.insert(0, b'/');
    }
    (new != path).then_some(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Pattern;

    fn pattern(text: &str) -> Pattern {
        Pattern::new(text).unwrap()
    }

    #[test]
    fn each_kind_of_route_rewrites_what_it_matched() {
        let prefix = |text: &str| Matcher::Prefix(text.to_owned(), vec![]);
        let whole = |text: &str| Matcher::Path(text.to_owned(), vec![]);
        let regex = |text| Matcher::Regex(pattern(text), vec![]);
        let to = |text: &str| PathRewrite::Prefix(text.to_owned());
        let each = |text, with: &str| PathRewrite::Regex(pattern(text), with.to_owned());
        let variables = || Matcher::Variables(vec![]);
        let fields = || Matcher::Fields(vec![]);
        for (matcher, rewrite, path, expected) in [
            (prefix("/a"), PathRewrite::Keep, "/a/b", None),
            (prefix("/a"), to("/x"), "/a/b", Some("/x/b")),
            (prefix("/a/"), to("/"), "/a/b", Some("/b")),
            (prefix("/a"), to("/a"), "/a/b", None),
            (prefix("/a"), to("x"), "/a/b", Some("/x/b")),
            (whole("/a/b"), to("/x"), "/A/b", Some("/x")),
            (regex("/a"), to("/x"), "/a/b", Some("/x/b")),
            (regex("^/a"), to("/x"), "/a/b", None),
            (variables(), to("/x"), "/a/b", None),
            (fields(), to("/x"), "/a/b", None),
            (
                prefix("/"),
                each("/([a-z])", "/$1$1"),
                "/a/b",
                Some("/aa/bb"),
            ),
            (
                prefix("/"),
                each("^/a/(.*)$", "/${1}/a"),
                "/a/b",
                Some("/b/a"),
            ),
            (prefix("/"), each("zz", "y"), "/a/b", None),
            (prefix("/"), each(".*", ""), "/a/b", Some("/")),
            (variables(), each("/a", "/x"), "/a/b", Some("/x/b")),
            (fields(), each("/a", "/x"), "/a/b", None),
            (Matcher::Service(None), each("/a", "/x"), "/a/b", None),
        ] {
            let new = rewritten(&matcher, &rewrite, path.as_bytes());
            let new = new.map(|new| String::from_utf8(new).unwrap());
            assert_eq!(new.as_deref(), expected, "{matcher:?} {rewrite:?}");
        }
    }
}
