//! The life of a running process: what each signal does, until the tree has ended.

use std::fmt::Display;
use std::pin::pin;
use std::time::Duration;

use futures::future::{Fuse, FutureExt};
use slog::{Logger, crit, error, info, warn};

use super::Exit;
use super::settings::{Hangup, Settings};
use super::signals::Signal;

/// MOSN's numbers for the stages that a process goes through without its tree. The others are
/// [`crate::lifecycle::State`]'s, and the tree tells them itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    ParamsParsed = 1,
    Initing = 2,
    Starting = 4,
    BeforeStop = 7,
}

impl Stage {
    pub(super) fn enter(self, log: &Logger) {
        info!(log, "state changed to {}", self as u8; "tag" => "stagemanager");
    }
}

/// What a process keeps alive: the proxy, or what a test puts in its place.
pub(super) trait Tree {
    /// Why it ended by itself.
    type Failure: Display;

    /// Accepts no more and ends when it is empty, or after `deadline`; says how many connections
    /// were cut then.
    async fn drain(&self, deadline: Duration) -> u64;

    /// Ends now.
    async fn stop(&self);

    /// Starts a process that is to take over; the log says what becomes of it.
    async fn upgrade(&self);
    /// Reads the configuration again and makes it run; says in words what changed, or everything that
    /// is wrong.
    async fn reload(&self, by: &str) -> Result<Reloaded, String>;

    /// Waits until it has ended.
    async fn ended(&self) -> Result<(), Self::Failure>;
}

/// What a reload has led to, in words.
#[derive(Debug, Default)]
pub(super) struct Reloaded {
    pub(super) changes: Vec<String>,
    /// What is doubtful in the configuration that runs now.
    pub(super) warnings: Vec<String>,
}

/// Whether the tree has been told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Ending,
}

/// What a signal does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Drain,
    /// Ends the tree now; the second time, without any delay.
    Stop,
    ReopenLogs,
    Upgrade,
    Reload(&'static str),
    /// Nothing but saying so.
    Refuse(&'static str),
}

fn effect(phase: Phase, signal: Signal, hangup: Hangup) -> Effect {
    match (signal, phase) {
        (Signal::ReopenLogs, _) => Effect::ReopenLogs,
        (Signal::Hangup, Phase::Running) if hangup == Hangup::Upgrades => Effect::Upgrade,
        (Signal::Hangup, Phase::Running) => Effect::Reload("SIGHUP"),
        (Signal::Edited, Phase::Running) => Effect::Reload("edit of the file"),
        (Signal::Hangup | Signal::Edited, Phase::Ending) => {
            Effect::Refuse("the process is ending: nothing is reloaded")
        }
        (Signal::Upgrade, Phase::Running) => Effect::Upgrade,
        (Signal::Upgrade, Phase::Ending) => {
            Effect::Refuse("no upgrade: the process is about to end")
        }
        (Signal::Terminate, Phase::Running) => Effect::Drain,
        // Who asks twice does not want to wait.
        (Signal::Terminate, Phase::Ending) | (Signal::Interrupt | Signal::Quit, _) => Effect::Stop,
    }
}

/// Does what signals ask until the tree has ended, and says how.
pub(super) async fn live(
    tree: &impl Tree,
    mut next_signal: impl AsyncFnMut() -> Signal,
    settings: &Settings,
    log: &Logger,
    reopen_logs: impl Fn(),
) -> Exit {
    let mut phase = Phase::Running;
    let mut ended = pin!(tree.ended());
    let mut drain = pin!(Fuse::terminated());
    let mut reload = pin!(Fuse::terminated());
    loop {
        let signal = tokio::select! {
            // A drain begins, and is reported, before anything else is looked at.
            biased;
            cut = &mut drain => {
                report_drained(cut, log);
                continue;
            }
            done = &mut reload => {
                report_reloaded(done, log);
                continue;
            }
            end = &mut ended => return farewell(end, log),
            signal = next_signal() => signal,
        };
        match signal {
            Signal::Edited => info!(log, "{}", signal),
            signal => info!(log, "signal {} received!", signal),
        }
        let effect = effect(phase, signal, settings.hangup);
        if matches!(effect, Effect::Drain | Effect::Stop) && phase == Phase::Running {
            phase = Phase::Ending;
            Stage::BeforeStop.enter(log);
        }
        match effect {
            Effect::Drain => {
                let within = settings.drain_time;
                info!(
                    log,
                    "draining: connections may end for {within:?}, or until a second signal"
                );
                drain.set(tree.drain(within).fuse());
            }
            Effect::Stop => {
                drain.set(Fuse::terminated());
                tree.stop().await;
            }
            Effect::ReopenLogs => reopen_logs(),
            Effect::Upgrade => tree.upgrade().await,
            // One that is under way may have read the file too early.
            Effect::Reload(by) => reload.set(tree.reload(by).fuse()),
            Effect::Refuse(why) => warn!(log, "{}", why),
        }
    }
}

fn report_drained(cut: u64, log: &Logger) {
    match cut {
        0 => info!(log, "drained"),
        cut => warn!(log, "drain time is over: connections were cut"; "connections" => cut),
    }
}

fn report_reloaded(done: Result<Reloaded, String>, log: &Logger) {
    match done {
        Ok(Reloaded { changes, warnings }) => {
            if changes.is_empty() {
                info!(log, "reloaded: nothing has changed");
            }
            for change in changes {
                info!(log, "reloaded: {}", change);
            }
            for warning in warnings {
                warn!(log, "reloaded: {}", warning);
            }
        }
        Err(why) => {
            for line in why.lines() {
                error!(log, "reload refused, nothing has changed: {}", line);
            }
        }
    }
}

fn farewell(end: Result<(), impl Display>, log: &Logger) -> Exit {
    match end {
        Ok(()) => Exit::Normal,
        Err(failure) => {
            crit!(log, "{}", failure);
            Exit::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    use futures::StreamExt;
    use futures::channel::mpsc::{UnboundedSender, unbounded};
    use slog::{Discard, o};
    use tokio::sync::watch;

    use crate::cli::arguments::SettingsFlags;
    use crate::cli::settings;

    /// Notes what it is told, and ends when it is stopped or its drain time is over.
    struct Fake {
        told: RefCell<Vec<&'static str>>,
        end: watch::Sender<Option<Result<(), &'static str>>>,
    }

    impl Fake {
        fn new() -> Self {
            let (end, told) = (watch::channel(None).0, RefCell::default());
            Self { told, end }
        }
    }

    impl Tree for Fake {
        type Failure = &'static str;

        async fn drain(&self, deadline: Duration) -> u64 {
            self.told.borrow_mut().push("drain");
            tokio::time::sleep(deadline).await;
            self.end.send_replace(Some(Ok(())));
            3
        }

        async fn stop(&self) {
            self.told.borrow_mut().push("stop");
            self.end.send_replace(Some(Ok(())));
        }

        async fn upgrade(&self) {
            self.told.borrow_mut().push("upgrade");
        }

        async fn reload(&self, _: &str) -> Result<Reloaded, String> {
            self.told.borrow_mut().push("reload");
            Ok(Reloaded::default())
        }

        async fn ended(&self) -> Result<(), &'static str> {
            let mut end = self.end.subscribe();
            let end = end.wait_for(Option::is_some).await.unwrap();
            end.unwrap()
        }
    }

    async fn life(tree: &Fake, signals: &[Signal]) -> (Exit, u32) {
        life_with(tree, signals, Hangup::Reloads).await
    }

    async fn life_with(tree: &Fake, signals: &[Signal], hangup: Hangup) -> (Exit, u32) {
        let settings = settings::load(&SettingsFlags::default(), [])
            .unwrap()
            .settings;
        let settings = Settings { hangup, ..settings };
        let (sender, mut receiver): (UnboundedSender<Signal>, _) = unbounded();
        for signal in signals {
            sender.unbounded_send(*signal).unwrap();
        }
        let reopened = RefCell::new(0);
        let exit = live(
            tree,
            async || receiver.next().await.unwrap(),
            &settings,
            &Logger::root(Discard, o!()),
            || *reopened.borrow_mut() += 1,
        )
        .await;
        drop(sender);
        (exit, reopened.into_inner())
    }

    #[tokio::test(start_paused = true)]
    async fn sigterm_drains_and_then_all_is_well() {
        let tree = Fake::new();
        assert_eq!(life(&tree, &[Signal::Terminate]).await.0, Exit::Normal);
        assert_eq!(*tree.told.borrow(), ["drain"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_sigterm_or_a_sigint_ends_a_drain_at_once() {
        for second in [Signal::Terminate, Signal::Interrupt, Signal::Quit] {
            let tree = Fake::new();
            let begun = tokio::time::Instant::now();
            assert_eq!(
                life(&tree, &[Signal::Terminate, second]).await.0,
                Exit::Normal
            );
            assert!(begun.elapsed() < Duration::from_secs(1));
            assert_eq!(tree.told.borrow().last(), Some(&"stop"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn sigint_and_sigquit_end_at_once() {
        for signal in [Signal::Interrupt, Signal::Quit] {
            let tree = Fake::new();
            assert_eq!(life(&tree, &[signal]).await.0, Exit::Normal);
            assert_eq!(*tree.told.borrow(), ["stop"]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn other_signals_end_nothing() {
        let tree = Fake::new();
        let signals = [
            Signal::Hangup,
            Signal::ReopenLogs,
            Signal::Upgrade,
            Signal::Quit,
        ];
        assert_eq!(life(&tree, &signals).await, (Exit::Normal, 1));
        assert_eq!(*tree.told.borrow(), ["reload", "upgrade", "stop"]);
    }

    #[tokio::test(start_paused = true)]
    async fn sighup_starts_a_successor_where_mosn_s_way_is_wanted() {
        let tree = Fake::new();
        let signals = [Signal::Hangup, Signal::Edited, Signal::Quit];
        life_with(&tree, &signals, Hangup::Upgrades).await;
        assert_eq!(*tree.told.borrow(), ["upgrade", "reload", "stop"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_tree_that_fails_fails_the_process() {
        let tree = Fake::new();
        tree.end.send_replace(Some(Err("gave up")));
        assert_eq!(life(&tree, &[]).await.0, Exit::Failed);
    }
}
