//! Who was kept from working while a request was slow: every moment's waits for a processor, and
//! what TCP had to send again.

use std::fmt;
use std::fs;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use crate::Result;

/// Those that a request passes, by what they are called.
pub(crate) type Watched = [(&'static str, Pid); 3];

/// What was seen of a phase, look by look.
pub(crate) struct Witness {
    watched: Watched,
    looks: Vec<Look>,
}

/// What had added up at a moment.
#[derive(Clone, Copy)]
struct Look {
    at: Duration,
    /// How long the threads of each were ready to run, and did not.
    waited: [Duration; 3],
    resent: u64,
}

impl Witness {
    pub(crate) fn new(watched: Watched) -> Self {
        Self {
            watched,
            looks: Vec::new(),
        }
    }

    /// Takes note of the moment.
    pub(crate) fn look(&mut self) -> Result<()> {
        self.looks.push(Look {
            at: now()?,
            waited: self.watched.map(|(_, pid)| waited(pid)),
            resent: resent()?,
        });
        Ok(())
    }

    /// What happened meanwhile, as far as the looks tell it from what was before and after.
    pub(crate) fn meanwhile(&self, begun: Duration, took: Duration) -> Option<Account> {
        let before = self.looks.iter().rev().find(|look| look.at <= begun);
        let after = self.looks.iter().find(|look| look.at >= begun + took);
        let (before, after) = (
            before.or_else(|| self.looks.first())?,
            after.or_else(|| self.looks.last())?,
        );
        let mut waited = self.watched.map(|(name, _)| (name, Duration::ZERO));
        for (at, (_, time)) in waited.iter_mut().enumerate() {
            *time = after.waited[at].saturating_sub(before.waited[at]);
        }
        Some(Account {
            window: after.at.saturating_sub(before.at),
            waited,
            resent: after.resent.saturating_sub(before.resent),
        })
    }
}

/// What happened while a request was slow.
pub(crate) struct Account {
    window: Duration,
    waited: [(&'static str, Duration); 3],
    resent: u64,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |time: Duration| time.as_secs_f64() * 1000.0;
        write!(f, "in these {:.0} ms", millis(self.window))?;
        for (name, time) in self.waited {
            write!(f, " {name} waited {:.1} ms,", millis(time))?;
        }
        write!(f, " {} segments were sent again", self.resent)
    }
}

/// A clock that all processes share.
pub(crate) fn now() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_MONOTONIC)?.into())
}

/// How long the threads of a process waited for a processor so far; nothing where the kernel does
/// not count it.
fn waited(pid: Pid) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    let waits = threads
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|thread| {
            let counted = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            counted.split_whitespace().nth(1)?.parse::<u64>().ok()
        });
    Duration::from_nanos(waits.sum())
}

/// Segments that TCP has sent again so far, on all connections of this machine.
fn resent() -> Result<u64> {
    let counters = fs::read_to_string("/proc/net/snmp")?;
    let mut tcp = counters
        .lines()
        .filter_map(|line| line.strip_prefix("Tcp:"));
    let (names, values) = (tcp.next(), tcp.next());
    let mut pairs = names
        .unwrap_or_default()
        .split_whitespace()
        .zip(values.unwrap_or_default().split_whitespace());
    let found = pairs.find(|(name, _)| *name == "RetransSegs");
    Ok(found.map_or(Ok(0), |(_, value)| value.parse())?)
}
