//! The daemon's own settings, which no MOSN configuration has: defaults, then an optional JSON
//! file, then variables, then flags; each value knows where it came from.

mod keys;
mod layer;
mod table;
mod values;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{ConfigError, File, FileFormat, Value, ValueKind};
use slog::FilterLevel;

use self::keys::{Foreign, SETTINGS, Setting};
use self::layer::{Layer, variables};
use self::values::{format, hangup, keep, level, list, path, role, seconds, watch, workers};
use super::arguments::SettingsFlags;
use crate::actor::admin::Role;
use crate::config::{Server, Workers};
use crate::telemetry::log::Format;

/// The variable by which a process that is started to take over is told from whom.
pub(super) const PREDECESSOR: &str = "BANYAN_PREDECESSOR";

/// The daemon's own settings. `None` leaves the matter to the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Variables of the environment that the admin API may show.
    pub admin_env: Vec<String>,
    /// Names by which the admin address may be called, besides addresses and this machine's name.
    pub admin_hosts: Vec<String>,
    /// What a peer on this machine may do to the admin address without a token (default: write).
    pub admin_loopback: Option<Role>,
    /// What any other peer may do without a token (default: read).
    pub admin_remote: Option<Role>,
    /// The tokens of the admin address.
    pub admin_token_file: Option<PathBuf>,
    /// Directory of the control sockets.
    pub control_dir: Option<PathBuf>,
    /// How long SIGTERM waits for connections to end (default 600 s).
    pub drain_time: Duration,
    /// Whether changes at run time are kept (default: no).
    pub keep_changes: KeepChanges,
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
    /// What SIGHUP does (default: it reloads).
    pub hangup: Hangup,
    /// The pid file.
    pub pid_file: Option<PathBuf>,
    /// How long SIGTERM waits before it stops accepting, while `/readyz` is false (default: not).
    pub pre_drain_wait: Duration,
    /// For so long a successor that accepts must live before it is trusted (default 3 s).
    pub upgrade_probation: Duration,
    /// How long a successor may take until it accepts, and how long it waits for its predecessor
    /// (default 30 s).
    pub upgrade_timeout: Duration,
    /// Whether an edit of the configuration file reloads it (default: it does not).
    pub watch_config: Watch,
    /// Worker threads.
    pub workers: Option<Workers>,
}

/// Whether changes at run time are kept on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepChanges {
    /// They end with the process, as in MOSN.
    #[default]
    No,
    /// They can be gone back to, also by the next process.
    History,
    /// The next process starts with them, too.
    Restart,
}

/// What SIGHUP does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hangup {
    /// The configuration is read again.
    #[default]
    Reloads,
    /// A process is started that takes over, as in MOSN.
    Upgrades,
}

/// Whether a file is watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Watch {
    /// Nobody looks.
    #[default]
    No,
    /// It is looked at once a second.
    Yes,
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
            admin_env: values.read("admin_env", list)?.unwrap_or_default(),
            admin_hosts: values.read("admin_hosts", list)?.unwrap_or_default(),
            admin_loopback: values.read("admin_loopback", role)?.flatten(),
            admin_remote: values
                .read("admin_remote", |text| {
                    role(text).filter(|role| *role != Some(Role::Write))
                })?
                .flatten(),
            admin_token_file: values.read("admin_token_file", path)?,
            control_dir: values.read("control_dir", path)?,
            drain_time: values.read("drain_time_s", seconds)?.unwrap_or_default(),
            keep_changes: values.read("keep_changes", keep)?.unwrap_or_default(),
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
            hangup: values.read("mosn_sighup", hangup)?.unwrap_or_default(),
            pid_file: values.read("pid_file", path)?,
            pre_drain_wait: values
                .read("pre_drain_wait_s", seconds)?
                .unwrap_or_default(),
            upgrade_probation: values
                .read("upgrade_probation_s", seconds)?
                .unwrap_or_default(),
            upgrade_timeout: values
                .read("upgrade_timeout_s", seconds)?
                .unwrap_or_default(),
            watch_config: values.read("watch_config", watch)?.unwrap_or_default(),
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

#[cfg(test)]
mod tests;
