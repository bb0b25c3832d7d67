//! Processor time of processes, all their threads included, the ended ones too.

use std::fs;
use std::time::Duration;

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use serde::Serialize;

use crate::Result;

/// Processor time used so far, or between two moments.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Cpu {
    /// User and system time, exact to the nanosecond.
    pub(crate) total: Duration,
    /// Clock ticks the kernel puts down as user time; only the share of it means something.
    user_ticks: u64,
    /// The same of system time.
    system_ticks: u64,
}

impl Cpu {
    /// What `pids` have used since they were started.
    ///
    /// # Errors
    ///
    /// When one of them is gone.
    pub(crate) fn of(pids: &[Pid]) -> Result<Self> {
        pids.iter().try_fold(Self::default(), |sum, &pid| {
            let total = Duration::from(clock_gettime(clock_getcpuclockid(pid)?)?);
            let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
            // The command, in brackets, may hold anything; the fields after it are numbered from 3.
            let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
            let ticks: Vec<u64> = fields
                .split_whitespace()
                .skip(14 - 3)
                .take(2)
                .flat_map(str::parse)
                .collect();
            let [user, system] = ticks[..] else {
                return Err(format!("/proc/{pid}/stat has no times").into());
            };
            Ok(Self {
                total: sum.total + total,
                user_ticks: sum.user_ticks + user,
                system_ticks: sum.system_ticks + system,
            })
        })
    }

    /// What was used since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            total: self.total.saturating_sub(earlier.total),
            user_ticks: self.user_ticks.saturating_sub(earlier.user_ticks),
            system_ticks: self.system_ticks.saturating_sub(earlier.system_ticks),
        }
    }

    /// The part of it spent outside the kernel, between 0 and 1.
    pub(crate) fn user_share(self) -> f64 {
        self.user_ticks as f64 / (self.user_ticks + self.system_ticks).max(1) as f64
    }
}
