//! The `proxy` network filter: its protocol, its target and what it accepts.

use super::Scope;
use super::forward::PROTOCOLS;
use super::text::not_looked_at;
use crate::config::diagnostics::{Code, Severity};
use crate::config::plan::{Causes, Connect, Deadlines, HttpLimits, HttpProxy, Target};
use crate::config::raw::{self, Cursor, keys, nearest};

/// The largest head that may be asked for: each connection may hold one.
const MOST_HEAD_BYTES: i64 = 16 << 20;

/// `None` when none of its protocols is in effect; that has been said then.
pub(super) fn proxy(filter: &Cursor<'_>, scope: &mut Scope<'_>) -> Option<HttpProxy> {
    let config = filter.get("config").unwrap_or_else(|| filter.clone());
    let protocols = Protocols::of(&config, scope)?;
    let target = target(&config, scope);
    settings_without_effect(&config, scope);
    let proxy = HttpProxy::new(target);
    let Some(settings) = config.get("extend_config").filter(|at| !at.is_wrong()) else {
        return Some(proxy);
    };
    let Some(settings) = protocols.settings(&settings, scope) else {
        return Some(proxy);
    };
    let (value, path) = (settings.source(), settings.path());
    let node = raw::walk(
        value,
        &keys::HTTP1,
        path,
        Severity::Warning,
        scope.diagnostics,
    );
    Some(with_settings(
        proxy,
        &Cursor::new(&node, path.clone()),
        scope,
    ))
}

/// The protocols that a `proxy` speaks, as written.
struct Protocols<'a>(Vec<&'a str>);

impl<'a> Protocols<'a> {
    /// `None` when HTTP/1 is not among them.
    fn of(config: &Cursor<'a>, scope: &mut Scope<'_>) -> Option<Self> {
        let (text, at) = match config.text("downstream_protocol") {
            Some(("X", at)) => sub_protocol(config).unwrap_or(("X", at)),
            Some(found) => found,
            None => {
                let message = "a `proxy` needs a `downstream_protocol`; this one is ignored";
                let diagnostic = config.warning(Code::MissingKey, message);
                scope.push(diagnostic.accepted(PROTOCOLS.join(", ")));
                return None;
            }
        };
        let names: Vec<&str> = text.split(',').collect();
        if let Some(unknown) = names.iter().find(|name| !PROTOCOLS.contains(name)) {
            let message = "no protocol has this name; this `proxy` is ignored";
            scope.push(
                at.warning(Code::UnknownValue, message)
                    .found(raw::quote(unknown))
                    .accepted(PROTOCOLS.join(", "))
                    .suggest(nearest(unknown, PROTOCOLS)),
            );
            return None;
        }
        let speaks_http1 = names.iter().any(|name| matches!(*name, "Auto" | "Http1"));
        if !speaks_http1 {
            let message = format!("`{text}` is not yet in effect; this `proxy` is ignored");
            scope.push(at.warning(Code::NotInEffect, message));
            return None;
        }
        if names != ["Http1"] {
            let message = "other protocols than HTTP/1 are not yet in effect, nor is telling them \
                           apart: every connection is taken for HTTP/1";
            scope.push(at.warning(Code::NotInEffect, message).found(at.brief()));
        }
        Some(Self(names))
    }

    /// What `extend_config` says about HTTP/1: under its name, or, with one protocol, as it is.
    fn settings(&self, at: &Cursor<'a>, scope: &mut Scope<'_>) -> Option<Cursor<'a>> {
        let members = at.members();
        // In whatever case: a name that is nearly one is no setting.
        let is_protocol = |name: &str| {
            PROTOCOLS
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name))
        };
        let is_keyed = members.iter().any(|(name, _)| is_protocol(name));
        if self.0 == ["Http1"] && !is_keyed {
            return Some(at.clone());
        }
        for (name, at) in &members {
            match *name {
                "Http1" | "sub_protocol" => {}
                known if PROTOCOLS.contains(&known) => {
                    let message = format!("settings of `{known}` are not yet in effect");
                    scope.push(at.warning(Code::NotInEffect, message));
                }
                unknown => {
                    let message = format!("no protocol is called `{}`", raw::shorten(unknown));
                    let diagnostic = at.warning(Code::UnknownKey, message);
                    scope.push(
                        diagnostic
                            .accepted(PROTOCOLS.join(", "))
                            .suggest(nearest(unknown, PROTOCOLS)),
                    );
                }
            }
        }
        at.get("Http1")
    }
}

/// The protocol behind the older spelling `X`.
fn sub_protocol<'a>(config: &Cursor<'a>) -> Option<(&'a str, Cursor<'a>)> {
    let at = config.get("extend_config")?.get("sub_protocol")?;
    Some((at.as_text().filter(|text| !text.is_empty())?, at))
}

fn target(config: &Cursor<'_>, scope: &mut Scope<'_>) -> Target {
    let cluster = config.text("cluster");
    if let Some((name, at)) = config.text("router_config_name") {
        if let Some((_, at)) = cluster {
            not_looked_at("cluster", &at, "router_config_name", scope);
        }
        let router = scope.router(name, &at);
        return router.map_or(Target::Nowhere, Target::Router);
    }
    if let Some((name, at)) = cluster {
        let message = "MOSN 1.4 does not look at `cluster` and answers 404";
        scope.push(at.note(Code::DiffersFromMosn, message));
        let cluster = scope.cluster(name, &at);
        return cluster.map_or(Target::Nowhere, Target::Cluster);
    }
    let message = "this `proxy` names no router: it answers 404";
    let diagnostic = config.warning(Code::MissingKey, message);
    scope.push(diagnostic.accepted("`router_config_name`, or `cluster`"));
    Target::Nowhere
}

fn settings_without_effect(config: &Cursor<'_>, scope: &mut Scope<'_>) {
    if let Some(at) = config.filled("concurrency_num") {
        let message = "the requests of a connection are served one after another in any case";
        scope.push(at.note(Code::NoEffect, message));
    }
    match config.text("router_handler_name") {
        None | Some(("default", _)) => {}
        Some((_, at)) => {
            let diagnostic = at.warning(Code::UnknownValue, "`default` is used instead of this");
            scope.push(diagnostic.found(at.brief()).accepted("default"));
        }
    }
}

fn with_settings(proxy: HttpProxy, at: &Cursor<'_>, scope: &mut Scope<'_>) -> HttpProxy {
    HttpProxy {
        limits: limits(at, scope),
        deadlines: deadlines(at, scope),
        connect: connect(at, scope),
        causes: match at.switch("reply_cause") {
            Some(false) => Causes::Hidden,
            Some(true) | None => Causes::Named,
        },
        ..proxy
    }
}

fn limits(at: &Cursor<'_>, scope: &mut Scope<'_>) -> HttpLimits {
    let default = HttpLimits::default();
    let head = at.integer("max_header_size").filter(|(size, _)| *size != 0);
    let head = head.and_then(|(size, at)| {
        if (1..=MOST_HEAD_BYTES).contains(&size) {
            return usize::try_from(size).ok();
        }
        let message = "a head of 8192 bytes is accepted instead";
        let diagnostic = at.warning(Code::OutOfRange, message);
        let accepted = format!("an integer from 1 to {MOST_HEAD_BYTES}");
        scope.push(diagnostic.found(at.brief()).accepted(accepted));
        None
    });
    let body = at.integer("max_request_body_size");
    let body = body.filter(|(size, _)| *size != 0).and_then(|(size, at)| {
        let bytes = u64::try_from(size).ok();
        if bytes.is_none() {
            let diagnostic = at.warning(Code::OutOfRange, "a body of any length is accepted");
            let accepted = "an integer that is not negative";
            scope.push(diagnostic.found(at.brief()).accepted(accepted));
        }
        bytes
    });
    let fields = at.integer("max_headers");
    let fields = fields.and_then(|(fields, _)| usize::try_from(fields).ok());
    let kept = at.integer("kept_body_size");
    let kept = kept.and_then(|(size, _)| usize::try_from(size).ok());
    HttpLimits {
        head_bytes: head.unwrap_or(default.head_bytes),
        fields: fields.unwrap_or(default.fields),
        body_bytes: body,
        kept_body_bytes: kept.unwrap_or(default.kept_body_bytes),
    }
}

/// The keys that `deadlines` stands for.
const DEADLINES: [&str; 4] = [
    "head_timeout",
    "body_min_rate",
    "upstream_silence_timeout",
    "continue_timeout",
];

fn deadlines(at: &Cursor<'_>, scope: &mut Scope<'_>) -> Deadlines {
    if let Some((text, word)) = at.text("deadlines") {
        if text != "mosn" {
            let diagnostic = word.error(Code::UnknownValue, "`deadlines` knows one word");
            scope.push(diagnostic.found(word.brief()).accepted("mosn"));
        }
        for at in DEADLINES.iter().filter_map(|key| at.get(key)) {
            let message = "`deadlines` switches this off: one of both is to be left out";
            scope.push(at.error(Code::ConflictingKeys, message));
        }
        return Deadlines::MOSN;
    }
    let default = Deadlines::default();
    let mut duration = |key, default| match scope.duration(at, key) {
        Some(wanted) => Some(wanted).filter(|duration| !duration.is_zero()),
        None => default,
    };
    Deadlines {
        head: duration("head_timeout", default.head),
        upstream_silence: duration("upstream_silence_timeout", default.upstream_silence),
        until_continue: duration("continue_timeout", default.until_continue),
        body_bytes_per_second: match at.integer("body_min_rate") {
            Some((rate, _)) => u32::try_from(rate).ok().filter(|rate| *rate != 0),
            None => default.body_bytes_per_second,
        },
    }
}

fn connect(at: &Cursor<'_>, scope: &mut Scope<'_>) -> Connect {
    const WORDS: [&str; 2] = ["refuse", "tunnel"];
    match at.text("connect") {
        None | Some(("refuse", _)) => Connect::Refuse,
        Some(("tunnel", _)) => Connect::Tunnel,
        Some((other, at)) => {
            let message = "CONNECT is refused or makes a tunnel";
            scope.push(
                at.error(Code::UnknownValue, message)
                    .found(at.brief())
                    .accepted(WORDS.join(", "))
                    .suggest(nearest(other, WORDS)),
            );
            Connect::Refuse
        }
    }
}
