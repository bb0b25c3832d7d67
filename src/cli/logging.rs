//! The process' log: which output and level it has, and what else of the process comes to it.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic;
use std::thread;

use slog::{Drain as _, FilterLevel, Logger, b, warn};

use super::paths::ControlPaths;
use super::settings::Settings;
use crate::config::{self, LogLevel};
use crate::telemetry::log::{Error, LogHandle, Options, Output, start};

/// The log of a process that has no configuration yet: to stderr.
pub(super) fn start_early(settings: &Settings) -> Result<(Logger, LogHandle), Error> {
    start(Options {
        format: settings.log_format,
        level: FilterLevel::Info.min(settings.log_level_limit),
        zone: jiff::tz::TimeZone::system(),
        ..Options::default()
    })
}

/// Where the configuration and the settings want the log, as they write it.
pub(super) fn output_name(
    settings: &Settings,
    configured: &config::Log,
    paths: &ControlPaths,
) -> String {
    let named = settings.log_output.as_ref().or(configured.path.as_ref());
    named.map_or_else(|| paths.log.display().to_string(), String::clone)
}

/// The output of this name.
pub(super) fn output(name: &str) -> Output {
    name.parse().unwrap_or_else(|never| match never {})
}

/// The log that the configuration and the settings ask for.
pub(super) fn start_configured(
    settings: &Settings,
    configured: &config::Log,
    output: Output,
) -> Result<(Logger, LogHandle), Error> {
    let level = settings
        .log_level
        .unwrap_or_else(|| level(configured.level));
    start(Options {
        format: settings.log_format,
        level: level.min(settings.log_level_limit),
        output,
        roller: configured.roller,
        zone: jiff::tz::TimeZone::system(),
    })
}

pub(super) fn level(configured: LogLevel) -> FilterLevel {
    match configured {
        LogLevel::Fatal => FilterLevel::Critical,
        LogLevel::Error => FilterLevel::Error,
        LogLevel::Warn => FilterLevel::Warning,
        LogLevel::Info => FilterLevel::Info,
        LogLevel::Debug => FilterLevel::Debug,
        LogLevel::Trace => FilterLevel::Trace,
    }
}

/// Sends what dependencies log, by `log` or by `tracing` without a subscriber, and what panics, to
/// `logger`. The first call of a process counts.
pub(super) fn adopt_process(logger: &Logger, level: FilterLevel) {
    let adopted = Adopted(logger.clone());
    if log::set_boxed_logger(Box::new(adopted)).is_err() {
        return;
    }
    adopt_level(level);
    log_panics(logger.clone());
}

/// Takes no more of what dependencies log than is written.
pub(super) fn adopt_level(level: FilterLevel) {
    log::set_max_level(match level {
        FilterLevel::Off => log::LevelFilter::Off,
        FilterLevel::Critical | FilterLevel::Error => log::LevelFilter::Error,
        FilterLevel::Warning => log::LevelFilter::Warn,
        FilterLevel::Info => log::LevelFilter::Info,
        FilterLevel::Debug => log::LevelFilter::Debug,
        FilterLevel::Trace => log::LevelFilter::Trace,
    });
}

/// Says where a panic was. What became of it is its supervisor's to say, at error level.
fn log_panics(logger: Logger) {
    panic::set_hook(Box::new(move |panic| {
        let thread = thread::current();
        let thread = thread.name().unwrap_or("-").to_owned();
        let place = panic
            .location()
            .map_or_else(|| "-".to_owned(), ToString::to_string);
        let payload = panic.payload();
        let text = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("-");
        warn!(logger, "panic: {}", text; "thread" => thread, "location" => place);
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            warn!(logger, "{}", backtrace);
        }
    }));
}

/// Hands records of the `log` crate to slog, the target as tag.
struct Adopted(Logger);

impl log::Log for Adopted {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        self.0.is_enabled(slog_level(metadata.level()))
    }

    fn log(&self, record: &log::Record<'_>) {
        let location = slog::RecordLocation {
            file: record.file_static().unwrap_or_default(),
            line: record.line().unwrap_or_default(),
            column: 0,
            function: "",
            module: record.module_path_static().unwrap_or_default(),
        };
        let fixed = slog::RecordStatic {
            location: &location,
            tag: record.target(),
            level: slog_level(record.level()),
        };
        self.0.log(&slog::Record::new(&fixed, record.args(), b!()));
    }

    fn flush(&self) {}
}

fn slog_level(level: log::Level) -> slog::Level {
    match level {
        log::Level::Error => slog::Level::Error,
        log::Level::Warn => slog::Level::Warning,
        log::Level::Info => slog::Level::Info,
        log::Level::Debug => slog::Level::Debug,
        log::Level::Trace => slog::Level::Trace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::log::{CLOSE_DEADLINE, Closed};
    use log::Log;

    #[test]
    fn a_record_of_a_dependency_is_a_line_with_its_target() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let output = Output::File(path.clone());
        let (logger, handle) = start(Options {
            output,
            ..Options::default()
        })
        .unwrap();
        let record = |level, text| {
            let args = format_args!("{text}");
            Adopted(logger.clone()).log(
                &log::Record::builder()
                    .level(level)
                    .target("mio::poll")
                    .args(args)
                    .build(),
            );
        };
        record(log::Level::Warn, "seen");
        record(log::Level::Debug, "unseen");
        assert_eq!(handle.close(CLOSE_DEADLINE), Closed::Flushed);
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.ends_with(" [WARN] [mio::poll] seen\n"), "{text}");
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn what_a_dependency_tells_tracing_is_a_line_with_its_target() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let output = Output::File(path.clone());
        let options = Options {
            output,
            ..Options::default()
        };
        let (logger, handle) = start(options).unwrap();
        // Without the panic hook, which is of the whole test process.
        log::set_boxed_logger(Box::new(Adopted(logger))).expect("no other test sets it");
        log::set_max_level(log::LevelFilter::Info);

        tracing::warn!(target: "h2::proto", "seen");
        tracing::debug!(target: "h2::proto", "unseen");

        assert_eq!(handle.close(CLOSE_DEADLINE), Closed::Flushed);
        let text = std::fs::read_to_string(path).unwrap();
        let mut told = text.lines().filter(|line| line.contains("[h2::proto]"));
        assert!(
            told.next().is_some_and(|line| line.ends_with("seen")),
            "{text}"
        );
        assert_eq!(told.next(), None);
    }

    #[test]
    fn the_limit_holds_whatever_the_configuration_says() {
        let flags = super::super::arguments::SettingsFlags {
            log_level: Some("error".to_owned()),
            log_output: Some("stderr".to_owned()),
            ..Default::default()
        };
        let settings = super::super::settings::load(&flags, []).unwrap().settings;
        let configured = config::Log {
            level: LogLevel::Trace,
            ..Default::default()
        };
        let paths = ControlPaths::of("/a/b/c.json".as_ref(), &config::Server::default());
        let output = output(&output_name(&settings, &configured, &paths));
        assert_eq!(output, Output::Stderr);
        let (_, handle) = start_configured(&settings, &configured, output).unwrap();
        assert_eq!(handle.level(), FilterLevel::Error);
    }
}
