//! Frames that we make ourselves.

use std::time::Duration;

use super::super::rpc::{Flaw, Frame};
use super::head::{self, CHECKSUM_SWITCH, COMMAND_VERSION, Version};

/// The codec id of Hessian 2, which is all that MOSN knows.
const HESSIAN2: u8 = 1;

/// Whether a frame of version 2 carries a checksum. Version 1 has none.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Checksum {
    /// It does not.
    #[default]
    None,
    /// CRC-32 of the whole frame.
    Crc32,
}

/// Whether a request wants an answer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Answer {
    /// It does.
    #[default]
    Wanted,
    /// It is one-way.
    Unwanted,
}

/// A request to be written.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The version of its frame.
    pub version: Version,
    /// Whether the frame carries one.
    pub checksum: Checksum,
    /// Its id.
    pub id: u32,
    /// How long it waits for its answer, to the millisecond; `None` does not say.
    pub timeout: Option<Duration>,
    /// Whether it wants one.
    pub answer: Answer,
    /// What follows.
    pub parts: Parts<'a>,
}

/// A response to be written.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// The version of its frame: that of the request.
    pub version: Version,
    /// Whether the frame carries one.
    pub checksum: Checksum,
    /// The id of the request.
    pub id: u32,
    /// What it says, as a number: peers may know others than [`Status`](super::Status) has.
    pub status: u16,
    /// What follows.
    pub parts: Parts<'a>,
}

/// The parts whose lengths a frame says.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Parts<'a> {
    /// The class of the content.
    pub class: &'a [u8],
    /// The header block, as [`write_header`](super::write_header) makes it.
    pub headers: &'a [u8],
    /// The content.
    pub content: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Those of a frame of Bolt that was read from `bytes`.
    #[must_use]
    pub fn of(frame: &Frame, bytes: &'a [u8]) -> Self {
        Self {
            class: &bytes[head::fixed_of(bytes)..frame.headers.start],
            headers: frame.headers.of(bytes),
            content: frame.content.of(bytes),
        }
    }
}

impl Request<'_> {
    /// Appends its frame.
    ///
    /// # Errors
    ///
    /// [`Flaw::TooLong`] when a part is longer than a frame can say.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), Flaw> {
        let millis = self.timeout.map_or(0, |timeout| {
            i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)
        });
        let type_byte = match self.answer {
            Answer::Wanted => head::REQUEST,
            Answer::Unwanted => head::ONE_WAY,
        };
        let opening = Opening {
            version: self.version,
            checksum: self.checksum,
            type_byte,
            command: head::RPC_REQUEST,
            id: self.id,
        };
        opening.write(&millis.to_be_bytes(), &self.parts, out)
    }
}

impl Response<'_> {
    /// Appends its frame.
    ///
    /// # Errors
    ///
    /// [`Flaw::TooLong`] when a part is longer than a frame can say.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), Flaw> {
        let opening = Opening {
            version: self.version,
            checksum: self.checksum,
            type_byte: head::RESPONSE,
            command: head::RPC_RESPONSE,
            id: self.id,
        };
        opening.write(&self.status.to_be_bytes(), &self.parts, out)
    }
}

/// What every frame begins with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    pub(super) version: Version,
    pub(super) checksum: Checksum,
    pub(super) type_byte: u8,
    pub(super) command: u16,
    pub(super) id: u32,
}

impl Opening {
    /// Appends a frame. `said` is its timeout or its status.
    pub(super) fn write(
        &self,
        said: &[u8],
        parts: &Parts<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Flaw> {
        let short = |part: &[u8]| u16::try_from(part.len()).map_err(|_| Flaw::TooLong);
        let (class, headers) = (short(parts.class)?, short(parts.headers)?);
        let content = u32::try_from(parts.content.len()).map_err(|_| Flaw::TooLong)?;
        let start = out.len();
        let is_checked = self.version == Version::V2 && self.checksum == Checksum::Crc32;
        out.push(self.version as u8);
        if self.version == Version::V2 {
            out.push(if is_checked {
                head::CAPABLE_OF_CHECKSUM
            } else {
                head::PLAIN
            });
        }
        out.push(self.type_byte);
        out.extend_from_slice(&self.command.to_be_bytes());
        out.push(COMMAND_VERSION);
        out.extend_from_slice(&self.id.to_be_bytes());
        out.push(HESSIAN2);
        if self.version == Version::V2 {
            out.push(if is_checked { CHECKSUM_SWITCH } else { 0 });
        }
        out.extend_from_slice(said);
        out.extend_from_slice(&class.to_be_bytes());
        out.extend_from_slice(&headers.to_be_bytes());
        out.extend_from_slice(&content.to_be_bytes());
        out.extend_from_slice(parts.class);
        out.extend_from_slice(parts.headers);
        out.extend_from_slice(parts.content);
        if is_checked {
            let checksum = head::checksum(&out[start..]);
            out.extend_from_slice(&checksum);
        }
        Ok(())
    }
}
