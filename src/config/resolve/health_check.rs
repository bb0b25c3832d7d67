//! `health_check`: whether and how the hosts of a cluster are checked.

use std::num::NonZeroU32;
use std::time::Duration;

use super::Scope;
use super::probe::probe;
use crate::config::diagnostics::Code;
use crate::config::plan::{EventFormat, EventLog, HealthCheck};
use crate::config::raw::{Cursor, nearest};

/// A shorter interval would keep a core busy with one host.
const LEAST_INTERVAL: Duration = Duration::from_millis(1);

/// The check of a cluster, if it has one: MOSN checks where there is a `service_name`.
pub(super) fn health_check(cluster: &Cursor<'_>, scope: &mut Scope<'_>) -> Option<HealthCheck> {
    let at = cluster.filled("health_check")?;
    let Some((service, _)) = at.text("service_name") else {
        if !at.is_wrong() {
            let message = "a health check without `service_name` has no effect, as in MOSN";
            scope.push(at.note(Code::NoEffect, message));
        }
        return None;
    };
    let probe = probe(&at, scope);
    let event_log = event_log(&at, scope);
    callbacks(&at, scope);
    let standard = HealthCheck::new(service);
    // To Go an absent duration and 0 are the same.
    let mut duration = |name, standard| {
        let written = scope.duration(&at, name).filter(|d| !d.is_zero());
        written.unwrap_or(standard)
    };
    Some(HealthCheck {
        probe,
        timeout: duration("timeout", standard.timeout),
        interval: duration("interval", standard.interval).max(LEAST_INTERVAL),
        interval_jitter: duration("interval_jitter", standard.interval_jitter),
        initial_delay: initial_delay(&at).unwrap_or(standard.initial_delay),
        healthy_threshold: threshold(&at, "healthy_threshold"),
        unhealthy_threshold: threshold(&at, "unhealthy_threshold"),
        event_log,
        ..standard
    })
}

/// What is not above 0 is the default, as in MOSN.
fn initial_delay(check: &Cursor<'_>) -> Option<Duration> {
    let (delay, _) = check.duration("initial_delay_seconds")?;
    delay.to_std().filter(|delay| !delay.is_zero())
}

fn threshold(check: &Cursor<'_>, name: &str) -> NonZeroU32 {
    let written = check.integer(name).and_then(|(n, _)| u32::try_from(n).ok());
    written.and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
}

/// The log of results, where it has a path: without one there is none, as in MOSN.
fn event_log(check: &Cursor<'_>, scope: &mut Scope<'_>) -> Option<EventLog> {
    let format = check.text("event_log_format");
    let Some((path, _)) = check.text("event_log_path") else {
        if let Some((_, at)) = format {
            let message = "`event_log_format` has no effect without `event_log_path`";
            scope.push(at.note(Code::NoEffect, message));
        }
        return None;
    };
    let format = match format {
        None | Some(("text", _)) => EventFormat::Text,
        Some(("json", _)) => EventFormat::Json,
        Some((word, at)) => {
            let diagnostic = at.warning(Code::UnknownValue, "lines are written as MOSN's");
            let diagnostic = diagnostic.found(at.brief()).accepted("`text` or `json`");
            scope.push(diagnostic.suggest(nearest(word, ["text", "json"])));
            EventFormat::Text
        }
    };
    let path = path.to_owned();
    Some(EventLog { path, format })
}

/// They are functions that were compiled into MOSN.
fn callbacks(check: &Cursor<'_>, scope: &mut Scope<'_>) {
    for at in check.list("common_callbacks") {
        let message = "no callback has this name; whoever embeds the proxy subscribes to health";
        scope.push(at.note(Code::NoEffect, message).found(at.brief()));
    }
}
