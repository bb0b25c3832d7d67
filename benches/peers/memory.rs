//! Memory of processes as the kernel counts it: user memory only, no socket buffers.

use std::fs;

use nix::unistd::Pid;
use serde::Serialize;

use crate::Result;

/// Resident memory of a group of processes.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Memory {
    /// Written pages no other process shares, in KiB: what the processes cost by themselves.
    pub(crate) private_kib: u64,
    /// All resident pages, in KiB; a page that two of the processes share counts twice.
    pub(crate) resident_kib: u64,
}

impl Memory {
    /// Adds up the memory of `pids`.
    ///
    /// # Errors
    ///
    /// When one of them is gone, or may not be looked at.
    pub(crate) fn of(pids: &[Pid]) -> Result<Self> {
        pids.iter().try_fold(Self::default(), |sum, pid| {
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
            let private = kib(&rollup, "Private_Dirty:")?;
            let resident = kib(&rollup, "Rss:")?;
            Ok(Self {
                private_kib: sum.private_kib + private,
                resident_kib: sum.resident_kib + resident,
            })
        })
    }
}

fn kib(rollup: &str, key: &str) -> Result<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number
        .ok_or_else(|| format!("smaps_rollup has no {key}"))?
        .parse()?)
}
