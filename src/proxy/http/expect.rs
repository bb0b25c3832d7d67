//! Clients that wait for a 100 before they send their bodies (RFC 9110 section 10.1.1).

use std::future::Future;
use std::pin::Pin;
use std::task::Context;

use tokio::time::{Sleep, sleep};

use crate::protocol::http1::{Request, write_status_line};

use super::Setting;
use super::attempt::Attempt;

/// Whether a client waits for a 100 before it sends its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Continue {
    /// It does not.
    Unasked,
    /// It does.
    Awaited,
    /// It has got one.
    Given,
}

impl Continue {
    pub(super) fn of(request: &Request) -> Self {
        match request.expects_continue() {
            true => Self::Awaited,
            false => Self::Unasked,
        }
    }
}

/// How long a client still waits for the upstream's 100.
#[derive(Debug, Default)]
pub(super) struct Patience(Option<Pin<Box<Sleep>>>);

impl<S: Setting> Attempt<'_, '_, '_, S> {
    pub(super) fn awaits_continue(&self) -> bool {
        self.exchange.continues == Continue::Awaited && self.upload.payload() == 0
    }

    /// Asks a client for its body that waits for a 100, when the upstream has not for so long: one
    /// that knows of no expectations never does, and not every client gives up waiting (RFC 9110
    /// section 10.1.1).
    pub(super) fn poll_continue(&mut self, cx: &mut Context<'_>) {
        let Some(after) = self.exchange.proxy().deadlines.until_continue else {
            return;
        };
        if !self.awaits_continue() {
            return;
        }
        let patience = self
            .patience
            .0
            .get_or_insert_with(|| Box::pin(sleep(after)));
        if patience.as_mut().poll(cx).is_ready() {
            self.exchange.continues = Continue::Given;
            write_status_line(self.interim.buffer(), 100, b"Continue");
            self.interim.buffer().extend_from_slice(b"\r\n");
        }
    }
}
