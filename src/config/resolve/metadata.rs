//! Metadata, by which hosts are told apart.

use super::Scope;
use crate::config::diagnostics::{Code, Severity};
use crate::config::plan::Metadata;
use crate::config::raw::Cursor;

/// The texts of `filter_metadata["mosn.lb"]` under a key.
pub(super) fn metadata(at: &Cursor<'_>, name: &str, scope: &mut Scope<'_>) -> Metadata {
    let pairs = at
        .get(name)
        .and_then(|at| at.get("filter_metadata"))
        .and_then(|at| at.get("mosn.lb"));
    let mut metadata = Metadata::new();
    for (key, at) in pairs.map_or_else(Vec::new, |at| at.members()) {
        match at.as_text() {
            Some(value) => {
                metadata.insert(key.to_owned(), value.to_owned());
            }
            None => scope.diagnostics.push_with(Severity::Warning, || {
                let message = "this value is no text and is ignored";
                at.warning(Code::WrongType, message)
                    .found(at.brief())
                    .accepted("a string")
            }),
        }
    }
    metadata
}
