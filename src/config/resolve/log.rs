//! Where error lines go, which, and when their files are rolled.

use super::Scope;
use crate::config::diagnostics::Code;
use crate::config::plan::{Compress, Log, LogLevel, Roller};
use crate::config::raw::{Cursor, nearest, quote};

const LEVELS: &[(&str, LogLevel)] = &[
    ("FATAL", LogLevel::Fatal),
    ("ERROR", LogLevel::Error),
    ("WARN", LogLevel::Warn),
    ("INFO", LogLevel::Info),
    ("DEBUG", LogLevel::Debug),
    ("TRACE", LogLevel::Trace),
];

pub(super) fn log(server: &Cursor<'_>, scope: &mut Scope<'_>) -> Log {
    Log {
        path: server
            .text("default_log_path")
            .map(|(path, _)| path.to_owned()),
        level: level(server, scope),
        roller: roller(server, scope),
    }
}

fn level(server: &Cursor<'_>, scope: &mut Scope<'_>) -> LogLevel {
    let Some((text, at)) = server.text("default_log_level") else {
        return LogLevel::default();
    };
    if let Some((_, level)) = LEVELS.iter().find(|(name, _)| *name == text) {
        return *level;
    }
    let names = || LEVELS.iter().map(|(name, _)| *name);
    scope.push(
        at.warning(Code::UnknownValue, "INFO is used instead of this level")
            .found(at.brief())
            .accepted(names().collect::<Vec<_>>().join(", "))
            .suggest(nearest(text, names())),
    );
    LogLevel::default()
}

fn roller(server: &Cursor<'_>, scope: &mut Scope<'_>) -> Roller {
    let Some((text, at)) = server.text("global_log_roller") else {
        return Roller::default();
    };
    match parse(text) {
        Ok(roller) => roller,
        Err(error) => {
            scope.push(
                at.error(Code::BadRoller, error.to_string())
                    .found(at.brief())
                    .accepted(
                        "`time=`hours, or `size=`MB `age=`days `keep=`files `compress=`on|off, \
                     separated by one blank",
                    ),
            );
            Roller::default()
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum RollerError {
    #[error("{} is not `key=value`", quote(.0))]
    Item(String),
    #[error("a roller has no key {}", quote(.0))]
    Key(String),
    #[error("{} is not accepted for `{key}`", quote(.value))]
    Value { key: &'static str, value: String },
}

fn parse(text: &str) -> Result<Roller, RollerError> {
    let (mut hours, mut megabytes, mut age_days, mut keep) = (0, 1000, 7, 10);
    let mut compress = Compress::Off;
    for item in text.split(' ') {
        let (key, value) = item
            .split_once('=')
            .ok_or_else(|| RollerError::Item(item.to_owned()))?;
        match key {
            "time" => hours = number("time", value, 0)?.min(24),
            "size" => megabytes = number("size", value, 1)?,
            "age" => age_days = number("age", value, 0)?,
            "keep" => keep = number("keep", value, 0)?,
            "compress" => compress = switch(value)?,
            other => return Err(RollerError::Key(other.to_owned())),
        }
    }
    Ok(match hours {
        0 => Roller::Size {
            bytes: u64::from(megabytes) << 20,
            age_days,
            keep,
            compress,
        },
        hours => Roller::Time { hours, keep },
    })
}

fn number(key: &'static str, text: &str, least: u32) -> Result<u32, RollerError> {
    let number = text.parse().ok().filter(|number| *number >= least);
    number.ok_or_else(|| RollerError::Value {
        key,
        value: text.to_owned(),
    })
}

fn switch(text: &str) -> Result<Compress, RollerError> {
    match text {
        "on" => Ok(Compress::On),
        "off" => Ok(Compress::Off),
        _ => Err(RollerError::Value {
            key: "compress",
            value: text.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rollers_read_as_in_mosn() {
        let size = |megabytes: u64, age_days, keep, compress| Roller::Size {
            bytes: megabytes << 20,
            age_days,
            keep,
            compress,
        };
        for (text, expected) in [
            ("time=1", Roller::Time { hours: 1, keep: 10 }),
            ("time=48 keep=3", Roller::Time { hours: 24, keep: 3 }),
            ("time=0", size(1000, 7, 10, Compress::Off)),
            (
                "size=100 age=1 keep=2 compress=on",
                size(100, 1, 2, Compress::On),
            ),
            ("keep=5", size(1000, 7, 5, Compress::Off)),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_roller_is_refused() {
        for text in [
            "time",
            "size=",
            "size=0",
            "size=-1",
            "keep=1  age=1",
            "compress=yes",
            "zip=on",
            "a=1",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
