//! The command `check`: everything that is wrong or doubtful in a configuration.

use super::arguments::{Check, Format};
use super::{Exit, print};
use crate::config::{self, Strictness};

/// Prints what is found; touches nothing.
#[must_use]
pub fn check(arguments: &Check) -> Exit {
    let file = &arguments.config.file;
    let found = config::load(file).diagnostics;
    let report = match arguments.format {
        Format::Json => format!("{}\n", found.to_json(&file.to_string_lossy()).trim_end()),
        Format::Text if found.is_empty() => format!("{}: {}\n", file.display(), found.summary()),
        Format::Text => found.to_text() + arguments.config.help(),
    };
    let strictness = match arguments.strict {
        true => Strictness::Strict,
        false => Strictness::Lenient,
    };
    match print::say(&report) {
        Exit::Normal if found.refused(strictness) => Exit::BadConfiguration,
        exit => exit,
    }
}
