//! Stream filters: those of a listener, and their settings for a route or a virtual host.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Scope;
use super::text::{MethodIs, field_name, fields, percent, status, unsaid};
use crate::config::diagnostics::{Code, Severity};
use crate::config::plan::{
    Access, Fault, FieldAfter, IpAccess, MetadataRule, MetadataWhen, PayloadLimit, RouteFilters,
    StreamFilter,
};
use crate::config::raw::keys::{self, StreamFilterName};
use crate::config::raw::{self, Cursor, Schema, nearest};

/// What too large a body is answered with unless it is said.
const TOO_LARGE: u16 = 413;

/// The filters of `listener`, in order. Those that are not yet in effect were warned of.
pub(super) fn stream_filters(listener: &Cursor<'_>, scope: &mut Scope<'_>) -> Vec<StreamFilter> {
    let written = listener.list("stream_filters");
    let filters = written.iter().filter_map(|at| stream_filter(at, scope));
    filters.collect()
}

fn stream_filter(at: &Cursor<'_>, scope: &mut Scope<'_>) -> Option<StreamFilter> {
    let Some((name, _)) = at.text("type") else {
        if unsaid(at, "type") {
            let message = "this filter has no `type`; it is ignored";
            scope.push(at.warning(Code::UnknownFilter, message));
        }
        return None;
    };
    let config = at.get("config");
    if at.filled("go_plugin_config").is_some() || config.as_ref().is_some_and(Cursor::is_wrong) {
        return None;
    }
    match keys::stream_filter(name) {
        StreamFilterName::NotYet => return None,
        StreamFilterName::Unknown => {
            let config = config.map_or_else(|| "{}".to_owned(), |at| json(&at));
            return Some(StreamFilter::Custom(name.to_owned(), config));
        }
        StreamFilterName::InEffect => {}
    }
    let config = config.as_ref().unwrap_or(at);
    match name {
        "fault" => Some(StreamFilter::Fault(fault(config, scope))),
        "payload_limit" => Some(StreamFilter::PayloadLimit(payload_limit(config, scope))),
        "ip_access" => Some(StreamFilter::IpAccess(ip_access(config, scope))),
        "header_to_metadata" => Some(StreamFilter::HeaderToMetadata(rules(config, scope))),
        _ => {
            mirror(config, scope);
            None
        }
    }
}

/// Where `per_filter_config` stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Route,
    VirtualHost,
}

/// `per_filter_config`: its keys are names of filters.
pub(super) fn route_filters(at: &Cursor<'_>, level: Level, scope: &mut Scope<'_>) -> RouteFilters {
    let mut filters = RouteFilters::default();
    let config = at.get("per_filter_config");
    for (name, at) in config.map_or_else(Vec::new, |at| at.members()) {
        match name {
            "fault" => filters.fault = checked(&at, &keys::FAULT, scope, fault),
            "payload_limit" => {
                filters.payload_limit = checked(&at, &keys::PAYLOAD_LIMIT, scope, payload_limit);
            }
            _ => other_route_filter(name, &at, &mut filters, scope),
        }
        if level == Level::VirtualHost && matches!(name, "fault" | "payload_limit") {
            let message = format!("MOSN 1.4 looks at `{name}` of routes only");
            scope.push(at.note(Code::DiffersFromMosn, message));
        }
    }
    filters
}

fn other_route_filter(
    name: &str,
    at: &Cursor<'_>,
    filters: &mut RouteFilters,
    scope: &mut Scope<'_>,
) {
    match keys::stream_filter(name) {
        StreamFilterName::InEffect => {
            let message = format!("`{name}` has no settings for a route, nor has it in MOSN");
            scope.push(at.note(Code::NoEffect, message));
        }
        StreamFilterName::NotYet => {
            let message = format!("the stream filter `{name}` is not yet in effect");
            scope.push(at.warning(Code::NotInEffect, message));
        }
        StreamFilterName::Unknown => {
            scope.diagnostics.push_with(Severity::Warning, || {
                let message = "no stream filter has this name; it is ignored";
                at.warning(Code::UnknownFilter, message)
                    .found(raw::quote(name))
                    .suggest(nearest(name, keys::stream_filters()))
            });
            filters.custom.push((name.to_owned(), json(at)));
        }
    }
}

/// What `read` makes of free-form text that is held against `schema` first.
fn checked<T>(
    at: &Cursor<'_>,
    schema: &'static Schema,
    scope: &mut Scope<'_>,
    read: impl FnOnce(&Cursor<'_>, &mut Scope<'_>) -> T,
) -> Option<T> {
    let (value, path) = (at.source(), at.path());
    let node = raw::walk(value, schema, path, Severity::Error, scope.diagnostics);
    let at = Cursor::new(&node, path.clone());
    (!at.is_wrong()).then(|| read(&at, scope))
}

fn json(at: &Cursor<'_>) -> String {
    at.source().to_json().to_string()
}

fn fault(at: &Cursor<'_>, scope: &mut Scope<'_>) -> Fault {
    let share = |at: &Cursor<'_>, scope: &mut Scope<'_>| {
        let share = at.integer("percentage");
        let percent = share.map_or(0, |(written, at)| percent(written, &at, scope));
        (percent > 0).then_some(percent)
    };
    let delay = at.get("delay").and_then(|at| {
        let duration = scope.duration(&at, "fixed_delay");
        let percent = share(&at, scope)?;
        let duration = duration.filter(|duration| !duration.is_zero())?;
        Some((duration, percent))
    });
    let abort = at.get("abort").and_then(|at| {
        let percent = share(&at, scope)?;
        let Some((written, status_at)) = at.integer("status") else {
            if unsaid(&at, "status") {
                scope.push(at.error(Code::MissingKey, "an `abort` needs a `status`"));
            }
            return None;
        };
        Some((status(written, &status_at, scope)?, percent))
    });
    let cluster = at.text("upstream_cluster");
    Fault {
        delay,
        abort,
        cluster: cluster.and_then(|(name, at)| scope.cluster(name, &at)),
        fields: fields(at, MethodIs::Method, scope),
    }
}

fn payload_limit(at: &Cursor<'_>, scope: &mut Scope<'_>) -> PayloadLimit {
    let mosn_s = at.integer("max_entity_size ");
    let plain = at.integer("max_entity_size");
    if let (None, Some((_, at))) = (&mosn_s, &plain) {
        let message = "MOSN 1.4 reads the length only under a key with a blank at its end";
        scope.push(at.note(Code::DiffersFromMosn, message));
    }
    let bytes = mosn_s.or(plain).map_or(0, |(bytes, _)| bytes);
    let status = match at.integer("http_status") {
        None | Some((0, _)) => None,
        Some((written, at)) => status(written, &at, scope),
    };
    PayloadLimit {
        bytes: u64::try_from(bytes).unwrap_or_default(),
        status: status.unwrap_or(TOO_LARGE),
    }
}

fn ip_access(at: &Cursor<'_>, scope: &mut Scope<'_>) -> IpAccess {
    let header = at.text("header");
    let default = access(at, "default_action", scope);
    let mut lists = Vec::new();
    for at in at.list("ips") {
        let access = access(&at, "action", scope);
        let mut networks = Vec::new();
        for at in at.list("addrs") {
            networks.extend(at.as_text().and_then(|text| network(text, &at, scope)));
        }
        lists.push((access, networks));
    }
    IpAccess {
        default,
        field: header.and_then(|(name, at)| field_name(name, &at, scope)),
        lists,
    }
}

/// Everything but `deny` is `allow`, as in MOSN.
fn access(at: &Cursor<'_>, key: &str, scope: &mut Scope<'_>) -> Access {
    match at.text(key) {
        Some(("deny", _)) => Access::Deny,
        None | Some(("allow", _)) => Access::Allow,
        Some((other, at)) => {
            let diagnostic = at.warning(Code::UnknownValue, "this is taken for `allow`");
            scope.push(
                diagnostic
                    .found(at.brief())
                    .accepted("allow, deny")
                    .suggest(nearest(other, ["allow", "deny"])),
            );
            Access::Allow
        }
    }
}

fn network(text: &str, at: &Cursor<'_>, scope: &mut Scope<'_>) -> Option<IpNet> {
    let address = text.parse::<IpAddr>().map(|ip| ip.to_canonical().into());
    let network = address.or_else(|_| text.parse::<IpNet>().map(|network| network.trunc()));
    if network.is_err() {
        let diagnostic = at.error(Code::BadAddress, "this is no address and no network");
        scope.push(
            diagnostic
                .found(at.brief())
                .accepted("`10.0.0.1`, `10.0.0.0/8`, `::1` or `fd00::/8`"),
        );
    }
    network.ok()
}

fn rules(at: &Cursor<'_>, scope: &mut Scope<'_>) -> Vec<MetadataRule> {
    let written = at.list("request_rules");
    let rules = written.iter().filter_map(|at| rule(at, scope));
    rules.collect()
}

fn rule(at: &Cursor<'_>, scope: &mut Scope<'_>) -> Option<MetadataRule> {
    let field = match at.text("header") {
        Some((name, at)) => field_name(name, &at, scope),
        None => {
            if unsaid(at, "header") {
                scope.push(at.error(Code::MissingKey, "a rule needs a `header`"));
            }
            None
        }
    };
    let when = match (at.get("on_header_present"), at.get("on_header_missing")) {
        (Some(_), Some(missing)) => {
            let message = "`on_header_present` and `on_header_missing` exclude one another";
            scope.push(missing.error(Code::ConflictingKeys, message));
            None
        }
        (Some(at), None) => pair(&at, scope).map(|(key, value)| MetadataWhen::Present(key, value)),
        (None, Some(at)) => pair(&at, scope).map(|(key, value)| MetadataWhen::Missing(key, value)),
        (None, None) => {
            if !at.is_wrong() {
                let message = "a rule needs `on_header_present` or `on_header_missing`";
                scope.push(at.error(Code::MissingKey, message));
            }
            None
        }
    };
    Some(MetadataRule {
        field: field?,
        when: when?,
        field_after: if at.flag("remove") {
            FieldAfter::Removed
        } else {
            FieldAfter::Kept
        },
    })
}

fn pair(at: &Cursor<'_>, scope: &mut Scope<'_>) -> Option<(String, String)> {
    let Some((key, _)) = at.text("key") else {
        if unsaid(at, "key") {
            scope.push(at.error(Code::MissingKey, "metadata needs a `key`"));
        }
        return None;
    };
    let value = at.text("value").map_or("", |(value, _)| value);
    Some((key.to_owned(), value.to_owned()))
}

/// The filter has no settings that are in effect: which requests are copied, the routes say.
fn mirror(config: &Cursor<'_>, scope: &mut Scope<'_>) {
    for (name, at) in config.members() {
        let default = match name {
            "amplification" => "1",
            "broadcast" => "false",
            _ => {
                let message = format!("nothing reads the key `{}`", raw::shorten(name));
                let known = ["amplification", "broadcast"];
                let diagnostic = at.warning(Code::UnknownKey, message);
                scope.push(diagnostic.suggest(nearest(name, known)));
                continue;
            }
        };
        if at.brief() != default {
            let message = format!("`{name}` is not yet in effect: each request is copied once");
            scope.push(at.warning(Code::NotInEffect, message).found(at.brief()));
        }
    }
}
