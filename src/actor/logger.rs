//! Writes the events of the data path, each kind at most once a second, and what health checks find.
//!
//! In: [`Event`]s from any worker, refused when its mailbox is full; the result of each health check,
//! whose sender waits for room. Out: log lines. The first event of a kind is written at once; those
//! like it within the next second are counted and said in one line, so that a dead upstream or a
//! lack of descriptors leaves the log readable. Every result has its line.

use std::collections::HashMap;
use std::time::Duration;

use actix::prelude::*;
use slog::Level;

use crate::actor::slot::{Slot, Unavailable};
use crate::actor::supervisor::{Life, run};
use crate::config::EventFormat;
use crate::telemetry::access_log::{AccessLogs, Lines, Log};
use crate::telemetry::health_log::Checked;

/// How long events of one kind are gathered into one line.
const WINDOW: Duration = Duration::from_secs(1);

/// Events that may wait; more than that in one turn of the loop are refused.
const MAILBOX: usize = 1024;

/// Starts the actor and fills `slot` with the door to it.
pub(super) fn start(log: slog::Logger, access: AccessLogs, slot: &Slot<Handle>) -> Life {
    let (address, life) = run(|_| Logger {
        log,
        access,
        recent: HashMap::new(),
    });
    slot.fill(Handle(address));
    life
}

/// The only way in.
#[derive(Clone)]
pub(super) struct Handle(Addr<Logger>);

impl Handle {
    /// Hands an event over. A logger that is overrun, or between two lives, misses it: the path
    /// of a connection never waits for a log line.
    pub(super) fn note(&self, event: Event) {
        let _ = self.0.try_send(event);
    }
}

/// Hands the result of a health check over; waits for room, and for the next life if need be.
///
/// # Errors
///
/// [`Unavailable`] when the actor did not come back in time; then the result is not written.
pub(super) async fn write_checked(
    logger: &Slot<Handle>,
    checked: Checked,
    log: Option<(Log, EventFormat)>,
) -> Result<(), Unavailable> {
    let result = CheckResult { checked, log };
    logger.ask(|handle| handle.0.send(result.clone())).await
}

/// Something that happened on the data path and may happen very often.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Event {
    /// How grave it is.
    pub level: Level,
    /// What log readers search for, such as `mosn.proxy.upstream_conn_failed`.
    pub tag: &'static str,
    /// Events with the same kind and tag are one line a second: the cluster, say.
    pub kind: String,
    /// The whole sentence.
    pub text: String,
}

impl Event {
    /// The process lacks descriptors or memory. Whoever meets that, it is one line a second.
    pub(super) fn exhausted(text: String) -> Self {
        Self {
            level: Level::Error,
            tag: "process.exhausted",
            kind: String::new(),
            text,
        }
    }
}

struct Logger {
    log: slog::Logger,
    /// They cannot say themselves what they lost.
    access: AccessLogs,
    /// Per tag and kind: the last event of the running window, and how many were not written.
    recent: HashMap<(&'static str, String), (Event, u64)>,
}

impl Logger {
    /// Ends a window: says what it held back, and opens another if it did.
    fn summarise(&mut self, key: (&'static str, String), ctx: &mut Context<Self>) {
        let Some((event, held)) = self.recent.get_mut(&key) else {
            return;
        };
        if *held == 0 {
            self.recent.remove(&key);
            return;
        }
        let text = format!("{} ({held} like it in the last second)", event.text);
        *held = 0;
        write(&self.log, event.level, event.tag, &text);
        ctx.run_later(WINDOW, move |this, ctx| this.summarise(key, ctx));
    }
}

impl Actor for Logger {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.run_interval(WINDOW, |this, _| {
            for loss in this.access.losses() {
                slog::error!(this.log, "{loss}"; "tag" => "access_log");
            }
        });
    }
}

impl Handler<Event> for Logger {
    type Result = ();

    fn handle(&mut self, event: Event, ctx: &mut Context<Self>) {
        let key = (event.tag, event.kind.clone());
        if let Some((last, held)) = self.recent.get_mut(&key) {
            *last = event;
            *held += 1;
            return;
        }
        write(&self.log, event.level, event.tag, &event.text);
        self.recent.insert(key.clone(), (event, 0));
        ctx.run_later(WINDOW, move |this, ctx| this.summarise(key, ctx));
    }
}

#[derive(Clone, Message)]
#[rtype(result = "()")]
struct CheckResult {
    checked: Checked,
    log: Option<(Log, EventFormat)>,
}

impl CheckResult {
    fn write_event(&self) {
        if let Some((log, format)) = &self.log {
            // Dropped at once, which hands the line over: results are few, and waited for.
            Lines::new(log).write(|line| match format {
                EventFormat::Text => self.checked.write_text(line),
                EventFormat::Json => self.checked.write_json(line),
            });
        }
    }
}

impl Handler<CheckResult> for Logger {
    type Result = ();

    fn handle(&mut self, result: CheckResult, _: &mut Context<Self>) {
        let Checked {
            host,
            passed,
            changed,
            ..
        } = &result.checked;
        // In MOSN's order.
        match (passed, changed) {
            (true, true) => {
                result.write_event();
                slog::info!(self.log, "[health check] host {host} is healthy"; "tag" => "upstream");
            }
            (false, true) => {
                slog::info!(self.log, "[health check] host {host} is unhealthy"; "tag" => "upstream");
                result.write_event();
            }
            (_, false) => result.write_event(),
        }
    }
}

/// Writes one line at a level that is known only now; slog's macros want it while compiling.
fn write(log: &slog::Logger, level: Level, tag: &'static str, text: &str) {
    match level {
        Level::Critical => slog::crit!(log, "{text}"; "tag" => tag),
        Level::Error => slog::error!(log, "{text}"; "tag" => tag),
        Level::Warning => slog::warn!(log, "{text}"; "tag" => tag),
        Level::Info => slog::info!(log, "{text}"; "tag" => tag),
        Level::Debug => slog::debug!(log, "{text}"; "tag" => tag),
        Level::Trace => slog::trace!(log, "{text}"; "tag" => tag),
    }
}
