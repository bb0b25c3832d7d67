//! The `proxy` network filter: its protocol, its target and what it accepts.

use super::Scope;
use super::protocols::{Protocols, Way};
use super::text::not_looked_at;
use crate::config::diagnostics::{Code, Severity};
use crate::config::plan::{
    AutoProxy, Causes, Connect, Deadlines, Goaway, HttpLimits, HttpProxy, NetworkFilter, PoolMode,
    RpcProtocol, RpcProxy, Spoken, Target,
};
use crate::config::raw::{self, Cursor, keys, nearest};

/// The largest head that may be asked for: each connection may hold one.
const MOST_HEAD_BYTES: i64 = 16 << 20;

/// `None` when none of its protocols is in effect; that has been said then.
pub(super) fn proxy(filter: &Cursor<'_>, scope: &mut Scope<'_>) -> Option<NetworkFilter> {
    let config = filter.get("config").unwrap_or_else(|| filter.clone());
    let protocols = Protocols::of(&config, scope)?;
    let target = target(&config, scope);
    settings_without_effect(&config, scope);
    let settings = config.get("extend_config").filter(|at| !at.is_wrong());
    if let Some(at) = &settings {
        protocols.other_settings(at, scope);
    }
    let own = |of: &Spoken| settings.as_ref().and_then(|at| protocols.settings(of, at));
    let way = protocols.way(fallback(filter).is_some());
    if let Way::One(one) = &way {
        detection_without_effect(&config, one, scope);
    }
    Some(match way {
        Way::One(Spoken::Http1) => NetworkFilter::Proxy(http(target, own(&Spoken::Http1), scope)),
        Way::One(Spoken::Rpc(protocol)) => {
            let settings = own(&Spoken::Rpc(protocol.clone()));
            NetworkFilter::Rpc(rpc(protocol, target, settings, scope))
        }
        Way::Each => {
            let (first, settings) = (protocols.rpc(), own(&Spoken::Rpc(protocols.rpc())));
            NetworkFilter::Auto(Box::new(AutoProxy {
                spoken: protocols.spoken().to_vec(),
                unspoken: protocols.unspoken(),
                breadth: protocols.breadth(),
                http: http(target.clone(), own(&Spoken::Http1), scope),
                rpc: rpc(first, target, settings, scope),
                fallback: None,
                budget: match scope.duration(&config, "detection_timeout") {
                    Some(budget) => Some(budget).filter(|budget| !budget.is_zero()),
                    None => Some(AutoProxy::BUDGET),
                },
            }))
        }
    })
}

/// Where it says that connections of no known protocol go to the filter behind this one.
pub(super) fn fallback<'a>(filter: &Cursor<'a>) -> Option<Cursor<'a>> {
    let config = filter.get("config").unwrap_or_else(|| filter.clone());
    let key = "fallback_for_unknown_protocol";
    let is_wanted = config.switch(key) == Some(true);
    is_wanted.then(|| config.get(key)).flatten()
}

fn detection_without_effect(config: &Cursor<'_>, spoken: &Spoken, scope: &mut Scope<'_>) {
    for key in ["fallback_for_unknown_protocol", "detection_timeout"] {
        if let Some(at) = config.filled(key) {
            let message = format!(
                "only one protocol comes into question: every connection is taken for `{}`",
                spoken.name()
            );
            scope.push(at.note(Code::NoEffect, message));
        }
    }
}

/// Reads settings of a protocol, if there are any.
fn read<T>(
    at: Option<Cursor<'_>>,
    shape: &'static raw::Schema,
    scope: &mut Scope<'_>,
    read: impl FnOnce(Option<&Cursor<'_>>, &mut Scope<'_>) -> T,
) -> T {
    let Some(at) = at else {
        return read(None, scope);
    };
    let (value, path) = (at.source(), at.path());
    let node = raw::walk(value, shape, path, Severity::Warning, scope.diagnostics);
    read(Some(&Cursor::new(&node, path.clone())), scope)
}

fn http(target: Target, at: Option<Cursor<'_>>, scope: &mut Scope<'_>) -> HttpProxy {
    let proxy = HttpProxy::new(target);
    read(at, &keys::HTTP1, scope, |at, scope| match at {
        Some(at) => with_settings(proxy, at, scope),
        None => proxy,
    })
}

/// What is said of a protocol whose requests share connections.
fn rpc(
    protocol: RpcProtocol,
    target: Target,
    at: Option<Cursor<'_>>,
    scope: &mut Scope<'_>,
) -> RpcProxy {
    read(at, &keys::RPC, scope, |at, scope| {
        let frame = at.and_then(|at| at.integer("max_frame_size"));
        let frame = frame.and_then(|(size, _)| usize::try_from(size).ok());
        let goaway = at.and_then(|at| at.switch("enable_bolt_goaway"));
        RpcProxy {
            frame_bytes: frame.unwrap_or(RpcProxy::FRAME_BYTES),
            goaway: match goaway {
                Some(true) => Goaway::Said,
                Some(false) | None => Goaway::Unsaid,
            },
            pool_mode: at.map_or_else(PoolMode::default, |at| pool_mode(at, scope)),
            ..RpcProxy::new(protocol, target)
        }
    })
}

fn pool_mode(at: &Cursor<'_>, scope: &mut Scope<'_>) -> PoolMode {
    let Some((text, at)) = at.text("pool_mode") else {
        return PoolMode::default();
    };
    let mut known = PoolMode::WORDS.iter();
    if let Some((_, mode)) = known.find(|(word, _)| *word == text) {
        return *mode;
    }
    let words = PoolMode::WORDS.map(|(word, _)| word);
    let message = "connections to hosts are shared in one of three ways";
    scope.push(
        at.error(Code::UnknownValue, message)
            .found(at.brief())
            .accepted(words.join(", "))
            .suggest(nearest(text, words)),
    );
    PoolMode::default()
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
        let message =
            "how many requests of a connection are served at once follows from its protocol";
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
