//! Why a route takes a request or does not, in words.

use std::fmt::Display;

use super::Facts;
use super::matcher::{hold, is, same_path};
use crate::config::{FieldMatch, Matcher};

/// Why `matcher` does not take the request; `None` when it does.
///
/// For people who ask: a request that is served goes through [`Table::find`](super::Table::find).
#[must_use]
pub fn why_not(matcher: &Matcher, facts: &impl Facts) -> Option<String> {
    let path = || String::from_utf8_lossy(facts.path()).into_owned();
    let is_of_paths = matches!(
        matcher,
        Matcher::Prefix(..) | Matcher::Path(..) | Matcher::Regex(..)
    );
    if is_of_paths && facts.path().is_empty() {
        return Some("it has no path".to_owned());
    }
    match matcher {
        Matcher::Prefix(prefix, fields) => match facts.path().starts_with(prefix.as_bytes()) {
            true => missing(fields, facts),
            false => Some(format!("the path {} does not begin so", path())),
        },
        Matcher::Path(wanted, fields) => match same_path(wanted, facts.path()) {
            true => missing(fields, facts),
            false => Some(format!("the path is {}", path())),
        },
        Matcher::Regex(pattern, fields) => match pattern.is_in(facts.path()) {
            true => missing(fields, facts),
            false => Some(format!("the pattern is not in the path {}", path())),
        },
        Matcher::Variables(items) => (!hold(items, facts)).then(|| {
            let values = items.iter().map(|item| {
                let value = facts.variable(&item.variable).unwrap_or_default();
                said(&item.variable, Some(&value))
            });
            values.collect::<Vec<_>>().join(", ")
        }),
        Matcher::Service(service) => {
            let found = facts.field("service").filter(|found| !found.is_empty());
            let takes = match service {
                Some(service) => found == Some(service.as_bytes()),
                None => found.is_some(),
            };
            (!takes).then(|| said(&"the field service", found))
        }
        Matcher::Fields(fields) => missing(fields, facts),
        Matcher::Never => Some("it is not yet in effect".to_owned()),
    }
}

/// The first field that is not as it must be.
fn missing(fields: &[FieldMatch], facts: &impl Facts) -> Option<String> {
    fields.iter().find_map(|wanted| match wanted {
        FieldMatch::Method(wanted) => {
            let found = facts.method();
            (found != wanted.as_bytes()).then(|| said(&"the method", Some(found)))
        }
        FieldMatch::Field(name, text) => {
            let found = facts.field(name);
            let fits = found.is_some_and(|value| is(text, value));
            (!fits).then(|| said(&format_args!("the field {name}"), found))
        }
    })
}

fn said(what: &dyn Display, found: Option<&[u8]>) -> String {
    match found {
        Some(b"") => format!("{what} is empty"),
        Some(found) => format!("{what} is {}", String::from_utf8_lossy(found)),
        None => format!("{what} is missing"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Pattern, TextMatch};
    use crate::route::matcher::takes;
    use crate::route::table::tests::Request;

    #[test]
    fn what_a_route_misses_is_said_in_words() {
        let version = || FieldMatch::Field("x-v".to_owned(), TextMatch::Exact("2".to_owned()));
        let request = Request::to("h", "/a/b").field("x-v", "1");
        let prefix = |text: &str, fields| Matcher::Prefix(text.to_owned(), fields);
        for (matcher, expected) in [
            (prefix("/a", vec![]), None),
            (
                prefix("/b", vec![]),
                Some("the path /a/b does not begin so"),
            ),
            (prefix("/a", vec![version()]), Some("the field x-v is 1")),
            (
                prefix("/a", vec![FieldMatch::Method("PUT".into())]),
                Some("the method is GET"),
            ),
            (Matcher::Path("/A/B".into(), vec![]), None),
            (Matcher::Path("/a".into(), vec![]), Some("the path is /a/b")),
            (
                Matcher::Regex(Pattern::new("[0-9]").unwrap(), vec![]),
                Some("the pattern is not in the path /a/b"),
            ),
            (Matcher::Service(None), Some("the field service is missing")),
            (Matcher::Never, Some("it is not yet in effect")),
        ] {
            let why = why_not(&matcher, &request);
            assert_eq!(why.as_deref(), expected, "{matcher}");
            assert_eq!(why.is_none(), takes(&matcher, &request), "{matcher}");
        }
    }
}
