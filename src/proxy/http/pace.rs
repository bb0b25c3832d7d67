//! How slow peers may be: the least pace of a downstream, and the longest silence of an upstream.

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

/// So often is a silent upstream looked at before it is given up: what it did right before the first
/// look prolongs its time by one part, not by all.
const LOOKS: u32 = 4;

/// Watches whether an upstream that is waited for does anything at all.
///
/// It costs nothing until the first wait, and one timer after it.
#[derive(Debug)]
pub(super) struct Stall {
    after: Option<Duration>,
    look: Option<Look>,
}

#[derive(Debug)]
struct Look {
    next: Pin<Box<Sleep>>,
    /// What had moved at the one before.
    moved: u64,
    /// How many in a row saw that nothing had.
    quiet: u32,
    /// Whether somebody else was waited for meanwhile.
    excused: bool,
}

impl Stall {
    /// One that lasts so long is one too many; `None` is none.
    pub(super) fn new(after: Option<Duration>) -> Self {
        Self { after, look: None }
    }

    /// Call it whenever there is nothing to do. `moved` tells how much has so far, and `waits`
    /// whether it is the upstream that is waited for. Ready, with how long that was, when nothing
    /// moved meanwhile.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        moved: impl Fn() -> u64,
        waits: bool,
    ) -> Poll<Duration> {
        let Some(after) = self.after else {
            return Poll::Pending;
        };
        if !waits && self.look.is_none() {
            return Poll::Pending;
        }
        let look = self.look.get_or_insert_with(|| Look {
            next: Box::pin(sleep(after / LOOKS)),
            moved: moved(),
            quiet: 0,
            excused: false,
        });
        look.excused |= !waits;
        loop {
            ready!(look.next.as_mut().poll(cx));
            let moved = moved();
            look.quiet = match look.excused || moved != look.moved {
                true => 0,
                false => look.quiet + 1,
            };
            if look.quiet == LOOKS {
                return Poll::Ready(after);
            }
            look.next.as_mut().reset(Instant::now() + after / LOOKS);
            look.moved = moved;
            look.excused = !waits;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;

    use tokio::time::{Instant, advance, pause};

    use super::*;

    const AFTER: Duration = Duration::from_secs(60);

    /// When an upstream is given up that does what `does` says at every second.
    async fn given_up(does: impl Fn(u64) -> (u64, bool)) -> Option<u64> {
        let begun = Instant::now();
        let moved = Cell::new(0);
        let mut stall = Stall::new(Some(AFTER));
        for second in 0..600 {
            let (bytes, waits) = does(second);
            moved.set(moved.get() + bytes);
            let given_up = poll_fn(|cx| Poll::Ready(stall.poll(cx, || moved.get(), waits))).await;
            if given_up == Poll::Ready(AFTER) {
                return Some(begun.elapsed().as_secs());
            }
            advance(Duration::from_secs(1)).await;
        }
        None
    }

    #[actix::test]
    async fn an_upstream_is_given_up_once_it_was_silent_for_so_long() {
        pause();
        for (does, expected) in [
            ((|_| (0, true)) as fn(u64) -> (u64, bool), Some(60..=64)),
            (|_| (1, true), None),
            // Seldom, but often enough.
            (|second| (u64::from(second % 50 == 49), true), None),
            (|second| (u64::from(second < 100), true), Some(160..=180)),
            // Somebody else is waited for now and then.
            (|second| (0, second % 50 != 49), None),
            (|second| (0, second > 100), Some(160..=180)),
        ] {
            let at = given_up(does).await;
            match expected {
                Some(expected) => assert!(at.is_some_and(|at| expected.contains(&at)), "{at:?}"),
                None => assert_eq!(at, None),
            }
        }
    }

    #[actix::test]
    async fn without_a_deadline_an_upstream_may_be_silent() {
        pause();
        let mut stall = Stall::new(None);
        for _ in 0..3 {
            let silent = poll_fn(|cx| Poll::Ready(stall.poll(cx, || 0, true))).await;
            assert_eq!(silent, Poll::Pending);
            advance(AFTER * 10).await;
        }
    }
}
