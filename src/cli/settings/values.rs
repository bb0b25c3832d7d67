//! What the text of a setting means; `None` is none that it accepts.

use std::path::PathBuf;
use std::time::Duration;

use slog::FilterLevel;

use super::{Hangup, KeepChanges, Watch};
use crate::actor::admin::Role;
use crate::config::Workers;
use crate::telemetry::log::Format;

pub(super) fn path(text: &str) -> Option<PathBuf> {
    Some(text.into())
}

pub(super) fn seconds(text: &str) -> Option<Duration> {
    text.parse()
        .ok()
        .map(|seconds: u32| Duration::from_secs(seconds.into()))
}

pub(super) fn list(text: &str) -> Option<Vec<String>> {
    let items = text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty());
    Some(items.map(str::to_owned).collect())
}

pub(super) fn role(text: &str) -> Option<Option<Role>> {
    match text {
        "none" => Some(None),
        "read" => Some(Some(Role::Read)),
        "write" => Some(Some(Role::Write)),
        _ => None,
    }
}

pub(super) fn keep(text: &str) -> Option<KeepChanges> {
    match text {
        "no" => Some(KeepChanges::No),
        "history" => Some(KeepChanges::History),
        "restart" => Some(KeepChanges::Restart),
        _ => None,
    }
}

pub(super) fn watch(text: &str) -> Option<Watch> {
    match text {
        "true" => Some(Watch::Yes),
        "false" => Some(Watch::No),
        _ => None,
    }
}

pub(super) fn hangup(text: &str) -> Option<Hangup> {
    match text {
        "true" => Some(Hangup::Upgrades),
        "false" => Some(Hangup::Reloads),
        _ => None,
    }
}

pub(super) fn format(text: &str) -> Option<Format> {
    match text {
        "mosn" => Some(Format::Mosn),
        "json" => Some(Format::Json),
        "journald" => Some(Format::Journald),
        _ => None,
    }
}

/// `off` leaves what ends the process, as in MOSN.
pub(super) fn level(text: &str) -> Option<FilterLevel> {
    match text {
        "trace" => Some(FilterLevel::Trace),
        "debug" => Some(FilterLevel::Debug),
        "info" => Some(FilterLevel::Info),
        "warning" => Some(FilterLevel::Warning),
        "error" => Some(FilterLevel::Error),
        "critical" | "off" => Some(FilterLevel::Critical),
        _ => None,
    }
}

pub(super) fn workers(text: &str) -> Option<Workers> {
    match text {
        "auto" => Some(Workers::Auto),
        number => {
            let number = number.parse().ok()?;
            (1..=1024)
                .contains(&number)
                .then_some(Workers::Fixed(number))
        }
    }
}
