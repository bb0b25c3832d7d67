//! Directories with one object in each file.

use std::io;
use std::path::{Path, PathBuf};

use super::Scope;
use crate::config::diagnostics::{Code, Diagnostics, Severity};
use crate::config::load::{Format, Source, Surroundings, read, unreadable};
use crate::config::raw::{self, Cursor, Schema, Value};

/// Reads every `.json` file of the directory that is named at `at`; empty files are passed over.
pub(super) fn each_file<'s>(
    directory: &str,
    at: &Cursor<'_>,
    schema: &'static Schema,
    scope: &mut Scope<'s>,
    mut take: impl FnMut(&Cursor<'_>, &mut Scope<'s>),
) {
    let files = match files(directory, scope.surroundings, scope.diagnostics) {
        Ok(files) => files,
        Err(error) => {
            let message = format!("the directory cannot be read: {error}");
            scope.push(at.error(Code::Unreadable, message).found(at.brief()));
            return;
        }
    };
    for (name, value) in files {
        let path = raw::Path::root(name);
        let node = raw::walk(&value, schema, &path, Severity::Error, scope.diagnostics);
        take(&Cursor::new(&node, path), scope);
    }
}

/// What stands in each of those files.
///
/// # Errors
///
/// When the directory cannot be read; a file that cannot be read is a finding.
pub(in crate::config) fn files(
    directory: &str,
    surroundings: &dyn Surroundings,
    diagnostics: &mut Diagnostics,
) -> io::Result<Vec<(String, Value)>> {
    let entries = surroundings.entries(Path::new(directory))?;
    let is_json = |file: &&PathBuf| file.extension().is_some_and(|ext| ext == "json");
    let mut found = Vec::new();
    for file in entries.iter().filter(is_json) {
        let name = file.to_string_lossy();
        let text = match surroundings.read(file) {
            Ok(text) if text.is_empty() => continue,
            Ok(text) => text,
            Err(error) => {
                diagnostics.push(unreadable(&raw::Path::root(&*name), &error));
                continue;
            }
        };
        let source = Source {
            file: &name,
            format: Format::Json,
            text: &text,
        };
        if let Some(value) = read(&source, diagnostics) {
            found.push((name.into_owned(), value));
        }
    }
    Ok(found)
}
