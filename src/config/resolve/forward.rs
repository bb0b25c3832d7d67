//! `route`: which cluster takes a request, and how it goes there.

use std::sync::Arc;
use std::time::Duration;

use super::Scope;
use super::metadata::metadata;
use super::retry::retry;
use super::text::{field_name, field_value, not_looked_at, pattern, unsaid};
use crate::config::diagnostics::Code;
use crate::config::plan::{
    ClusterChoice, Forward, HashKey, HostRewrite, Matcher, Metadata, PathRewrite, Share,
};
use crate::config::raw::{Cursor, nearest};

/// From the whole request sent to the whole response head, unless it is said.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Every protocol that MOSN has without codecs from elsewhere.
pub(super) const PROTOCOLS: [&str; 8] = [
    "Auto",
    "Http1",
    "Http2",
    "bolt",
    "boltv2",
    "dubbo",
    "dubbo-thrift",
    "tars",
];

pub(super) fn forward(at: &Cursor<'_>, matcher: &Matcher, scope: &mut Scope<'_>) -> Forward {
    upstream_protocol(at, scope);
    let timeout = timeout(at);
    let metadata = Arc::new(metadata(at, "metadata_match", scope));
    Forward {
        cluster: cluster(at, &metadata, scope),
        metadata,
        timeout,
        retry: retry(at, timeout, scope),
        path: path(at, matcher, scope),
        host: host(at, scope),
        hash: hash(at, scope),
    }
}

/// A negative one never ends, as in MOSN.
fn timeout(at: &Cursor<'_>) -> Option<Duration> {
    match at.duration("timeout") {
        Some((duration, _)) if !duration.is_zero() => duration.to_std(),
        _ => Some(TIMEOUT),
    }
}

fn upstream_protocol(at: &Cursor<'_>, scope: &mut Scope<'_>) {
    match at.text("upstream_protocol") {
        // What a listener speaks is spoken to its upstreams.
        None | Some(("Auto" | "Http1" | "bolt" | "boltv2", _)) => {}
        Some((known, at)) if PROTOCOLS.contains(&known) => {
            let message = format!("`{known}` is not yet in effect: HTTP/1 is spoken");
            scope.push(at.warning(Code::NotInEffect, message));
        }
        Some((unknown, at)) => {
            let diagnostic = at.warning(Code::UnknownValue, "HTTP/1 is spoken instead of this");
            scope.push(
                diagnostic
                    .found(at.brief())
                    .accepted("Auto, Http1")
                    .suggest(nearest(unknown, PROTOCOLS)),
            );
        }
    }
}

fn cluster(at: &Cursor<'_>, metadata: &Metadata, scope: &mut Scope<'_>) -> ClusterChoice {
    let one = at.text("cluster_name");
    let variable = at.text("cluster_variable");
    if at
        .filled("weighted_clusters")
        .is_some_and(|at| !at.is_wrong())
    {
        if let Some((_, at)) = one {
            not_looked_at("cluster_name", &at, "weighted_clusters", scope);
        }
        if let Some((_, at)) = variable {
            not_looked_at("cluster_variable", &at, "weighted_clusters", scope);
        }
        return weighted(at, metadata, scope);
    }
    if let Some((name, name_at)) = one {
        if let Some((_, at)) = variable {
            not_looked_at("cluster_variable", &at, "cluster_name", scope);
        }
        let found = scope.cluster(name, &name_at);
        return found.map_or(ClusterChoice::None, ClusterChoice::One);
    }
    if let Some((name, name_at)) = variable {
        let variable = scope.variable(name, &name_at, "this route answers 404");
        return ClusterChoice::Variable(variable);
    }
    if unsaid(at, "cluster_name") && unsaid(at, "weighted_clusters") {
        let message = "this route names no cluster: it answers 404";
        let diagnostic = at.warning(Code::MissingKey, message);
        scope.push(diagnostic.accepted("`cluster_name`, `cluster_variable`, `weighted_clusters`"));
    }
    ClusterChoice::None
}

/// What the route asks of a host is stronger than what one of its clusters does.
fn weighted(at: &Cursor<'_>, of_route: &Metadata, scope: &mut Scope<'_>) -> ClusterChoice {
    let items = at.list("weighted_clusters");
    let mut shares = Vec::new();
    let mut sum: u64 = 0;
    for item in &items {
        let Some(at) = item.get("cluster").filter(|at| !at.is_wrong()) else {
            if unsaid(item, "cluster") {
                scope.push(item.error(Code::MissingKey, "a weighted cluster needs a `cluster`"));
            }
            continue;
        };
        let weight = at.integer("weight").map_or(0, |(weight, _)| weight);
        let weight = u32::try_from(weight).unwrap_or_default();
        sum += u64::from(weight);
        let mut metadata = metadata(&at, "metadata_match", scope);
        metadata.extend(of_route.clone());
        let Some((name, name_at)) = at.text("name") else {
            if unsaid(&at, "name") {
                scope.push(at.error(Code::MissingKey, "a weighted cluster needs a `name`"));
            }
            continue;
        };
        shares.extend(scope.cluster(name, &name_at).map(|cluster| Share {
            cluster,
            weight,
            metadata: Arc::new(metadata),
        }));
    }
    let whole = shares.len() == items.len();
    if whole && !(1..=u64::from(u32::MAX)).contains(&sum) {
        let list = at.get("weighted_clusters");
        let at = list.as_ref().unwrap_or(at);
        let message = "the sum of the weights is 0, or does not fit in 32 bits";
        let diagnostic = at.error(Code::OutOfRange, message);
        scope.push(
            diagnostic
                .found(sum.to_string())
                .accepted("1 to 4294967295"),
        );
    }
    ClusterChoice::Weighted(shares)
}

fn path(at: &Cursor<'_>, matcher: &Matcher, scope: &mut Scope<'_>) -> PathRewrite {
    let prefix = at.text("prefix_rewrite");
    let regex = at.filled("regex_rewrite");
    let matches_paths = matches!(
        matcher,
        Matcher::Prefix(..) | Matcher::Path(..) | Matcher::Regex(..)
    );
    if !matches_paths {
        let prefix = prefix.map(|(_, at)| at);
        for at in prefix.iter().chain(&regex) {
            let message = "no path is rewritten where none is matched, nor is it in MOSN";
            scope.push(at.note(Code::NoEffect, message));
        }
        return PathRewrite::Keep;
    }
    if let Some((prefix, _)) = prefix {
        if let Some(at) = regex {
            not_looked_at("regex_rewrite", &at, "prefix_rewrite", scope);
        }
        return PathRewrite::Prefix(prefix.to_owned());
    }
    let rewrite = regex.and_then(|at| regex_rewrite(&at, scope));
    rewrite.unwrap_or_default()
}

fn regex_rewrite(at: &Cursor<'_>, scope: &mut Scope<'_>) -> Option<PathRewrite> {
    let Some((text, text_at)) = at.get("pattern").as_ref().and_then(|at| at.text("regex")) else {
        let message = "`regex_rewrite` has no `pattern.regex`; it is ignored";
        scope.push(at.warning(Code::MissingKey, message));
        return None;
    };
    if text.len() < 2 {
        let message = "a pattern of one character is ignored, as in MOSN";
        scope.push(
            text_at
                .warning(Code::OutOfRange, message)
                .found(text_at.brief())
                .accepted("a pattern of at least two characters"),
        );
        return None;
    }
    let pattern = pattern(text, &text_at, scope)?;
    let with = at.text("substitution").map_or("", |(text, _)| text);
    Some(PathRewrite::Regex(pattern, with.to_owned()))
}

fn host(at: &Cursor<'_>, scope: &mut Scope<'_>) -> HostRewrite {
    const WAYS: [&str; 3] = [
        "host_rewrite",
        "auto_host_rewrite_header",
        "auto_host_rewrite",
    ];
    let mut given = WAYS.iter().filter(|way| at.filled(way).is_some());
    let Some(&way) = given.next() else {
        return HostRewrite::Keep;
    };
    for weaker in given {
        let weaker_at = at.get(weaker).unwrap_or_else(|| at.clone());
        not_looked_at(weaker, &weaker_at, way, scope);
    }
    let rewrite = match (way, at.text(way)) {
        ("host_rewrite", Some((host, at))) => {
            field_value(host, &at, scope).map(|host| HostRewrite::To(host.to_owned()))
        }
        ("auto_host_rewrite_header", Some((name, at))) => {
            field_name(name, &at, scope).map(HostRewrite::FromField)
        }
        ("auto_host_rewrite", _) if at.flag(way) => Some(HostRewrite::UpstreamName),
        _ => None,
    };
    rewrite.unwrap_or_default()
}

/// Of the first policy a cookie is stronger than a header; there are no further ones.
fn hash(at: &Cursor<'_>, scope: &mut Scope<'_>) -> HashKey {
    let policies = at.list("hash_policy");
    for at in policies.iter().skip(1) {
        let message = "only the first hash policy is looked at, as in MOSN";
        scope.push(at.note(Code::NoEffect, message));
    }
    let Some(policy) = policies.first() else {
        return HashKey::SourceIp;
    };
    if let Some(cookie) = policy.get("cookie").filter(|at| !at.is_wrong()) {
        if let Some(header) = policy.get("header") {
            not_looked_at("header", &header, "cookie", scope);
        }
        return match cookie.text("name") {
            Some((name, _)) => HashKey::Cookie(name.to_owned()),
            None => {
                if unsaid(&cookie, "name") {
                    scope.push(cookie.error(Code::MissingKey, "a `cookie` needs a `name`"));
                }
                HashKey::SourceIp
            }
        };
    }
    let Some(header) = policy.get("header").filter(|at| !at.is_wrong()) else {
        return HashKey::SourceIp;
    };
    let Some((key, key_at)) = header.text("key") else {
        if unsaid(&header, "key") {
            scope.push(header.error(Code::MissingKey, "a `header` needs a `key`"));
        }
        return HashKey::SourceIp;
    };
    field_name(key, &key_at, scope).map_or(HashKey::SourceIp, HashKey::Field)
}
