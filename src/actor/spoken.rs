//! What a connection speaks, where its listener takes several protocols.

use std::net::SocketAddr;
use std::sync::Arc;

use slog::Level;
use tokio::time::Instant;

use crate::actor::logger::Event;
use crate::actor::setting::Setting;
use crate::config::{AutoProxy, Breadth, NetworkFilter, Spoken};
use crate::net::Stream;
use crate::protocol::detect::{Patience, Rule, Unspoken, Verdict, detect, http1};
use crate::protocol::{Codecs, Known};
use crate::proxy::detect::{Told, Waits, told};

/// What is to become of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    /// It is served as HTTP.
    Http1,
    /// It is served as this protocol of frames.
    Rpc(&'static str),
    /// It goes on as it is.
    Other,
    /// It ends.
    Nothing,
    /// That is not known yet, and it is to move.
    Untold,
}

impl Setting {
    /// Finds out what a connection speaks that is waited for since then; reads nothing of it.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub(super) async fn find_out(&self, stream: &Stream, since: Instant) -> Speaks {
        let settings = self.post.settings();
        let NetworkFilter::Auto(auto) = &settings.filter else {
            return Speaks::Nothing;
        };
        let destination = destination(auto, stream);
        let patience = Patience {
            budget: auto.budget,
        };
        let silence = self.post.silent.load().of(destination, now());
        let waits = Waits {
            since,
            silent: match auto.fallback {
                Some(_) => patience.for_silence(silence),
                // Nobody else would speak to it.
                None => None,
            },
            begun: auto.budget,
        };
        let candidates = candidates(auto, &self.post.fitting.load().codecs);
        let found = told(stream, |bytes| judge(auto, &candidates, bytes), waits).await;
        if found == Told::Late(0) {
            self.expect_silence(destination);
        }
        let unspoken = match &found {
            Told::Gone => return Speaks::Nothing,
            Told::Is(Met::Http1) => return Speaks::Http1,
            Told::Is(Met::Rpc(name)) => return Speaks::Rpc(name),
            Told::Is(Met::Unspoken(one)) => Some(*one),
            Told::Unknown(_) | Told::Late(_) => None,
        };
        let becomes = match auto.fallback {
            Some(_) => Speaks::Other,
            None => Speaks::Nothing,
        };
        if let Some(one) = unspoken {
            self.note_unspoken(one, becomes);
        } else if becomes == Speaks::Nothing {
            self.note_unknown(&found);
        }
        becomes
    }

    fn note_unspoken(&self, one: Unspoken, becomes: Speaks) {
        self.counters.count_unspoken(one.name());
        let (listener, title) = (&self.post.settings().name, one.title());
        let what = match becomes {
            Speaks::Other => "goes to the filter behind",
            _ => "is closed",
        };
        self.note_auto(
            format!("{listener} {title}"),
            &format!(": {title} is not spoken yet: a connection of listener `{listener}` {what}"),
        );
    }

    fn note_unknown(&self, found: &Told<Met>) {
        let seen = match found {
            Told::Unknown(seen) => format!("magic :[{}]", in_go(&seen[..seen.len().min(10)])),
            Told::Late(bytes) => format!("only {bytes} bytes in time"),
            Told::Is(_) | Told::Gone => return,
        };
        let listener = &self.post.settings().name;
        self.note_auto(
            listener.to_string(),
            &format!(" {seen} (listener `{listener}`)"),
        );
    }

    fn note_auto(&self, kind: String, what: &str) {
        self.note(Event {
            level: Level::Error,
            tag: "proxy.auto",
            kind,
            text: format!("[proxy] Protocol Auto error{what}"),
        });
    }

    fn expect_silence(&self, destination: Option<SocketAddr>) {
        let known = self.post.silent.load();
        if let Some(next) = known.met(destination, now()) {
            // Two workers may learn at once, and one of them again.
            self.post.silent.store(Arc::new(next));
        }
    }
}

fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// Where a client wants to go, for what is learned of it; only where that is of use.
fn destination(auto: &AutoProxy, stream: &Stream) -> Option<SocketAddr> {
    auto.fallback.as_ref()?;
    let original = stream.original_destination();
    original.or_else(|| stream.local_address().ok().flatten())
}

/// Bytes as MOSN's log has them.
fn in_go(bytes: &[u8]) -> String {
    let numbers: Vec<_> = bytes.iter().map(u8::to_string).collect();
    numbers.join(" ")
}

/// What a connection may turn out to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Met {
    Http1,
    Rpc(&'static str),
    Unspoken(Unspoken),
}

/// What a connection is that begins so.
///
/// What nobody has listed has a name all the same, if nobody speaks it. Who has nowhere to go is
/// heard until it has told that name; who goes to the fallback is waited for no longer.
fn judge(auto: &AutoProxy, candidates: &[(Met, Rule)], bytes: &[u8]) -> Verdict<Met> {
    let listed = detect(candidates.iter().copied(), bytes);
    if listed != Verdict::Unknown {
        return listed;
    }
    let others = Unspoken::ALL.map(|one| (Met::Unspoken(one), one.rule()));
    match detect(others, bytes) {
        Verdict::More if auto.fallback.is_some() => Verdict::Unknown,
        verdict => verdict,
    }
}

/// What comes into question, in its order: what is spoken is tried first.
fn candidates(auto: &AutoProxy, codecs: &Codecs) -> Vec<(Met, Rule)> {
    let met = |known: Known| (Met::Rpc(known.codec.name()), known.rule);
    let mut candidates = Vec::new();
    for one in &auto.spoken {
        candidates.extend(match one {
            Spoken::Http1 => Some((Met::Http1, http1 as Rule)),
            Spoken::Rpc(protocol) => codecs.find(protocol.name()).map(met),
        });
    }
    if auto.breadth == Breadth::All {
        for other in codecs.all().map(met) {
            if !candidates.iter().any(|(known, _)| *known == other.0) {
                candidates.push(other);
            }
        }
    }
    let unspoken = auto
        .unspoken
        .iter()
        .filter_map(|name| Unspoken::named(name));
    candidates.extend(unspoken.map(|one| (Met::Unspoken(one), one.rule())));
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Plan;
    use crate::protocol::detect::KNOWN;

    /// What the first frames of each protocol may be.
    fn openings() -> Vec<(&'static str, Vec<u8>)> {
        let http = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
        let odd = b"UNLINK /a HTTP/1.1\r\n\r\n".to_vec();
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04".to_vec();
        let dubbo = [&[0xda, 0xbb, 0xc2, 0][..], &[0; 12]].concat();
        let magic_length = [&[0xda, 0xbb, 0xc2, 0][..], &[0xda, 0xbc]].concat();
        vec![
            ("Http1", http),
            ("Http1", odd),
            ("bolt", vec![1, 1, 0, 1, 1, 0, 0, 0, 1]),
            ("boltv2", vec![2, 1, 1, 0, 1, 1, 0, 0]),
            ("Http2", preface),
            ("dubbo", dubbo),
            // A frame of Dubbo all the same.
            ("dubbo", magic_length),
            ("dubbo-thrift", vec![0, 0, 0, 50, 0xda, 0xbc, 0, 0]),
            ("dubbo-thrift", vec![0, 0, 0, 16, 0xda, 0xbc, 16, 1]),
            ("tars", vec![0, 0, 0, 40, 0x10, 1, 0x2c, 0x3c]),
            ("tars", vec![0, 0x9f, 0xff, 0xff, 0x10, 3, 0x2c]),
        ]
    }

    /// Every listener that takes several of the protocols, and `Auto`; what each lists.
    fn listeners() -> Vec<(Vec<&'static str>, Box<AutoProxy>)> {
        let all = KNOWN.map(|(name, _)| name);
        let lists = (1..1_u32 << all.len()).map(|which| {
            let listed = (0..all.len()).filter(|place| which & (1 << place) != 0);
            listed.map(|place| all[place]).collect::<Vec<_>>()
        });
        let mut listeners = Vec::new();
        for list in lists.chain([vec!["Auto"]]) {
            for has_fallback in [false, true] {
                let config = serde_json::json!({"servers": [{"listeners": [{
                    "name": "l", "address": "127.0.0.1:1", "filter_chains": [{"filters": [
                        {"type": "proxy", "config": {
                            "downstream_protocol": list.join(","), "cluster": "c",
                            "fallback_for_unknown_protocol": has_fallback}},
                        {"type": "tcp_proxy", "config": {"cluster": "c"}}]}]}]}],
                    "cluster_manager": {"clusters": [{"name": "c"}]}});
                let plan = Plan::from_json(&config.to_string()).unwrap();
                if let NetworkFilter::Auto(auto) = &plan.listeners[0].filter {
                    assert_eq!(auto.fallback.is_some(), has_fallback);
                    listeners.push((list.clone(), auto.clone()));
                }
            }
        }
        assert!(listeners.len() > 200, "{}", listeners.len());
        listeners
    }

    /// However a beginning is cut, some of its beginnings are looked at, and then the whole.
    #[test]
    fn whatever_comes_in_pieces_is_what_it_is_as_a_whole() {
        let codecs = Codecs::default();
        for (list, auto) in listeners() {
            let candidates = candidates(&auto, &codecs);
            for (name, opening) in openings() {
                let is_listed = list == ["Auto"] || list.contains(&name);
                let whole = judge(&auto, &candidates, &opening);
                let is_met = match name {
                    "Http1" => whole == Verdict::Is(Met::Http1),
                    name => match Unspoken::named(name) {
                        Some(one) => whole == Verdict::Is(Met::Unspoken(one)),
                        None => matches!(whole, Verdict::Is(Met::Rpc(met)) if met == name),
                    },
                };
                assert!(is_met || !is_listed, "{list:?} {name} {whole:?}");
                for end in 0..opening.len() {
                    let part = judge(&auto, &candidates, &opening[..end]);
                    let agrees = part == Verdict::More || part == whole;
                    // Where it goes then is the same; it only has no name.
                    let goes_on = !is_listed && auto.fallback.is_some();
                    let is_early = goes_on && part == Verdict::Unknown;
                    assert!(agrees || is_early, "{list:?} {name} {end} {part:?}");
                }
            }
        }
    }
}
