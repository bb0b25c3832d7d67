//! What stream filters would do with a request, as far as it can be said without asking them.

use serde::{Deserialize, Serialize};

use crate::config::{Access, Fault, IpAccess, Metadata, PayloadLimit, StreamFilter};
use crate::filter::{RouteView, metadata_made};
use crate::protocol::http1::Fields;

/// A stream filter of a listener.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct FilterSeen {
    /// Its `type`.
    pub name: String,
    /// What it does, by the route's settings where it has some.
    pub does: String,
}

/// Says what each filter does, in order, and what metadata they make. Fields that are removed for that are gone then.
pub(super) fn see(
    filters: &[StreamFilter],
    route: Option<RouteView<'_>>,
    fields: &mut Fields,
) -> (Vec<FilterSeen>, Metadata) {
    let mut metadata = Metadata::new();
    let seen = filters.iter().map(|filter| match filter {
        StreamFilter::Fault(own) => {
            let fault = route.and_then(RouteView::fault).unwrap_or(own);
            ("fault", of_fault(fault))
        }
        StreamFilter::PayloadLimit(own) => {
            let limit = route.and_then(RouteView::payload_limit).unwrap_or(*own);
            ("payload_limit", of_limit(limit))
        }
        StreamFilter::IpAccess(access) => ("ip_access", of_access(access)),
        StreamFilter::HeaderToMetadata(rules) => {
            let made = metadata_made(rules, fields);
            let words = of_metadata(&made);
            metadata.extend(made);
            ("header_to_metadata", words)
        }
        StreamFilter::Custom(name, _) => (name.as_str(), "is not asked: it may act".to_owned()),
    });
    let seen = seen.map(|(name, does)| FilterSeen {
        name: name.to_owned(),
        does,
    });
    (seen.collect(), metadata)
}

fn of_fault(fault: &Fault) -> String {
    let delay = fault.delay.map(|(delay, percent)| {
        let millis = delay.as_millis();
        format!("delays {percent} % by {millis} ms")
    });
    let abort = fault
        .abort
        .map(|(status, percent)| format!("answers {percent} % with {status}"));
    let acts: Vec<_> = delay.into_iter().chain(abort).collect();
    if acts.is_empty() {
        return "does nothing".to_owned();
    }
    let mut text = acts.join(", then ");
    if let Some(cluster) = &fault.cluster {
        text += &format!("; only to cluster {cluster}");
    }
    for field in &fault.fields {
        text += &format!("; only with {field}");
    }
    text
}

fn of_limit(PayloadLimit { bytes, status }: PayloadLimit) -> String {
    match bytes {
        0 => "lets any body pass".to_owned(),
        bytes => format!("answers bodies above {bytes} bytes with {status}"),
    }
}

fn of_access(access: &IpAccess) -> String {
    let from = match &access.field {
        Some(field) => format!("the address in {field}"),
        None => "the peer's address".to_owned(),
    };
    let default = match access.default {
        Access::Allow => "lets in",
        Access::Deny => "answers 403 to",
    };
    let lists = access.lists.len();
    format!("goes by {from}: {default} who is in none of its {lists} lists")
}

fn of_metadata(made: &Metadata) -> String {
    if made.is_empty() {
        return "makes no metadata".to_owned();
    }
    let pairs = made.iter().map(|(name, value)| format!("{name} = {value}"));
    format!("makes {}", pairs.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{FieldAfter, MetadataRule, MetadataWhen};

    #[test]
    fn filters_are_told_in_words_and_metadata_is_made() {
        let mut fields = Fields::default();
        fields.push(b"x-zone", b"b");
        let rule = MetadataRule {
            field: "x-zone".to_owned(),
            when: MetadataWhen::Present("zone".to_owned(), String::new()),
            field_after: FieldAfter::Removed,
        };
        let fault = Fault {
            delay: Some((Duration::from_millis(20), 10)),
            abort: Some((503, 5)),
            cluster: Some("c".into()),
            fields: Vec::new(),
        };
        let access = IpAccess {
            default: Access::Deny,
            field: None,
            lists: Vec::new(),
        };
        let limit = PayloadLimit {
            bytes: 7,
            status: 413,
        };
        let filters = [
            StreamFilter::Fault(fault),
            StreamFilter::Fault(Fault::default()),
            StreamFilter::PayloadLimit(limit),
            StreamFilter::IpAccess(access),
            StreamFilter::HeaderToMetadata(vec![rule.clone()]),
            StreamFilter::HeaderToMetadata(vec![rule]),
            StreamFilter::Custom("own".to_owned(), "{}".to_owned()),
        ];
        let (seen, metadata) = see(&filters, None, &mut fields);
        let told: Vec<_> = seen
            .iter()
            .map(|seen| format!("{} {}", seen.name, seen.does))
            .collect();
        assert_eq!(
            told,
            [
                "fault delays 10 % by 20 ms, then answers 5 % with 503; only to cluster c",
                "fault does nothing",
                "payload_limit answers bodies above 7 bytes with 413",
                "ip_access goes by the peer's address: answers 403 to who is in none of its 0 lists",
                "header_to_metadata makes zone = b",
                "header_to_metadata makes no metadata",
                "own is not asked: it may act",
            ]
        );
        assert_eq!(metadata["zone"], "b");
        assert!(fields.get("x-zone").is_none());
    }
}
