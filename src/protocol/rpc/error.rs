//! What is wrong with a frame, in the words of the rule that it breaks.

use thiserror::Error;

use super::Asker;

/// A rule that a frame breaks.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Flaw {
    /// The checksum is not that of the bytes before it.
    #[error("checksum that does not match")]
    Checksum,
    /// The header block ends within a header.
    #[error("header block that ends within a header")]
    Headers,
    /// The header block, as it was changed, does not fit a frame.
    #[error("header block longer than a frame can hold")]
    HeadersTooLong,
    /// Not this protocol at all.
    #[error("first byte of no known protocol")]
    Magic,
    /// The frame is longer than the limit.
    #[error("frame longer than the limit")]
    TooLong,
    /// Neither a request nor a response.
    #[error("unknown type of frame")]
    Type,
    /// A version that is not known.
    #[error("unknown version of the protocol")]
    Version,
}

/// Bytes that are no frame. The connection they came over is lost.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("{flaw}")]
pub struct Malformed {
    /// The rule that is broken.
    pub flaw: Flaw,
    /// Who waits for an answer, where a request could be read so far.
    pub asker: Option<Asker>,
}

impl From<Flaw> for Malformed {
    fn from(flaw: Flaw) -> Self {
        Self { flaw, asker: None }
    }
}
