//! Directories with one object in each file.

use std::path::Path;

use super::Scope;
use crate::config::diagnostics::{Code, Severity};
use crate::config::load::{Format, Source, read, unreadable};
use crate::config::raw::{self, Cursor, Schema};

/// Reads every `.json` file of the directory that is named at `at`; empty files are passed over.
pub(super) fn each_file<'s>(
    directory: &str,
    at: &Cursor<'_>,
    schema: &'static Schema,
    scope: &mut Scope<'s>,
    mut take: impl FnMut(&Cursor<'_>, &mut Scope<'s>),
) {
    let entries = match scope.surroundings.entries(Path::new(directory)) {
        Ok(entries) => entries,
        Err(error) => {
            let message = format!("the directory cannot be read: {error}");
            scope.push(at.error(Code::Unreadable, message).found(at.brief()));
            return;
        }
    };
    let is_json = |file: &&std::path::PathBuf| file.extension().is_some_and(|ext| ext == "json");
    for file in entries.iter().filter(is_json) {
        let name = file.to_string_lossy();
        let path = raw::Path::root(&*name);
        let text = match scope.surroundings.read(file) {
            Ok(text) if text.is_empty() => continue,
            Ok(text) => text,
            Err(error) => {
                scope.push(unreadable(&path, &error));
                continue;
            }
        };
        let source = Source {
            file: &name,
            format: Format::Json,
            text: &text,
        };
        let Some(value) = read(&source, scope.diagnostics) else {
            continue;
        };
        let node = raw::walk(&value, schema, &path, Severity::Error, scope.diagnostics);
        take(&Cursor::new(&node, path), scope);
    }
}
