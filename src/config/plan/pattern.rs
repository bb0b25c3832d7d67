//! Regular expressions in Go's syntax.

/// A regular expression, compiled. Equal to another of the same text.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    regex: regex::bytes::Regex,
}

impl Pattern {
    /// Compiles `text`: RE2's syntax, which is Go's too, within a bounded size.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words of one line.
    pub fn new(text: &str) -> Result<Self, String> {
        let mut builder = regex::bytes::RegexBuilder::new(&translated(text));
        let regex = builder.size_limit(1 << 20).build();
        let regex = regex.map_err(|error| {
            if let regex::Error::CompiledTooBig(limit) = error {
                return format!("it takes more than {limit} bytes when it is compiled");
            }
            let words = error.to_string();
            let last = words.lines().last().unwrap_or_default();
            last.strip_prefix("error: ").unwrap_or(last).to_owned()
        })?;
        let text = text.to_owned();
        Ok(Self { text, regex })
    }

    /// The one that is found nowhere.
    #[must_use]
    pub fn never() -> Self {
        Self::new(r"[^\x00-\x{10FFFF}]").expect("an empty class is a pattern")
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is found anywhere in `text`.
    #[must_use]
    pub fn is_in(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }

    /// `text` with every match replaced; `$1` and `${1}` stand for groups.
    #[must_use]
    pub fn replace_all(&self, text: &[u8], with: &str) -> Vec<u8> {
        self.regex.replace_all(text, with.as_bytes()).into_owned()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// The same in the syntax of the `regex` crate, where the two differ: Go's `\d`, `\s`, `\w` and `\b`
/// know ASCII only, `\Q…\E` quotes, a brace that repeats nothing stands for itself, and classes
/// neither nest nor intersect.
fn translated(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    // What a class may hold first and still go on: `[]a]`, `[^]a]`.
    let mut class: Option<usize> = None;
    while let Some(next) = rest.chars().next() {
        let taken = match (next, class) {
            ('\\', _) => escape(rest, class.is_some(), &mut out),
            ('[', Some(_)) => match rest.find(":]").filter(|_| rest.starts_with("[:")) {
                Some(end) => copy(&rest[..end + 2], &mut out),
                None => quoted('[', &mut out),
            },
            ('[', None) => {
                let open = if rest.starts_with("[^") { "[^" } else { "[" };
                class = Some(out.len() + open.len());
                copy(open, &mut out)
            }
            (']', Some(start)) if out.len() > start => {
                class = None;
                copy("]", &mut out)
            }
            (']', Some(_)) => quoted(']', &mut out),
            ('&' | '~', Some(_)) => quoted(next, &mut out),
            ('-', Some(_)) if rest.starts_with("--") => quoted('-', &mut out),
            ('{', None) if !repeats(rest) => quoted('{', &mut out),
            _ => copy(&rest[..next.len_utf8()], &mut out),
        };
        rest = &rest[taken..];
    }
    out
}

/// Writes what the escape at the start of `rest` means; gives how much of it that was.
fn escape(rest: &str, in_class: bool, out: &mut String) -> usize {
    let Some(escaped) = rest.chars().nth(1) else {
        return copy(rest, out);
    };
    let meaning = match escaped {
        'Q' => {
            let quote = rest[2..].split(r"\E").next().unwrap_or_default();
            out.push_str(&regex::escape(quote));
            let closed = rest[2 + quote.len()..].starts_with(r"\E");
            return 2 + quote.len() + if closed { 2 } else { 0 };
        }
        'b' if !in_class => r"(?-u:\b)",
        'B' if !in_class => r"(?-u:\B)",
        'd' => "[0-9]",
        'D' => "[^0-9]",
        's' => r"[\t\n\f\r ]",
        'S' => r"[^\t\n\f\r ]",
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        _ => return copy(&rest[..1 + escaped.len_utf8()], out),
    };
    out.push_str(meaning);
    2
}

fn copy(text: &str, out: &mut String) -> usize {
    out.push_str(text);
    text.len()
}

fn quoted(character: char, out: &mut String) -> usize {
    out.push('\\');
    out.push(character);
    character.len_utf8()
}

/// Whether `rest` starts with `{n}`, `{n,}` or `{n,m}`.
fn repeats(rest: &str) -> bool {
    let Some((inner, _)) = rest[1..].split_once('}') else {
        return false;
    };
    let (least, most) = inner.split_once(',').unwrap_or((inner, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !least.is_empty() && digits(least) && digits(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_in_go() {
        for (pattern, text, found) in [
            ("^/a/[0-9]+$", "/a/7", true),
            ("b", "abc", true),
            ("/{id}/", "/{id}/", true),
            ("a{2}", "aa", true),
            ("a{2,}b", "aaab", true),
            ("a{,2}", "a{,2}", true),
            (r"^\d$", "٣", false),
            (r"^\w$", "é", false),
            (r"^[^\w]$", "é", true),
            (r"^[\d.]+$", "1.5", true),
            (r"é\b", "é", false),
            (r"\Qa.b\E+", "a.bb", true),
            (r"\Qa.b", "axb", false),
            ("[[]", "[", true),
            ("[]a]", "]", true),
            ("[^]a]", "]", false),
            ("[a&&b]", "&", true),
            ("[[:digit:]]", "5", true),
            ("(?i)ABC", "abc", true),
            ("^.$", "é", true),
        ] {
            let compiled = Pattern::new(pattern).unwrap();
            assert_eq!(compiled.is_in(text.as_bytes()), found, "{pattern} {text}");
        }
        assert!(!Pattern::never().is_in(b""));
        assert!(!Pattern::never().is_in("é".as_bytes()));
    }

    #[test]
    fn what_go_refuses_is_refused_in_a_line() {
        for pattern in ["(", "[b-a]", "(?=a)", r"\", "[a", "a{2,1}", "(?P<n"] {
            let error = Pattern::new(pattern).unwrap_err();
            assert!(
                !error.is_empty() && !error.contains('\n'),
                "{pattern}: {error}"
            );
        }
        assert!(
            Pattern::new("((a{100}){100}){100}").is_err(),
            "it is too large"
        );
    }

    #[test]
    fn groups_stand_in_what_replaces() {
        let pattern = Pattern::new("^/v([0-9])/").unwrap();
        assert_eq!(pattern.replace_all(b"/v1/a", "/${1}x/"), b"/1x/a");
    }
}
