//! What protocols have in common whose frames name the request that they belong to, so that many
//! requests share a connection and their answers come in any order.
//!
//! Bytes in, frames out. A protocol is one [`Codec`]; whatever serves frames knows no other. A
//! [`Frame`] says where its parts lie in the bytes that it was read from and owns none of them:
//! [`Codec::relay`] copies them once, under another id.

mod bytes;
mod edit;
mod error;
mod frame;
mod inbox;
mod rest;

pub use bytes::FrameBytes;
pub use edit::Edit;
pub use error::{Flaw, Malformed};
pub use frame::{Asker, Decoded, Frame, Kind, Message, Span, Timeout};
pub use inbox::Inbox;
pub use rest::Rest;

/// A protocol of frames. It has no state: what it knows of a frame stands in the [`Frame`].
pub trait Codec: Send + Sync {
    /// MOSN's name of the protocol, as configurations have it.
    fn name(&self) -> &'static str;

    /// Reads the frame that `bytes` begin with, if it has at most `most` bytes.
    ///
    /// Fewer bytes of the same input give the same frame, the same error, or
    /// [`Decoded::Need`]: what comes in parts is what comes as a whole.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when no bytes that may follow make this a frame. Where the next one begins is
    /// then not known: the connection is lost.
    fn decode(&self, bytes: &[u8], most: usize) -> Result<Decoded, Malformed>;

    /// The value of the first header of this name, letter by letter. `frame` was read from `bytes`.
    ///
    /// # Errors
    ///
    /// [`Flaw::Headers`] when the header block ends within a header before the name is found.
    fn header<'a>(
        &self,
        frame: &Frame,
        bytes: &'a [u8],
        name: &[u8],
    ) -> Result<Option<&'a [u8]>, Flaw>;

    /// Tells each header, in order.
    ///
    /// # Errors
    ///
    /// [`Flaw::Headers`] when the header block ends within a header; those before it were told.
    fn each_header(
        &self,
        frame: &Frame,
        bytes: &[u8],
        tell: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), Flaw>;

    /// The header block of the frame after `edits`, for [`relay`](Self::relay).
    ///
    /// # Errors
    ///
    /// [`Flaw::Headers`] when the block ends within a header, and [`Flaw::HeadersTooLong`] when it
    /// no longer fits a frame.
    fn edited(&self, frame: &Frame, bytes: &[u8], edits: &[Edit<'_>]) -> Result<Vec<u8>, Flaw>;

    /// Appends the frame to `out` with `id` for its own, with another header block where one is
    /// given, and otherwise byte for byte. `frame` was read from `bytes`.
    fn relay(
        &self,
        frame: &Frame,
        bytes: &[u8],
        id: u64,
        headers: Option<&[u8]>,
        out: &mut Vec<u8>,
    );

    /// Gives the frame that `bytes` begin with another id, in place.
    fn set_id(&self, frame: &mut Frame, bytes: &mut [u8], id: u64);

    /// The last id that fits a frame; the next one is 1 again.
    fn last_id(&self) -> u64;

    /// What a response says, as a status of HTTP.
    fn code(&self, frame: &Frame) -> u16;

    /// Appends an answer of our own with the protocol's word for `code`, a status of HTTP or one of
    /// the [codes](self::code) below them.
    fn reply(&self, to: &Asker, code: u16, body: &[u8], out: &mut Vec<u8>);

    /// Appends the answer to a heartbeat.
    fn acknowledge(&self, heartbeat: &Asker, out: &mut Vec<u8>);

    /// A heartbeat of our own; `None` where the protocol has none.
    fn heartbeat(&self, id: u64) -> Option<Vec<u8>>;

    /// The word that no more requests are wanted on a connection; `None` where the protocol has
    /// none.
    fn goaway(&self, id: u64) -> Option<Vec<u8>>;
}

/// Codes of MOSN that are no statuses of HTTP.
pub mod code {
    /// The request could not be read.
    pub const CODEC: u16 = 0;
    /// Something in the request could not be read.
    pub const DESERIAL: u16 = 3;
}
