//! The part of a frame whose length is fixed.

use std::time::Duration;

use super::super::rpc::{Asker, Flaw, Kind, Malformed, Timeout};

/// Types of frames.
pub(super) const RESPONSE: u8 = 0;
pub(super) const REQUEST: u8 = 1;
pub(super) const ONE_WAY: u8 = 2;

/// Codes of commands.
pub(super) const HEARTBEAT: u16 = 0;
pub(super) const RPC_REQUEST: u16 = 1;
pub(super) const RPC_RESPONSE: u16 = 2;
/// MOSN's addition.
pub(super) const GOAWAY: u16 = 100;

/// The version of commands: there is no other.
pub(super) const COMMAND_VERSION: u8 = 1;
/// `ver1` of version 2 without, and perhaps with, a checksum.
pub(super) const PLAIN: u8 = 1;
pub(super) const CAPABLE_OF_CHECKSUM: u8 = 2;
/// The bit of `switch` that says that there is a checksum.
pub(super) const CHECKSUM_SWITCH: u8 = 1;
/// A checksum's bytes, which no length counts.
pub(super) const CHECKSUM_BYTES: usize = 4;

/// A version of the protocol.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum Version {
    /// The first.
    V1 = 1,
    /// The second: it has switches, and perhaps a checksum.
    V2 = 2,
}

impl Version {
    /// The version of a frame that begins with this byte.
    #[must_use]
    pub fn of(first: u8) -> Option<Self> {
        match first {
            1 => Some(Self::V1),
            2 => Some(Self::V2),
            _ => None,
        }
    }

    /// Bytes that stand before the type.
    fn before_type(self) -> usize {
        self as usize
    }

    /// Where the id stands.
    pub(super) fn id_at(self) -> usize {
        self.before_type() + 4
    }

    /// Where the timeout or the status stands.
    fn timeout_at(self) -> usize {
        match self {
            Self::V1 => 10,
            Self::V2 => 12,
        }
    }

    /// Where the three lengths stand.
    fn lengths_at(self, type_byte: u8) -> usize {
        self.timeout_at() + if type_byte == RESPONSE { 2 } else { 4 }
    }

    /// How many bytes the fixed part has: it ends with the lengths.
    pub(super) fn fixed(self, type_byte: u8) -> usize {
        self.lengths_at(type_byte) + 8
    }
}

/// The fixed part of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) version: Version,
    /// The byte that tells requests from responses.
    pub(super) type_byte: u8,
    pub(super) kind: Kind,
    pub(super) id: u32,
    pub(super) timeout: Timeout,
    pub(super) status: u16,
    pub(super) class: usize,
    pub(super) headers: usize,
    pub(super) content: u64,
    pub(super) checksum: usize,
}

impl Head {
    /// Reads it; `Err(Ok(n))` where `n` bytes are needed. Bytes are judged in their order, so that
    /// a frame that comes in parts is refused for what the whole is refused for.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Result<usize, Malformed>> {
        let refuse = |flaw: Flaw| Err(Malformed::from(flaw));
        let Some(&first) = bytes.first() else {
            return Err(Ok(Version::V1.fixed(RESPONSE)));
        };
        let version = Version::of(first).ok_or_else(|| Err(Flaw::Magic.into()))?;
        let least = version.fixed(RESPONSE);
        let byte = |at: usize| bytes.get(at).copied().ok_or(Ok(least));
        let checked = match version {
            Version::V1 => false,
            Version::V2 => match byte(1)? {
                PLAIN => false,
                CAPABLE_OF_CHECKSUM => true,
                _ => return Err(refuse(Flaw::Version)),
            },
        };
        let type_byte = byte(version.before_type())?;
        if type_byte > ONE_WAY {
            return Err(refuse(Flaw::Type));
        }
        if byte(version.before_type() + 3)? != COMMAND_VERSION {
            return Err(refuse(Flaw::Version));
        }
        let fixed = version.fixed(type_byte);
        if bytes.len() < fixed {
            return Err(Ok(fixed));
        }
        Ok(Self::of_fixed(version, type_byte, checked, bytes))
    }

    fn of_fixed(version: Version, type_byte: u8, checked: bool, bytes: &[u8]) -> Self {
        let command = u16_at(bytes, version.before_type() + 1);
        let is_response = type_byte == RESPONSE;
        let said = version.timeout_at();
        let lengths = version.lengths_at(type_byte);
        let is_checked = checked && bytes[version.timeout_at() - 1] & CHECKSUM_SWITCH != 0;
        Self {
            version,
            type_byte,
            kind: kind(type_byte, command),
            id: u32_at(bytes, version.id_at()),
            timeout: if is_response {
                Timeout::Unsaid
            } else {
                timeout(u32_at(bytes, said).cast_signed())
            },
            status: if is_response { u16_at(bytes, said) } else { 0 },
            class: usize::from(u16_at(bytes, lengths)),
            headers: usize::from(u16_at(bytes, lengths + 2)),
            content: u64::from(u32_at(bytes, lengths + 4)),
            checksum: if is_checked { CHECKSUM_BYTES } else { 0 },
        }
    }

    /// How many bytes the whole frame has.
    pub(super) fn length(&self) -> u64 {
        let counted = self.version.fixed(self.type_byte) + self.class + self.headers;
        counted as u64 + self.content + self.checksum as u64
    }

    /// Whether its sender waits for an answer.
    pub(super) fn waits(&self) -> bool {
        matches!(self.kind, Kind::Request)
    }

    pub(super) fn asker(&self) -> Asker {
        Asker {
            id: u64::from(self.id),
            dialect: self.version as u8,
        }
    }
}

fn kind(type_byte: u8, command: u16) -> Kind {
    match (type_byte, command) {
        (RESPONSE, HEARTBEAT) => Kind::HeartbeatAck,
        (RESPONSE, _) => Kind::Response,
        (_, HEARTBEAT) => Kind::Heartbeat,
        (_, GOAWAY) => Kind::GoAway,
        (ONE_WAY, _) => Kind::OneWay,
        _ => Kind::Request,
    }
}

fn timeout(millis: i32) -> Timeout {
    match u64::try_from(millis) {
        Err(_) => Timeout::Never,
        Ok(0) => Timeout::Unsaid,
        Ok(millis) => Timeout::After(Duration::from_millis(millis)),
    }
}

/// How many bytes the fixed part of this frame has, of which at least the type is there.
pub(super) fn fixed_of(frame: &[u8]) -> usize {
    let version = Version::of(frame[0]).unwrap_or(Version::V1);
    version.fixed(frame[version.before_type()])
}

/// Where the length of the header block stands in this frame.
pub(super) fn header_length_at(frame: &[u8]) -> usize {
    fixed_of(frame) - 6
}

/// The checksum of these bytes, as it is written.
pub(super) fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum().to_be_bytes()
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
