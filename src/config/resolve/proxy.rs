//! The `proxy` network filter: its protocol, its target and what it accepts.

use super::Scope;
use super::forward::PROTOCOLS;
use super::text::not_looked_at;
use crate::config::diagnostics::{Code, Severity};
use crate::config::plan::{
    Causes, Connect, Deadlines, Goaway, HttpLimits, HttpProxy, NetworkFilter, RpcProtocol,
    RpcProxy, Target,
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
    let settings = settings.and_then(|at| protocols.settings(&at, scope));
    let shape = match protocols.spoken {
        Spoken::Http1 => &keys::HTTP1,
        Spoken::Rpc(_) => &keys::RPC,
    };
    let node = settings.map(|settings| {
        let (value, path) = (settings.source(), settings.path());
        let node = raw::walk(value, shape, path, Severity::Warning, scope.diagnostics);
        (node, path.clone())
    });
    let settings = node
        .as_ref()
        .map(|(node, path)| Cursor::new(node, path.clone()));
    Some(match (protocols.spoken, settings) {
        (Spoken::Http1, None) => NetworkFilter::Proxy(HttpProxy::new(target)),
        (Spoken::Http1, Some(at)) => {
            NetworkFilter::Proxy(with_settings(HttpProxy::new(target), &at, scope))
        }
        (Spoken::Rpc(protocol), at) => NetworkFilter::Rpc(rpc(protocol, target, at.as_ref())),
    })
}

/// The protocols that a `proxy` speaks.
struct Protocols<'a> {
    /// As written.
    names: Vec<&'a str>,
    /// What is in effect of them.
    spoken: Spoken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spoken {
    Http1,
    Rpc(RpcProtocol),
}

impl Spoken {
    /// `None` when nothing of these is in effect. Both versions of Bolt are told apart by each of
    /// their frames.
    fn of(names: &[&str]) -> Option<Self> {
        let first = names.first()?;
        if names.iter().all(|name| matches!(*name, "bolt" | "boltv2")) {
            return Some(Self::Rpc(match *first {
                "bolt" => RpcProtocol::Bolt,
                _ => RpcProtocol::BoltV2,
            }));
        }
        let speaks_http1 = names.iter().any(|name| matches!(*name, "Auto" | "Http1"));
        speaks_http1.then_some(Self::Http1)
    }

    /// Whether settings under this name are its own.
    fn owns(self, name: &str) -> bool {
        match self {
            Self::Http1 => name == "Http1",
            Self::Rpc(_) => matches!(name, "bolt" | "boltv2"),
        }
    }
}

impl<'a> Protocols<'a> {
    /// `None` when nothing of them is in effect.
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
        let Some(spoken) = Spoken::of(&names) else {
            let message = format!("`{text}` is not yet in effect; this `proxy` is ignored");
            scope.push(at.warning(Code::NotInEffect, message));
            return None;
        };
        if spoken == Spoken::Http1 && names != ["Http1"] {
            let message = "other protocols than HTTP/1 are not yet in effect, nor is telling them \
                           apart: every connection is taken for HTTP/1";
            scope.push(at.warning(Code::NotInEffect, message).found(at.brief()));
        }
        Some(Self { names, spoken })
    }

    /// What `extend_config` says about what is spoken: under its name, or, with one protocol, as it is.
    fn settings(&self, at: &Cursor<'a>, scope: &mut Scope<'_>) -> Option<Cursor<'a>> {
        let members = at.members();
        // In whatever case: a name that is nearly one is no setting.
        let is_protocol = |name: &str| {
            PROTOCOLS
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name))
        };
        let is_keyed = members.iter().any(|(name, _)| is_protocol(name));
        let is_only = match self.spoken {
            Spoken::Http1 => self.names == ["Http1"],
            Spoken::Rpc(_) => true,
        };
        if is_only && !is_keyed {
            return Some(at.clone());
        }
        for (name, at) in &members {
            match *name {
                "sub_protocol" => {}
                own if self.spoken.owns(own) => {}
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
        let mut members = members.into_iter();
        let own = members.find(|(name, _)| self.spoken.owns(name));
        own.map(|(_, at)| at)
    }
}

/// What is said of a protocol whose requests share connections.
fn rpc(protocol: RpcProtocol, target: Target, at: Option<&Cursor<'_>>) -> RpcProxy {
    let frame = at.and_then(|at| at.integer("max_frame_size"));
    let frame = frame.and_then(|(size, _)| usize::try_from(size).ok());
    let goaway = at.and_then(|at| at.switch("enable_bolt_goaway"));
    RpcProxy {
        frame_bytes: frame.unwrap_or(RpcProxy::FRAME_BYTES),
        goaway: match goaway {
            Some(true) => Goaway::Said,
            Some(false) | None => Goaway::Unsaid,
        },
        ..RpcProxy::new(protocol, target)
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
