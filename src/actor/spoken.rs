//! What a connection speaks, where its listener takes several protocols.

use std::net::SocketAddr;
use std::sync::Arc;

use slog::Level;
use tokio::time::Instant;

use crate::actor::logger::Event;
use crate::actor::setting::Setting;
use crate::config::{AutoProxy, Breadth, NetworkFilter, Spoken};
use crate::net::Stream;
use crate::protocol::detect::{Patience, Rule, Unspoken, http1};
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
        let found = told(stream, &candidates, waits).await;
        if found == Told::Late(0) {
            self.expect_silence(destination);
        }
        let unspoken = match &found {
            Told::Gone => return Speaks::Nothing,
            Told::Is(Met::Http1) => return Speaks::Http1,
            Told::Is(Met::Rpc(name)) => return Speaks::Rpc(name),
            Told::Is(Met::Unspoken(one)) => Some(*one),
            Told::Unknown(seen) => Unspoken::of(seen),
            Told::Late(_) => None,
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
