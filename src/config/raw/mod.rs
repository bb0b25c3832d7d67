//! The document as written: read, then held against the tables of known keys.

mod canonical;
mod cursor;
mod fold;
mod json;
mod json_schema;
pub(crate) mod keys;
mod node;
mod path;
mod redact;
mod shape;
mod value;
mod walk;
mod yaml;

pub(crate) use canonical::canonical;
pub(crate) use cursor::Cursor;
pub(crate) use fold::nearest;
pub(crate) use json_schema::json_schema;
pub(crate) use path::Path;
pub(crate) use redact::{is_redacted, redacted};
pub(crate) use shape::Schema;
pub(crate) use value::{Kind, Place, Value, quote, shorten};
pub(crate) use walk::walk;

use super::diagnostics::{Code, Diagnostic, Severity};
use super::load::Format;

/// Why a text is no document.
#[derive(Debug)]
pub(crate) struct Fault {
    code: Code,
    place: Place,
    message: String,
    found: Option<String>,
    accepted: Option<String>,
}

impl Fault {
    fn new(code: Code, place: Place, message: impl Into<String>) -> Self {
        Self {
            code,
            place,
            message: message.into(),
            found: None,
            accepted: None,
        }
    }

    fn found(mut self, found: String) -> Self {
        self.found = Some(found);
        self
    }

    fn accepted(mut self, accepted: &str) -> Self {
        self.accepted = Some(accepted.to_owned());
        self
    }

    pub(crate) fn into_diagnostic(self, path: &Path<'_>) -> Diagnostic {
        let at = (path, self.place);
        Diagnostic {
            found: self.found,
            accepted: self.accepted,
            ..Diagnostic::new(Severity::Error, self.code, at, self.message)
        }
    }
}

pub(crate) fn read(text: &str, format: Format) -> Result<Value, Fault> {
    match format {
        Format::Json => json::read(text),
        Format::Yaml => yaml::read(text),
    }
}
