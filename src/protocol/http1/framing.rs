//! Where a body ends and whether the connection outlives it (RFC 9112 sections 6 and 9.3).

use super::connection::Options;
use super::error::Malformed;
use super::fields::Fields;
use super::grammar::{elements, is_token};
use super::head::Version;
use super::known::Known;

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Body {
    /// There is none.
    #[default]
    None,
    /// By its length in bytes, which may be 0.
    Length(u64),
    /// By its last chunk.
    Chunked,
    /// By the end of the connection. Of responses only.
    UntilClose,
}

/// Whether another message may follow on the connection.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Persistence {
    /// It may.
    #[default]
    Keep,
    /// This is the last one.
    Close,
}

/// What fields say of the message and its connection, once each where once is the rule.
#[derive(Default)]
pub(super) struct Declared {
    pub(super) host: Seen,
    pub(super) expect: Seen,
    pub(super) upgrade: Seen,
    pub(super) length: Option<u64>,
    pub(super) coding: Coding,
    pub(super) options: Options,
}

/// Where a field stands among the others.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Seen {
    #[default]
    Never,
    Once(usize),
    Often,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Coding {
    #[default]
    Identity,
    Chunked,
    /// Another one, or others beside `chunked`.
    Unknown,
}

impl Declared {
    pub(super) fn read(fields: &Fields, version: Version) -> Result<Self, Malformed> {
        let mut declared = Self::default();
        for (place, (known, value)) in fields.known().enumerate() {
            match known {
                Known::Host => declared.host.note(place),
                Known::Expect => declared.expect.note(place),
                Known::Upgrade => declared.upgrade.note(place),
                Known::Connection => declared.options.add(value)?,
                Known::ContentLength => declared.add_length(value)?,
                Known::TransferEncoding => declared.add_codings(value)?,
                Known::KeepAlive | Known::ProxyConnection | Known::Te | Known::No => {}
            }
        }
        if declared.coding != Coding::Identity {
            if version == Version::Http10 {
                return Err(Malformed::TransferEncodingInHttp10);
            }
            if declared.length.is_some() {
                return Err(Malformed::ContentLengthBesideTransferEncoding);
            }
            if declared.coding == Coding::Unknown {
                return Err(Malformed::UnknownTransferCoding);
            }
        }
        Ok(declared)
    }

    /// The body if nothing but the fields decides; `otherwise` without a field that does.
    pub(super) fn body(&self, otherwise: Body) -> Body {
        match (self.coding, self.length) {
            (Coding::Chunked, _) => Body::Chunked,
            (Coding::Identity | Coding::Unknown, Some(length)) => Body::Length(length),
            (Coding::Identity | Coding::Unknown, None) => otherwise,
        }
    }

    pub(super) fn persistence(&self, version: Version) -> Persistence {
        let keeps = version == Version::Http11 || self.options.has(Options::KEEP_ALIVE);
        if keeps && !self.options.has(Options::CLOSE) {
            Persistence::Keep
        } else {
            Persistence::Close
        }
    }

    fn add_length(&mut self, value: &[u8]) -> Result<(), Malformed> {
        // RFC 9110 section 8.6 lets equal lengths count as one; a hop that wrote two is not one to
        // rely on.
        if self.length.is_some() || value.contains(&b',') {
            return Err(Malformed::ContentLengths);
        }
        self.length = Some(decimal(value).ok_or(Malformed::ContentLength)?);
        Ok(())
    }

    fn add_codings(&mut self, value: &[u8]) -> Result<(), Malformed> {
        for coding in elements(value) {
            if self.coding == Coding::Chunked || !is_token(coding) {
                return Err(Malformed::TransferEncoding);
            }
            self.coding = match self.coding {
                Coding::Identity if coding.eq_ignore_ascii_case(b"chunked") => Coding::Chunked,
                _ => Coding::Unknown,
            };
        }
        Ok(())
    }
}

impl Seen {
    fn note(&mut self, place: usize) {
        *self = match self {
            Self::Never => Self::Once(place),
            _ => Self::Often,
        };
    }
}

/// Digits only; none of `+5`, `0x5`, `5 `, and nothing over 64 bits.
fn decimal(digits: &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for byte in digits {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    (!digits.is_empty()).then_some(value)
}
