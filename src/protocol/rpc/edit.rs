//! Changes of a header block.

/// One change of a header block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Edit<'a> {
    /// Takes every header of this name away.
    Remove(&'a [u8]),
    /// Gives the first header of this name this value, or adds one at the end.
    Set(&'a [u8], &'a [u8]),
    /// Adds a value to the first header of this name, after a comma, or adds one at the end.
    Append(&'a [u8], &'a [u8]),
}

impl<'a> Edit<'a> {
    /// The name of the header that it changes.
    #[must_use]
    pub fn name(&self) -> &'a [u8] {
        match self {
            Self::Remove(name) | Self::Set(name, _) | Self::Append(name, _) => name,
        }
    }
}
