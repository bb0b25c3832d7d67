//! What routing asks of a request.

use std::borrow::Cow;

use crate::config::Variable;

/// What routing asks of a request. Each protocol answers in its own way; of what it does not have, it
/// says nothing.
pub trait Facts {
    /// The host that it is for, as it came: in any case of letters, with or without port.
    fn host(&self) -> Option<&[u8]> {
        None
    }

    /// Its method, told apart by case.
    fn method(&self) -> &[u8] {
        b""
    }

    /// Its path, unescaped and normalised: what [`normal_path`](super::normal_path) makes.
    fn path(&self) -> &[u8] {
        b""
    }

    /// The value of the field of this name, which is in lower case; of several, that of the first,
    /// as MOSN has it.
    fn field(&self, name: &str) -> Option<&[u8]>;

    /// The value of a cookie; its name is told apart by case.
    fn cookie(&self, _name: &str) -> Option<Cow<'_, [u8]>> {
        None
    }

    /// What a variable is worth now.
    fn variable(&self, variable: &Variable) -> Option<Cow<'_, [u8]>>;
}
