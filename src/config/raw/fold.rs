//! Which known name a written one is, or was probably meant to be.

/// Texts longer than this are never compared for likeness: that costs the product of lengths.
const COMPARABLE: usize = 64;

/// Whether Go's decoder takes one for the other: letter case is ignored, and so are the two
/// characters outside ASCII that fold into it.
pub(crate) fn folds(written: &str, known: &str) -> bool {
    written.eq_ignore_ascii_case(known)
        || !written.is_ascii() && written.chars().map(plain).eq(known.chars().map(plain))
}

fn plain(character: char) -> char {
    match character {
        'ſ' => 's',
        '\u{212A}' => 'k',
        other => other.to_ascii_lowercase(),
    }
}

/// The name among `known` that `written` most resembles, if it resembles any.
pub(crate) fn nearest<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    if written.is_empty() || written.len() > COMPARABLE {
        return None;
    }
    let written = written.to_ascii_lowercase();
    known
        .into_iter()
        .filter(|name| name.len() <= COMPARABLE)
        .map(|name| {
            (
                strsim::jaro_winkler(&written, &name.to_ascii_lowercase()),
                name,
            )
        })
        .filter(|(likeness, _)| *likeness >= 0.85)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fold_as_in_go() {
        for (written, known, same) in [
            ("name", "name", true),
            ("NAME", "name", true),
            ("hoſts", "hosts", true),
            ("mar\u{212A}", "mark", true),
            ("naïve", "naive", false),
            ("names", "name", false),
        ] {
            assert_eq!(folds(written, known), same, "{written} {known}");
        }
    }

    #[test]
    fn the_nearest_name_is_found_or_none_is() {
        let known = ["listeners", "routers", "processor"];
        assert_eq!(nearest("listners", known), Some("listeners"));
        assert_eq!(nearest("Routes", known), Some("routers"));
        assert_eq!(nearest("zone", known), None);
        assert_eq!(nearest(&"r".repeat(1000), known), None);
    }
}
