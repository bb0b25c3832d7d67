//! `header_to_metadata`: makes metadata for the choice of a host out of header fields.

use super::{Phase, RequestView, StreamFilter, Verdict};
use crate::config::{FieldAfter, Metadata, MetadataRule, MetadataWhen};
use crate::protocol::http1::Fields;
use crate::route::is_reserved;

/// Makes a pair of metadata for each rule that applies; a later rule overwrites an earlier one's
/// pair of the same key. A field that frames the message or addresses it is never removed.
#[derive(Debug)]
pub(super) struct HeaderToMetadata(pub(super) Vec<MetadataRule>);

impl StreamFilter for HeaderToMetadata {
    fn phases(&self) -> &[Phase] {
        &[Phase::AfterRoute]
    }

    fn on_request(&self, _: Phase, request: &mut RequestView<'_>) -> Verdict {
        request.metadata.extend(made(&self.0, request.fields));
        Verdict::Continue
    }
}

/// What the rules make of the fields of a request, which lose those that are to be removed.
#[must_use]
pub fn made(rules: &[MetadataRule], fields: &mut Fields) -> Metadata {
    let mut metadata = Metadata::new();
    for rule in rules {
        let found = fields.get(&rule.field);
        let (key, value) = match (&rule.when, found) {
            (MetadataWhen::Present(key, value), Some(found)) if value.is_empty() => {
                (key, String::from_utf8_lossy(found).into_owned())
            }
            (MetadataWhen::Present(key, value), Some(_))
            | (MetadataWhen::Missing(key, value), None) => (key, value.clone()),
            (MetadataWhen::Present(..), None) | (MetadataWhen::Missing(..), Some(_)) => {
                continue;
            }
        };
        metadata.insert(key.clone(), value);
        if rule.field_after == FieldAfter::Removed && !is_reserved(&rule.field) {
            fields.remove(&rule.field);
        }
    }
    metadata
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::view::tests::Request;

    fn rule(field: &str, when: MetadataWhen, field_after: FieldAfter) -> MetadataRule {
        MetadataRule {
            field: field.to_owned(),
            when,
            field_after,
        }
    }

    fn present(key: &str, value: &str) -> MetadataWhen {
        MetadataWhen::Present(key.to_owned(), value.to_owned())
    }

    fn missing(key: &str, value: &str) -> MetadataWhen {
        MetadataWhen::Missing(key.to_owned(), value.to_owned())
    }

    /// The metadata, and whether `x-zone` is still there.
    fn outcome(rules: Vec<MetadataRule>) -> (Vec<(String, String)>, bool) {
        let mut request = Request::default().field("X-Zone", "b");
        let filter = HeaderToMetadata(rules);
        let verdict = request.see(|request| filter.on_request(Phase::AfterRoute, request));
        assert_eq!(verdict, Verdict::Continue);
        let is_there = request.fields.get("x-zone").is_some();
        (request.metadata.into_iter().collect(), is_there)
    }

    #[test]
    fn a_rule_makes_a_pair_where_its_field_is_or_is_missing() {
        use FieldAfter::{Kept, Removed};
        for (rule, pair, stays) in [
            (
                rule("x-zone", present("zone", ""), Kept),
                Some(("zone", "b")),
                true,
            ),
            (
                rule("x-zone", present("zone", "c"), Kept),
                Some(("zone", "c")),
                true,
            ),
            (
                rule("x-zone", present("zone", ""), Removed),
                Some(("zone", "b")),
                false,
            ),
            (rule("x-zone", missing("zone", "c"), Removed), None, true),
            (rule("x-rack", present("rack", "1"), Kept), None, true),
            (
                rule("x-rack", missing("rack", "1"), Kept),
                Some(("rack", "1")),
                true,
            ),
        ] {
            let expected = pair.map(|(key, value)| (key.to_owned(), value.to_owned()));
            let (pairs, is_there) = outcome(vec![rule.clone()]);
            assert_eq!(pairs, Vec::from_iter(expected), "{rule:?}");
            assert_eq!(is_there, stays, "{rule:?}");
        }
    }

    #[test]
    fn the_last_rule_for_a_key_counts() {
        let rules = vec![
            rule("x-zone", present("zone", "1"), FieldAfter::Kept),
            rule("x-zone", present("zone", "2"), FieldAfter::Removed),
            rule("x-zone", present("zone", "3"), FieldAfter::Kept),
        ];
        let (pairs, _) = outcome(rules);
        assert_eq!(pairs, [("zone".to_owned(), "2".to_owned())]);
    }
}
