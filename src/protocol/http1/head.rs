//! What heads of requests and responses have in common.

use std::mem::MaybeUninit;

use super::error::Malformed;

/// The most fields of a head, whatever the limit says: their table lies on the stack.
pub const MAX_FIELDS: usize = 256;

/// The most bytes of a head, whatever the limit says.
const MAX_BYTES: usize = 16 << 20;

/// What a head may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HeadLimits {
    /// Bytes, from the first to the empty line's; at most 16 MiB.
    pub bytes: usize,
    /// Fields; at most [`MAX_FIELDS`].
    pub fields: usize,
}

/// How far a head is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Parsed {
    /// Its end has not come yet. Nothing that has come is wrong.
    Partial,
    /// It is whole, and this many bytes long.
    Whole(usize),
}

/// The versions that are spoken here.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    #[default]
    Http11,
}

impl Version {
    pub(super) fn of(minor: Option<u8>) -> Self {
        match minor {
            Some(0) => Self::Http10,
            _ => Self::Http11,
        }
    }
}

/// Room for the fields of one head.
pub(super) type Table<'a> = [MaybeUninit<httparse::Header<'a>>; MAX_FIELDS];

pub(super) const fn table<'a>() -> Table<'a> {
    [const { MaybeUninit::uninit() }; MAX_FIELDS]
}

impl HeadLimits {
    /// The part of the input in which a head must end, so that what has come behind it does not
    /// change the answer.
    pub(super) fn window<'a>(&self, input: &'a [u8]) -> &'a [u8] {
        &input[..input.len().min(self.bytes.min(MAX_BYTES))]
    }

    /// The part of the table that may be filled.
    pub(super) fn rows<'t, 'a>(
        &self,
        table: &'t mut Table<'a>,
    ) -> &'t mut [MaybeUninit<httparse::Header<'a>>] {
        &mut table[..self.fields.min(MAX_FIELDS)]
    }

    /// Whether a head of which this has come, but no end, is one that may go on.
    pub(super) fn allow_more(&self, head: &[u8]) -> Result<(), Malformed> {
        let is_bare = |at: usize| at == 0 || head[at - 1] != b'\r';
        if memchr::memchr_iter(b'\n', head).any(is_bare) {
            return Err(Malformed::LineEnd);
        }
        if head.len() >= self.bytes.min(MAX_BYTES) {
            return Err(Malformed::HeadTooLarge);
        }
        Ok(())
    }
}

/// What the tokeniser complains of in the fields of `head`.
pub(super) fn complaint(error: httparse::Error, head: &[u8]) -> Malformed {
    use httparse::Error;
    match error {
        Error::HeaderName if has_blank_start(head) => Malformed::LineStart,
        Error::HeaderName => Malformed::FieldName,
        Error::HeaderValue => Malformed::FieldValue,
        Error::NewLine => Malformed::LineEnd,
        Error::Status | Error::Token => Malformed::StatusLine,
        Error::TooManyHeaders => Malformed::TooManyFields,
        Error::Version => Malformed::Version,
    }
}

fn has_blank_start(head: &[u8]) -> bool {
    let after = |at: usize| head.get(at + 1);
    memchr::memchr_iter(b'\n', head).any(|at| matches!(after(at), Some(b' ' | b'\t')))
}
