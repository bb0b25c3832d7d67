//! When an exchange begins: as soon as its connection is free, or at a time set before.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{Error, Result};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::{Duration, Instant};

use nix::sys::timer::{Expiration, TimerSetTimeFlags};
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Semaphore, SemaphorePermit};

/// When an exchange begins.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Pace {
    /// When the one before it on its connection has ended.
    Closed,
    /// The same, but no more than so many are under way together.
    AtMost(usize),
    /// So often in a second, however long the others take; on any connection that is free.
    PerSecond(u64),
}

/// The turns of one phase.
pub(crate) struct Turns {
    pace: Pace,
    exchanges: u64,
    clients: usize,
    /// Exchanges that no client has begun, but for the first of each.
    left: Cell<u64>,
    /// When those of a fixed rate that are due were to begin.
    due: RefCell<VecDeque<Instant>>,
    /// Exchanges that may begin.
    ready: Semaphore,
    /// None unless the rate is fixed. Tokio's own timers go by the millisecond.
    timer: Option<AsyncFd<Timer>>,
}

/// The permission for one exchange.
pub(crate) struct Turn<'a> {
    begin: Instant,
    _permit: Option<SemaphorePermit<'a>>,
}

impl Turn<'_> {
    /// When the exchange began, or should have.
    pub(crate) fn begin(&self) -> Instant {
        self.begin
    }
}

impl Turns {
    /// Turns for `exchanges`, at least one for each of `clients` unless the rate is fixed.
    ///
    /// # Errors
    ///
    /// When the kernel has no timer.
    #[expect(
        deprecated,
        reason = "its sound successor is unsafe to call; this descriptor stays the timer's"
    )]
    pub(crate) fn new(exchanges: u64, clients: usize, pace: Pace) -> Result<Self> {
        let (ready, timer) = match pace {
            Pace::Closed => (0, None),
            Pace::AtMost(most) => (most, None),
            Pace::PerSecond(_) => {
                let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK)?;
                let timer = AsyncFd::with_interest(Timer(timer), Interest::READABLE)?;
                (0, Some(timer))
            }
        };
        Ok(Self {
            pace,
            exchanges,
            clients,
            left: Cell::new(exchanges.saturating_sub(clients as u64)),
            due: RefCell::default(),
            ready: Semaphore::new(ready),
            timer,
        })
    }

    /// Waits for the next turn of a client; none when no exchange is left. The first turn of each
    /// client is its own.
    pub(crate) async fn take(&self, first: bool) -> Option<Turn<'_>> {
        let permit = match self.pace {
            Pace::Closed => None,
            Pace::AtMost(_) => Some(self.ready.acquire().await.ok()?),
            Pace::PerSecond(_) => {
                self.ready.acquire().await.ok()?.forget();
                let begin = self.due.borrow_mut().pop_front()?;
                return Some(Turn {
                    begin,
                    _permit: None,
                });
            }
        };
        if !first {
            self.left.set(self.left.get().checked_sub(1)?);
        }
        Some(Turn {
            begin: Instant::now(),
            _permit: permit,
        })
    }

    /// Makes turns due as their time comes, then tells all clients that no more will come.
    ///
    /// # Errors
    ///
    /// Those of the timer.
    pub(crate) async fn give(&self) -> Result<()> {
        let (Pace::PerSecond(rate), Some(timer)) = (self.pace, &self.timer) else {
            return Ok(());
        };
        let period = Duration::from_secs(1) / u32::try_from(rate).map_err(Error::other)?;
        let mut due = Instant::now();
        let every = Expiration::Interval(period.into());
        timer.get_ref().0.set(every, TimerSetTimeFlags::empty())?;
        let mut given = 0;
        while given < self.exchanges {
            let expired = timer
                .async_io(Interest::READABLE, Timer::expirations)
                .await?;
            let expired = expired.min(self.exchanges - given);
            for _ in 0..expired {
                due += period;
                self.due.borrow_mut().push_back(due);
                self.ready.add_permits(1);
            }
            given += expired;
        }
        self.ready.add_permits(self.clients);
        Ok(())
    }
}

/// A kernel timer that can be waited for.
struct Timer(TimerFd);

impl Timer {
    /// How often it expired since it was asked last.
    fn expirations(&self) -> Result<u64> {
        let mut count = [0; 8];
        nix::unistd::read(&self.0, &mut count)?;
        Ok(u64::from_ne_bytes(count))
    }
}

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}
