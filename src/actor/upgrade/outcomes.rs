//! What becomes of upgrades, and whether that is the doing of the process that was started for one.

use std::cell::Cell;
use std::fs;
use std::time::Instant;

use tokio::sync::watch;

/// Parents that are looked at: a script may start a script that starts the program.
const GENERATIONS: usize = 8;

/// What has become of upgrades so far.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    latest: watch::Sender<(u64, Option<Outcome>)>,
    started: Cell<Option<Started>>,
}

/// How one upgrade has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The process that was to take over.
    pub(super) pid: u32,
    /// Whether it is the one that was started to.
    pub(super) is_started: bool,
    pub(super) result: Result<(), String>,
}

/// A process that was started to take over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Started {
    pub(super) pid: u32,
    pub(super) since: Instant,
    /// Its own number, or that of a process which it has started, when it has called.
    caller: Option<u32>,
}

impl Outcomes {
    /// Notes that a process is being started, and forgets it when what is returned is dropped.
    pub(super) fn start(&self) -> Starting<'_> {
        let started = Started {
            pid: std::process::id(),
            since: Instant::now(),
            caller: None,
        };
        self.started.set(Some(started));
        let mut latest = self.latest.subscribe();
        latest.mark_unchanged();
        Starting {
            outcomes: self,
            latest,
        }
    }

    /// The process that was started and of which nothing has become yet.
    pub(super) fn started(&self) -> Option<Started> {
        self.started.get()
    }

    /// Whether it has called.
    pub(super) fn has_called(&self) -> bool {
        self.started()
            .is_some_and(|started| started.caller.is_some())
    }

    /// This process has called.
    pub(super) fn called(&self, pid: u32) {
        if let Some(started) = self.started.get()
            && descends(pid, started.pid)
        {
            let caller = Some(pid);
            self.started.set(Some(Started { caller, ..started }));
        }
    }

    /// This has become of the upgrade to that process.
    pub(super) fn publish(&self, pid: u32, result: Result<(), String>) {
        let is_started = self
            .started
            .get()
            .is_some_and(|started| started.caller == Some(pid) || started.pid == pid);
        let outcome = Outcome {
            pid,
            is_started,
            result,
        };
        self.latest.send_modify(|(serial, latest)| {
            *serial += 1;
            *latest = Some(outcome);
        });
    }
}

/// A process is being started, or was and of it nothing has become yet.
pub(super) struct Starting<'o> {
    outcomes: &'o Outcomes,
    latest: watch::Receiver<(u64, Option<Outcome>)>,
}

impl Starting<'_> {
    /// It has this number.
    pub(super) fn is(&self, pid: u32) {
        if let Some(started) = self.outcomes.started.get() {
            self.outcomes.started.set(Some(Started { pid, ..started }));
        }
    }

    /// Waits for what becomes of it, or that another process takes over instead.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub(super) async fn outcome(&mut self) -> Outcome {
        loop {
            // The sender is ours.
            let _ = self.latest.changed().await;
            let latest = self.latest.borrow_and_update().1.clone();
            if let Some(outcome) = latest
                && (outcome.is_started || outcome.result.is_ok())
            {
                return outcome;
            }
        }
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        self.outcomes.started.set(None);
    }
}

/// Whether a process is that other one, or was started by it or by one that was.
fn descends(pid: u32, from: u32) -> bool {
    let line = std::iter::successors(Some(pid), |&one| parent(one));
    line.take(GENERATIONS).any(|one| one == from)
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Its name, in brackets, may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn failed() -> Result<(), String> {
        Err("it failed".to_owned())
    }

    #[test]
    fn what_becomes_of_others_is_nothing_until_one_takes_over() {
        let outcomes = Outcomes::default();
        let mut starting = outcomes.start();
        starting.is(u32::MAX);
        outcomes.publish(2, failed());
        assert_eq!(starting.outcome().now_or_never(), None);
        outcomes.publish(2, Ok(()));
        let outcome = starting.outcome().now_or_never().expect("it is there");
        assert!(!outcome.is_started);
    }

    #[test]
    fn what_becomes_of_the_one_that_was_started_is_known_by_its_number() {
        let outcomes = Outcomes::default();
        outcomes.publish(7, Ok(()));
        let mut starting = outcomes.start();
        starting.is(7);
        assert_eq!(starting.outcome().now_or_never(), None);
        outcomes.publish(7, failed());
        let outcome = starting.outcome().now_or_never().expect("it is there");
        assert!(outcome.is_started && outcome.result.is_err());
        drop(starting);
        assert!(outcomes.started().is_none());
    }

    #[test]
    fn a_process_that_it_has_started_is_it_too() {
        let (child, own) = (std::process::id(), nix::unistd::getppid().as_raw());
        let outcomes = Outcomes::default();
        let mut starting = outcomes.start();
        starting.is(own.try_into().expect("a pid is positive"));
        outcomes.called(u32::MAX);
        assert!(!outcomes.has_called());
        outcomes.called(child);
        assert!(outcomes.has_called());
        outcomes.publish(child, Ok(()));
        let outcome = starting.outcome().now_or_never().expect("it is there");
        assert!(outcome.is_started);
    }
}
