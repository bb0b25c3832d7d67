//! How much the process' log writes: as it is configured, or as an administrator wants it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use slog::FilterLevel;

use super::logging;
use super::settings::Settings;
use crate::actor::admin::Logging;
use crate::config::LogLevel;
use crate::telemetry::log::LogHandle;

/// How much the process' log writes. Everyone who changes it does so here.
///
/// What is configured counts when it changes, so that a reload of the same level takes back nothing
/// that an administrator has set.
pub(super) struct Levels {
    log: LogHandle,
    /// Nothing more verbose is written, whoever wants it.
    limit: FilterLevel,
    /// That of a setting, which goes before the configuration.
    fixed: Option<FilterLevel>,
    configured: AtomicUsize,
    wanted: AtomicUsize,
    enabled: AtomicBool,
}

impl Levels {
    /// Of a log that was started with what is configured.
    pub(super) fn of(log: LogHandle, settings: &Settings) -> Self {
        let level = log.level().as_usize();
        Self {
            log,
            limit: settings.log_level_limit,
            fixed: settings.log_level,
            configured: AtomicUsize::new(level),
            wanted: AtomicUsize::new(level),
            enabled: AtomicBool::new(true),
        }
    }

    /// What is written, or would be while the log is enabled.
    pub(super) fn level(&self) -> FilterLevel {
        FilterLevel::from_usize(self.wanted.load(Relaxed)).unwrap_or(FilterLevel::Info)
    }

    /// The configuration says this now.
    pub(super) fn follow(&self, configured: LogLevel) {
        let level = self.fixed.unwrap_or_else(|| logging::level(configured));
        let level = level.min(self.limit);
        let before = self.configured.swap(level.as_usize(), Relaxed);
        if before != level.as_usize() {
            self.set(level);
        }
    }

    /// An administrator wants this.
    pub(super) fn set(&self, level: FilterLevel) {
        self.wanted.store(level.min(self.limit).as_usize(), Relaxed);
        self.hold();
    }

    /// Makes the log write nothing but what ends the process, or write again.
    pub(super) fn toggle(&self, logging: Logging) {
        self.enabled.store(logging == Logging::Enabled, Relaxed);
        self.hold();
    }

    fn hold(&self) {
        let level = match self.enabled.load(Relaxed) {
            true => self.level(),
            false => FilterLevel::Critical.min(self.limit),
        };
        self.log.set_level(level);
        logging::adopt_level(level);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::log::{Options, Output, start};

    fn levels(limit: FilterLevel, fixed: Option<FilterLevel>) -> Levels {
        let flags = super::super::arguments::SettingsFlags::default();
        let mut settings = super::super::settings::load(&flags, []).unwrap().settings;
        (settings.log_level_limit, settings.log_level) = (limit, fixed);
        let output = Output::Stderr;
        let (_, log) = start(Options {
            output,
            ..Options::default()
        })
        .unwrap();
        Levels::of(log, &settings)
    }

    #[test]
    fn the_latest_word_counts_and_the_limit_holds() {
        let levels = levels(FilterLevel::Debug, None);
        let written = || levels.log.level();
        levels.set(FilterLevel::Warning);
        levels.follow(LogLevel::Info);
        assert_eq!(
            written(),
            FilterLevel::Warning,
            "the configuration said nothing new"
        );
        levels.follow(LogLevel::Error);
        assert_eq!(written(), FilterLevel::Error);
        levels.follow(LogLevel::Trace);
        assert_eq!(written(), FilterLevel::Debug, "the limit");

        levels.toggle(Logging::Disabled);
        levels.follow(LogLevel::Warn);
        assert_eq!(written(), FilterLevel::Critical, "it is switched off");
        assert_eq!(levels.level(), FilterLevel::Warning);
        levels.toggle(Logging::Enabled);
        assert_eq!(written(), FilterLevel::Warning);
    }

    #[test]
    fn a_setting_goes_before_the_configuration() {
        let levels = levels(FilterLevel::Trace, Some(FilterLevel::Info));
        levels.follow(LogLevel::Debug);
        assert_eq!(levels.log.level(), FilterLevel::Info);
    }
}
