//! The daemon's own settings, which no MOSN configuration has: defaults, then an optional JSON
//! file, then variables, then flags; each value knows where it came from.

mod layer;
mod table;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{ConfigError, File, FileFormat, Value, ValueKind};
use slog::FilterLevel;

use self::layer::{Layer, variables};
use super::arguments::SettingsFlags;
use crate::config::{Server, Workers};
use crate::telemetry::log::Format;

/// The variable by which a process that is started to take over is told from whom.
pub(super) const PREDECESSOR: &str = "BANYAN_PREDECESSOR";

/// One setting: its key, and how it is named elsewhere.
struct Setting {
    /// Its key in the file; `BANYAN_` and it in capitals is its variable.
    key: &'static str,
    /// Its flag, if it has one.
    flag: Option<&'static str>,
    /// A variable that MOSN or Go have for it. `BANYAN_…` goes before it.
    foreign_variable: Option<&'static str>,
    /// Whether only flags and foreign variables set it.
    foreign: Foreign,
    /// Its default as text; empty is what the configuration says.
    default: &'static str,
    /// What it accepts, for errors.
    accepts: &'static str,
}

/// Whether a setting is one of ours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Foreign {
    /// It has a key in the file and a `BANYAN_` variable.
    No,
    /// It is a MOSN flag that works otherwise than our setting of that name.
    Yes,
}

const fn setting(key: &'static str, default: &'static str, accepts: &'static str) -> Setting {
    Setting {
        key,
        flag: None,
        foreign_variable: None,
        foreign: Foreign::No,
        default,
        accepts,
    }
}

const LEVELS: &str = "trace, debug, info, warning, error, critical or off";

/// Every setting, in the order in which they are printed.
const SETTINGS: [Setting; 11] = [
    Setting {
        flag: Some("control-dir"),
        ..setting("control_dir", "", "a directory")
    },
    Setting {
        flag: Some("drain-time-s"),
        ..setting("drain_time_s", "600", "seconds as a whole number")
    },
    setting("log_format", "mosn", "mosn, json or journald"),
    setting("log_level", "", LEVELS),
    Setting {
        flag: Some("log-level"),
        foreign_variable: Some("LOG_LEVEL"),
        foreign: Foreign::Yes,
        ..setting("log_level_limit", "", LEVELS)
    },
    Setting {
        flag: Some("log-output"),
        ..setting(
            "log_output",
            "",
            "stderr, stdout, syslog, syslog+tcp://host:port or a file",
        )
    },
    Setting {
        flag: Some("max-connections"),
        ..setting(
            "max_connections",
            "0",
            "a whole number; 0 is as many as descriptors allow",
        )
    },
    Setting {
        flag: Some("pid-file"),
        ..setting("pid_file", "", "a file")
    },
    setting("upgrade_probation_s", "3", "seconds as a whole number"),
    setting("upgrade_timeout_s", "30", "seconds as a whole number"),
    Setting {
        flag: Some("workers"),
        foreign_variable: Some("GOMAXPROCS"),
        ..setting("workers", "", "auto, or a whole number from 1 to 1024")
    },
];

/// The daemon's own settings. `None` leaves the matter to the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Directory of the control sockets.
    pub control_dir: Option<PathBuf>,
    /// How long SIGTERM waits for connections to end (default 600 s).
    pub drain_time: Duration,
    /// How log lines are written (default: as MOSN writes them).
    pub log_format: Format,
    /// The most verbose level that is written.
    pub log_level: Option<FilterLevel>,
    /// Nothing more verbose is written, whatever `log_level` or the configuration say: what MOSN's
    /// `--log-level` means.
    pub log_level_limit: FilterLevel,
    /// Where log lines go.
    pub log_output: Option<String>,
    /// Connections taken at once (default 0: as many as descriptors allow).
    pub max_connections: usize,
    /// The pid file.
    pub pid_file: Option<PathBuf>,
    /// For so long a successor that accepts must live before it is trusted (default 3 s).
    pub upgrade_probation: Duration,
    /// How long a successor may take until it accepts, and how long it waits for its predecessor
    /// (default 30 s).
    pub upgrade_timeout: Duration,
    /// Worker threads.
    pub workers: Option<Workers>,
}

/// Settings, and what led to them.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// What was not understood and does no harm, as sentences.
    pub warnings: Vec<String>,
    values: Vec<(&'static str, Value)>,
}

/// Why settings were refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read or is not JSON.
    #[error("settings file {}: {error}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        error: ConfigError,
    },
    /// The sources could not be laid over each other.
    #[error("settings: {0}")]
    Layers(#[source] ConfigError),
    /// The file has a key that is no setting.
    #[error("settings file {}: there is no setting `{key}`{suggestion}", path.display())]
    Unknown {
        /// Which file.
        path: PathBuf,
        /// The key.
        key: String,
        /// `, did you mean …?`, or nothing.
        suggestion: String,
    },
    /// A value is none that its setting accepts.
    #[error("setting `{key}` from {origin}: found {found}, accepted is {accepts}")]
    Value {
        /// Which setting.
        key: &'static str,
        /// Where the value came from.
        origin: String,
        /// The value, or what it is.
        found: String,
        /// What the setting accepts.
        accepts: &'static str,
    },
}

impl Error {
    /// Whether it is the command line that is wrong.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Value { origin, .. } if origin.starts_with("flag "))
    }
}

/// Lays flags over `environment` over the file over the defaults.
///
/// # Errors
///
/// [`Error`] names the first value that is not accepted and where it came from.
pub fn load(
    flags: &SettingsFlags,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Loaded, Error> {
    let (foreign, own, mut warnings) = variables(environment);
    let mut layers = config::Config::builder().add_source(layer::defaults());
    if let Some(path) = &flags.file {
        layers = layers.add_source(file(path)?);
    }
    let layers = layers
        .add_source(foreign)
        .add_source(own)
        .add_source(layer::flags(flags))
        .build()
        .map_err(Error::Layers)?;
    // Typed access would lose where a value came from.
    let mut table = layers.cache.into_table().map_err(Error::Layers)?;
    let values: Vec<_> = SETTINGS
        .iter()
        .filter_map(|setting| Some((setting.key, table.remove(setting.key)?)))
        .collect();
    let settings = Settings::read(&values, &mut warnings)?;
    Ok(Loaded {
        settings,
        warnings,
        values,
    })
}

/// Reads the settings file; every key in it must be a setting.
fn file(path: &Path) -> Result<Layer, Error> {
    let source = File::from(path).format(FileFormat::Json).required(true);
    let table = config::Source::collect(&source).map_err(|error| Error::File {
        path: path.to_owned(),
        error,
    })?;
    if let Some(key) = table.keys().find(|key| !is_own(key)) {
        return Err(Error::Unknown {
            path: path.to_owned(),
            key: key.clone(),
            suggestion: suggestion(key, |setting| setting.key.to_owned()),
        });
    }
    Ok(Layer::of_file(path, table))
}

fn is_own(key: &str) -> bool {
    SETTINGS
        .iter()
        .any(|setting| setting.key == key && setting.foreign == Foreign::No)
}

/// `, did you mean …?` with the nearest name that is not far.
fn suggestion(unknown: &str, name: impl Fn(&Setting) -> String) -> String {
    let own = SETTINGS
        .iter()
        .filter(|setting| setting.foreign == Foreign::No);
    let nearest = own
        .map(|setting| {
            let name = name(setting);
            (strsim::damerau_levenshtein(unknown, &name), name)
        })
        .min();
    match nearest {
        Some((distance, name)) if distance <= 3 => format!(", did you mean `{name}`?"),
        _ => String::new(),
    }
}

impl Settings {
    /// Puts what they decide in the place of what a configuration says.
    pub fn overrule(&self, server: &mut Server) {
        let Self {
            control_dir,
            pid_file,
            workers,
            ..
        } = self;
        if control_dir.is_some() {
            server.socket_directory.clone_from(control_dir);
        }
        if pid_file.is_some() {
            server.pid_file.clone_from(pid_file);
        }
        if let Some(workers) = workers {
            server.workers = *workers;
        }
    }

    fn read(values: &[(&'static str, Value)], warnings: &mut Vec<String>) -> Result<Self, Error> {
        let values = Values(values);
        let limit = values.read("log_level_limit", level);
        Ok(Self {
            control_dir: values.read("control_dir", path)?,
            drain_time: values.read("drain_time_s", seconds)?.unwrap_or_default(),
            log_format: values.read("log_format", format)?.unwrap_or_default(),
            log_level: values.read("log_level", level)?,
            log_level_limit: limit
                .unwrap_or_else(|error| {
                    // MOSN starts all the same.
                    warnings.push(error.to_string());
                    None
                })
                .unwrap_or(FilterLevel::Trace),
            log_output: values.read("log_output", |text| Some(text.to_owned()))?,
            max_connections: values
                .read("max_connections", |t| t.parse().ok())?
                .unwrap_or(0),
            pid_file: values.read("pid_file", path)?,
            upgrade_probation: values
                .read("upgrade_probation_s", seconds)?
                .unwrap_or_default(),
            upgrade_timeout: values
                .read("upgrade_timeout_s", seconds)?
                .unwrap_or_default(),
            workers: values.read("workers", workers)?,
        })
    }
}

/// What all sources together say, still as text.
struct Values<'a>(&'a [(&'static str, Value)]);

impl Values<'_> {
    /// The setting `key`; `None` when it is left to the configuration.
    fn read<T>(
        &self,
        key: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some((_, value)) = self.0.iter().find(|(name, _)| *name == key) else {
            return Ok(None);
        };
        let (text, found) = match &value.kind {
            ValueKind::Array(_) => (None, "a list".to_owned()),
            ValueKind::Table(_) => (None, "an object".to_owned()),
            scalar => (value.clone().into_string().ok(), format!("`{scalar}`")),
        };
        if text.as_ref().is_some_and(String::is_empty) {
            return Ok(None);
        }
        let parsed = text.and_then(|text| parse(&text));
        parsed.map(Some).ok_or_else(|| Error::Value {
            key,
            origin: value.origin().unwrap_or_default().to_owned(),
            found,
            accepts: SETTINGS
                .iter()
                .find(|s| s.key == key)
                .map_or("", |s| s.accepts),
        })
    }
}

fn path(text: &str) -> Option<PathBuf> {
    Some(text.into())
}

fn seconds(text: &str) -> Option<Duration> {
    text.parse()
        .ok()
        .map(|seconds: u32| Duration::from_secs(seconds.into()))
}

fn format(text: &str) -> Option<Format> {
    match text {
        "mosn" => Some(Format::Mosn),
        "json" => Some(Format::Json),
        "journald" => Some(Format::Journald),
        _ => None,
    }
}

/// `off` leaves what ends the process, as in MOSN.
fn level(text: &str) -> Option<FilterLevel> {
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

fn workers(text: &str) -> Option<Workers> {
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

#[cfg(test)]
mod tests;
