//! Whether one route takes a request.

use super::Facts;
use super::fold::Room;
use crate::config::{FieldMatch, Matcher, Model, TextMatch, VariableMatch};

/// Whether `matcher` takes the request.
pub(super) fn takes(matcher: &Matcher, facts: &impl Facts) -> bool {
    match matcher {
        Matcher::Prefix(prefix, fields) => {
            facts.path().starts_with(prefix.as_bytes()) && has(fields, facts)
        }
        Matcher::Path(path, fields) => same_path(path, facts.path()) && has(fields, facts),
        // What has no path is of a protocol that knows none.
        Matcher::Regex(pattern, fields) => {
            let path = facts.path();
            !path.is_empty() && pattern.is_in(path) && has(fields, facts)
        }
        Matcher::Variables(items) => hold(items, facts),
        Matcher::Service(service) => {
            let value = facts.field("service").unwrap_or_default();
            match service {
                Some(service) => value == service.as_bytes(),
                None => !value.is_empty(),
            }
        }
        Matcher::Fields(fields) => has(fields, facts),
        Matcher::Never => false,
    }
}

/// What `takes` still asks when the path is known to match.
pub(super) fn takes_beside_path(matcher: &Matcher, facts: &impl Facts) -> bool {
    match matcher {
        Matcher::Prefix(_, fields) | Matcher::Path(_, fields) => has(fields, facts),
        _ => takes(matcher, facts),
    }
}

/// Whether a request has all of `matches`; `field` finds the value under a name in lower case.
pub fn has_all<'a>(
    matches: &[FieldMatch],
    method: &[u8],
    field: impl Fn(&str) -> Option<&'a [u8]>,
) -> bool {
    matches.iter().all(|wanted| match wanted {
        FieldMatch::Method(wanted) => method == wanted.as_bytes(),
        FieldMatch::Field(name, text) => field(name).is_some_and(|value| is(text, value)),
    })
}

fn has(matches: &[FieldMatch], facts: &impl Facts) -> bool {
    has_all(matches, facts.method(), |name| facts.field(name))
}

pub(super) fn same_path(wanted: &str, path: &[u8]) -> bool {
    let (mut one, mut other) = (Room::new(), Room::new());
    one.folded(wanted.as_bytes()) == other.folded(path)
}

pub(super) fn is(text: &TextMatch, value: &[u8]) -> bool {
    match text {
        TextMatch::Exact(text) => value == text.as_bytes(),
        TextMatch::Regex(pattern) => pattern.is_in(value),
    }
}

/// As [`Model`] says.
pub(super) fn hold(items: &[VariableMatch], facts: &impl Facts) -> bool {
    let mut result = true;
    let mut joined_by = Model::And;
    for item in items {
        // What "and" would join to a result that is false needs no look.
        if joined_by == Model::Or || result {
            let value = facts.variable(&item.variable).unwrap_or_default();
            result = is(&item.text, &value);
        }
        if result && item.model == Model::Or {
            return true;
        }
        joined_by = item.model;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Known, Pattern, Variable};
    use crate::route::table::tests::Request;

    fn exact(text: &str) -> TextMatch {
        TextMatch::Exact(text.to_owned())
    }

    fn found(text: &str) -> TextMatch {
        TextMatch::Regex(Pattern::new(text).unwrap())
    }

    fn regex_of_all() -> Matcher {
        Matcher::Regex(Pattern::new(".*").unwrap(), vec![])
    }

    fn field(name: &str, text: TextMatch) -> FieldMatch {
        FieldMatch::Field(name.to_owned(), text)
    }

    fn request() -> Request {
        Request::to("host", "/Api/v1")
            .method("POST")
            .field("x-a", "1")
            .field("service", "green")
    }

    #[test]
    fn each_kind_asks_its_own_question() {
        let path = |text: &str, fields| Matcher::Path(text.to_owned(), fields);
        let prefix = |text: &str, fields| Matcher::Prefix(text.to_owned(), fields);
        let regex = |text: &str, fields| Matcher::Regex(Pattern::new(text).unwrap(), fields);
        let post = || FieldMatch::Method("POST".to_owned());
        for (matcher, expected) in [
            (prefix("/Api", vec![]), true),
            (prefix("/api", vec![]), false),
            (prefix("/Api", vec![post(), field("x-a", exact("1"))]), true),
            (
                prefix("/Api", vec![post(), field("x-a", exact("2"))]),
                false,
            ),
            (path("/aPI/V1", vec![]), true),
            (path("/api", vec![]), false),
            (
                path("/api/v1", vec![FieldMatch::Method("post".to_owned())]),
                false,
            ),
            (regex("v[0-9]$", vec![]), true),
            (regex("v[0-9]$", vec![field("x-b", found(""))]), false),
            (Matcher::Service(Some("green".to_owned())), true),
            (Matcher::Service(Some("gree".to_owned())), false),
            (Matcher::Service(None), true),
            (Matcher::Fields(vec![]), true),
            (Matcher::Fields(vec![field("x-a", found("[0-9]"))]), true),
            (Matcher::Fields(vec![field("method", exact("POST"))]), false),
            (Matcher::Never, false),
        ] {
            assert_eq!(takes(&matcher, &request()), expected, "{matcher:?}");
        }
        let pathless = Request::to("host", "");
        assert!(!takes(&regex_of_all(), &pathless));
        let bare = Request::to("host", "/");
        assert!(!takes(&Matcher::Service(None), &bare));
    }

    #[test]
    fn variables_are_read_from_left_to_right() {
        let method = || Variable::Known(Known::Method);
        let item = |text: &str, model| VariableMatch {
            variable: method(),
            text: exact(text),
            model,
        };
        let (yes, no) = ("POST", "GET");
        let (and, or) = (Model::And, Model::Or);
        for (items, expected) in [
            (vec![], true),
            (vec![(yes, and)], true),
            (vec![(no, or)], false),
            (vec![(yes, and), (no, and)], false),
            (vec![(no, or), (yes, and)], true),
            (vec![(yes, or), (no, and)], true),
            (vec![(no, and), (yes, or), (yes, and)], true),
            (vec![(no, and), (yes, or), (no, and)], false),
            (vec![(no, or), (no, or)], false),
            (vec![(yes, and), (yes, or), (no, and)], true),
        ] {
            let rule = items.iter().map(|&(text, model)| item(text, model));
            let matcher = Matcher::Variables(rule.collect());
            assert_eq!(takes(&matcher, &request()), expected, "{items:?}");
        }
    }

    #[test]
    fn a_variable_without_a_value_counts_as_empty() {
        let rule = |text| {
            Matcher::Variables(vec![VariableMatch {
                variable: Variable::Unknown("nothing".to_owned()),
                text,
                model: Model::And,
            }])
        };
        assert!(takes(&rule(exact("")), &request()));
        assert!(takes(&rule(found("^$")), &request()));
        assert!(!takes(&rule(found(".")), &request()));
    }
}
