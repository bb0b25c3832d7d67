//! The least pace at which a downstream has to send a body and take a response.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use crate::config::Deadlines;

/// Watches one direction of an exchange while only the downstream is waited for.
///
/// Time is cut in windows: one in which the downstream was waited for throughout, and that moved
/// less than the rate asks for, was too slow. It costs nothing until the first wait.
#[derive(Debug)]
pub(super) struct Pace {
    bytes_per_window: Option<u64>,
    window: Option<Window>,
}

#[derive(Debug)]
struct Window {
    end: Pin<Box<Sleep>>,
    /// What had moved when it began.
    moved: u64,
    /// Whether somebody else was waited for meanwhile.
    excused: bool,
}

impl Pace {
    /// What the listener asks for.
    pub(super) fn new(deadlines: Deadlines) -> Self {
        let rate = deadlines.body_bytes_per_second;
        let seconds = Deadlines::BODY_GRACE.as_secs();
        Self {
            bytes_per_window: rate.map(|rate| u64::from(rate) * seconds),
            window: None,
        }
    }

    /// Call it whenever there is nothing to do. `moved` tells how much has so far, and `waits` whether
    /// it is the downstream that is waited for. Ready when it was too slow.
    pub(super) fn poll_too_slow(
        &mut self,
        cx: &mut Context<'_>,
        moved: impl Fn() -> u64,
        waits: bool,
    ) -> Poll<()> {
        let Some(least) = self.bytes_per_window else {
            return Poll::Pending;
        };
        if !waits && self.window.is_none() {
            return Poll::Pending;
        }
        let window = self.window.get_or_insert_with(|| Window {
            end: Box::pin(sleep(Deadlines::BODY_GRACE)),
            moved: moved(),
            excused: false,
        });
        window.excused |= !waits;
        loop {
            ready!(window.end.as_mut().poll(cx));
            let moved = moved();
            if !window.excused && moved.saturating_sub(window.moved) < least {
                return Poll::Ready(());
            }
            window
                .end
                .as_mut()
                .reset(Instant::now() + Deadlines::BODY_GRACE);
            window.moved = moved;
            window.excused = !waits;
        }
    }
}

/// Watches whether an upstream takes anything of a request that is being sent.
#[derive(Debug)]
pub(super) struct Stall {
    after: Option<Duration>,
    since: Option<(Pin<Box<Sleep>>, u64)>,
}

impl Stall {
    /// One that lasts as long as a response may take is one too many; `None` is none.
    pub(super) fn new(after: Option<Duration>) -> Self {
        Self { after, since: None }
    }

    /// Call it whenever there is nothing to do, with what has moved so far, and whether it is the
    /// upstream that is waited for. Ready, with how long that was, when it took nothing meanwhile.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, moved: u64, waits: bool) -> Poll<Duration> {
        let Some(after) = self.after.filter(|_| waits) else {
            self.since = None;
            return Poll::Pending;
        };
        match &mut self.since {
            Some((_, before)) if *before == moved => {}
            since => *since = Some((Box::pin(sleep(after)), moved)),
        }
        let Some((end, _)) = &mut self.since else {
            return Poll::Pending;
        };
        end.as_mut().poll(cx).map(|()| after)
    }
}
