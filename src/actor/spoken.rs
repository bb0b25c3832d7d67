//! What a connection speaks, where its listener takes several protocols.

use std::net::SocketAddr;
use std::sync::Arc;

use slog::Level;
use tokio::time::Instant;

use crate::actor::logger::Event;
use crate::actor::setting::Setting;
use crate::config::{AutoProxy, NetworkFilter, RpcProtocol, Spoken};
use crate::net::Stream;
use crate::protocol::detect::{Patience, Rule, bolt, bolt_v2, http1};
use crate::proxy::detect::{Told, Waits, told};

/// What is to become of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    /// It is served as this.
    Known(Spoken),
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
        let candidates: Vec<_> = auto.spoken.iter().map(|&one| (one, rule(one))).collect();
        let found = told(stream, &candidates, waits).await;
        if found == Told::Late(0) {
            self.expect_silence(destination);
        }
        let seen = match found {
            Told::Is(one) => return Speaks::Known(one),
            Told::Gone => return Speaks::Nothing,
            Told::Unknown(_) | Told::Late(_) if auto.fallback.is_some() => return Speaks::Other,
            Told::Unknown(seen) => format!("magic :[{}]", in_go(&seen)),
            Told::Late(bytes) => format!("only {bytes} bytes in time"),
        };
        self.note(Event {
            level: Level::Error,
            tag: "proxy.auto",
            kind: settings.name.to_string(),
            text: format!(
                "[proxy] Protocol Auto error {seen} (listener `{}`)",
                settings.name
            ),
        });
        Speaks::Nothing
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

fn rule(spoken: Spoken) -> Rule {
    match spoken {
        Spoken::Http1 => http1,
        Spoken::Rpc(RpcProtocol::Bolt) => bolt,
        Spoken::Rpc(RpcProtocol::BoltV2) => bolt_v2,
    }
}
