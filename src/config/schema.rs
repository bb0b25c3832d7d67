//! What a configuration may say, for other programs.

use serde_json::Value;

use super::raw;

/// The JSON Schema (2020-12) of a configuration: every key with its type, and whether it has an
/// effect yet.
///
/// It accepts what [`load`](super::load) accepts without a warning, if each key is written in its
/// canonical letter case; what names refer to it does not know.
#[must_use]
pub fn schema() -> Value {
    raw::json_schema()
}
