//! A kernel timer: Tokio's own go by the millisecond.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

use nix::sys::timer::{Expiration, TimerSetTimeFlags};
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Expires again and again.
pub(super) struct Timer(AsyncFd<Descriptor>);

struct Descriptor(TimerFd);

impl Timer {
    /// Expires after `first`, and then every `period`; both are more than nothing.
    ///
    /// # Errors
    ///
    /// When the system has no timer left.
    #[expect(
        deprecated,
        reason = "its sound successor is unsafe to call; this descriptor stays the timer's"
    )]
    pub(super) fn new(first: Duration, period: Duration) -> io::Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK)?;
        let times = Expiration::IntervalDelayed(first.into(), period.into());
        timer.set(times, TimerSetTimeFlags::empty())?;
        AsyncFd::with_interest(Descriptor(timer), Interest::READABLE).map(Self)
    }

    /// Waits until it has expired once more, or often.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub(super) async fn expired(&self) -> io::Result<()> {
        let read = |timer: &Descriptor| {
            nix::unistd::read(&timer.0, &mut [0; 8])?;
            Ok(())
        };
        self.0.async_io(Interest::READABLE, read).await
    }
}

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}
