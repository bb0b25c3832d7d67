//! Sources of settings whose every value carries the name of its flag, variable or file.

use std::ffi::OsString;
use std::path::Path;

use config::{ConfigError, Map, Source, Value};

use super::keys::{Foreign, SETTINGS, Setting};
use super::suggestion;
use crate::cli::arguments::SettingsFlags;

/// What our variables begin with.
const PREFIX: &str = "BANYAN_";

/// Variables with our prefix that are no settings: the settings file itself.
const OTHERS: [&str; 2] = ["BANYAN_SETTINGS", super::PREDECESSOR];

/// One source of settings.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer(Map<String, Value>);

impl Layer {
    fn set(&mut self, key: &str, origin: String, value: &str) {
        let value = Value::new(Some(&origin), value);
        self.0.insert(key.to_owned(), value);
    }

    /// What a file holds, each value with the file's name.
    pub(super) fn of_file(path: &Path, table: Map<String, Value>) -> Self {
        let origin = format!("file {}", path.display());
        let named = |(key, value): (String, Value)| (key, Value::new(Some(&origin), value.kind));
        Self(table.into_iter().map(named).collect())
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

pub(super) fn defaults() -> Layer {
    let mut layer = Layer::default();
    for Setting { key, default, .. } in &SETTINGS {
        let origin = if default.is_empty() {
            "configuration"
        } else {
            "default"
        };
        layer.set(key, origin.to_owned(), default);
    }
    layer
}

pub(super) fn flags(flags: &SettingsFlags) -> Layer {
    let SettingsFlags {
        file: _,
        control_dir,
        drain_time_s,
        log_level,
        log_output,
        max_connections,
        mosn_sighup,
        pid_file,
        workers,
    } = flags;
    let given = [
        ("control_dir", control_dir),
        ("drain_time_s", drain_time_s),
        ("log_level_limit", log_level),
        ("log_output", log_output),
        ("max_connections", max_connections),
        ("mosn_sighup", mosn_sighup),
        ("pid_file", pid_file),
        ("workers", workers),
    ];
    let mut layer = Layer::default();
    for (key, value) in given {
        let flag = SETTINGS
            .iter()
            .find(|setting| setting.key == key)
            .and_then(|s| s.flag);
        if let (Some(flag), Some(value)) = (flag, value) {
            layer.set(key, format!("flag --{flag}"), value);
        }
    }
    layer
}

/// MOSN's variables, ours, and warnings of those that look like ours. An empty variable is none.
pub(super) fn variables(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> (Layer, Layer, Vec<String>) {
    let (mut foreign, mut own, mut warnings) = (Layer::default(), Layer::default(), Vec::new());
    for (name, value) in environment {
        let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
        if value.is_empty() {
            continue;
        }
        let named = |setting: &&Setting| setting.foreign_variable == Some(&*name);
        if let Some(setting) = SETTINGS.iter().find(named) {
            if is_meant(setting, &value) {
                foreign.set(setting.key, format!("variable {name}"), &value);
            }
        } else if let Some(setting) = SETTINGS.iter().find(|s| variable(s) == name) {
            own.set(setting.key, format!("variable {name}"), &value);
        } else if name.starts_with(PREFIX) && !OTHERS.contains(&&*name) {
            let suggestion = suggestion(&name, variable);
            warnings.push(format!("variable {name} is no setting{suggestion}"));
        }
    }
    warnings.sort_unstable();
    (foreign, own, warnings)
}

/// Go takes a `GOMAXPROCS` that is no positive number for none; so must we.
fn is_meant(setting: &Setting, value: &str) -> bool {
    setting.key != "workers" || value.parse().is_ok_and(|number: u32| number > 0)
}

/// Our variable of a setting; empty when it has none.
fn variable(setting: &Setting) -> String {
    match setting.foreign {
        Foreign::No => format!("{PREFIX}{}", setting.key.to_uppercase()),
        Foreign::Yes => String::new(),
    }
}
