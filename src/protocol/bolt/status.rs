//! What a response says, and the word of HTTP for it.

use super::super::rpc::code;
use super::Version;

/// The status of a response.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u16)]
#[expect(missing_docs, reason = "these are the protocol's own names")]
pub enum Status {
    Success = 0,
    Error = 1,
    ServerException = 2,
    Unknown = 3,
    ServerThreadpoolBusy = 4,
    ErrorComm = 5,
    NoProcessor = 6,
    Timeout = 7,
    ClientSendError = 8,
    CodecException = 9,
    ConnectionClosed = 16,
    ServerSerialException = 17,
    ServerDeserialException = 18,
}

impl Status {
    /// What an answer of our own says for a status of HTTP, or a code of MOSN's own.
    #[must_use]
    pub(super) fn for_code(code: u16, version: Version) -> Self {
        match (code, version) {
            (code::CODEC, _) => Self::CodecException,
            (code::DESERIAL, _) => Self::ServerDeserialException,
            (200, _) => Self::Success,
            (403, Version::V1) => Self::ServerException,
            (404 | 502, _) => Self::NoProcessor,
            (503, _) => Self::ServerThreadpoolBusy,
            (504, _) => Self::Timeout,
            _ => Self::Unknown,
        }
    }

    /// The status of HTTP for one that came.
    pub(super) fn to_code(status: u16) -> u16 {
        const BUSY: u16 = Status::ServerThreadpoolBusy as u16;
        const TIMEOUT: u16 = Status::Timeout as u16;
        const CLOSED: u16 = Status::ConnectionClosed as u16;
        match status {
            0 => 200,
            BUSY => 503,
            TIMEOUT => 504,
            CLOSED => 502,
            _ => 500,
        }
    }

    /// The protocol's name of a status, `UNKNOWN_STATUS` for one that it has no name for.
    #[must_use]
    pub fn name(status: u16) -> &'static str {
        match status {
            0 => "SUCCESS",
            1 => "ERROR",
            2 => "SERVER_EXCEPTION",
            3 => "UNKNOWN",
            4 => "SERVER_THREADPOOL_BUSY",
            5 => "ERROR_COMM",
            6 => "NO_PROCESSOR",
            7 => "TIMEOUT",
            8 => "CLIENT_SEND_ERROR",
            9 => "CODEC_EXCEPTION",
            16 => "CONNECTION_CLOSED",
            17 => "SERVER_SERIAL_EXCEPTION",
            18 => "SERVER_DESERIAL_EXCEPTION",
            _ => "UNKNOWN_STATUS",
        }
    }
}
