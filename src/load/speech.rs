//! What a connection says and hears, a protocol a file. No sockets here.

mod bolt;
mod echo;
mod http;

use super::plan::Ask;
use super::target::{Protocol, Target};

/// What came back for a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// Which request it answers; the oldest one where answers come in order.
    pub(super) to: Option<u32>,
    /// In the protocol's own numbers.
    pub(super) status: u16,
    pub(super) good: bool,
    /// All its bytes, those of the head and those of the body. What frames a body is in neither.
    pub(super) total: u64,
    pub(super) head: u64,
    pub(super) data: u64,
    /// The peer answers nothing more on this connection.
    pub(super) last: bool,
}

/// What a piece of input gave.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// Bytes that are done with; none when more has to come first.
    pub(super) consumed: usize,
    pub(super) answer: Option<Answer>,
    /// The peer wants to be asked nothing more on this connection.
    pub(super) goodbye: bool,
}

/// What is no answer, in words.
pub(super) type Bad = String;

/// One side of one connection.
#[derive(Clone)]
pub(super) enum Speech {
    Bolt(bolt::Speech),
    Echo(echo::Speech),
    Http(http::Speech),
}

impl Speech {
    /// How connections to `target` speak that ask for `ask`.
    ///
    /// # Errors
    ///
    /// What cannot be asked of this protocol.
    pub(super) fn new(target: &Target, ask: &Ask) -> Result<Self, String> {
        match target.protocol {
            Protocol::Sofarpc => bolt::Speech::new(ask).map(Self::Bolt),
            Protocol::Http => http::Speech::new(target, ask).map(Self::Http),
            Protocol::Tcp => echo::Speech::new(ask).map(Self::Echo),
        }
    }

    /// Whether answers come in the order of their requests.
    pub(super) fn is_in_order(&self) -> bool {
        matches!(self, Self::Echo(_) | Self::Http(_))
    }

    /// Appends request number `stream` of the connection.
    pub(super) fn ask(&mut self, stream: u32, out: &mut Vec<u8>) {
        match self {
            Self::Bolt(speech) => speech.ask(stream, out),
            Self::Echo(speech) => speech.ask(out),
            Self::Http(speech) => speech.ask(out),
        }
    }

    /// Reads what `input` begins with: at most one answer.
    pub(super) fn hear(&mut self, input: &[u8]) -> Result<Heard, Bad> {
        match self {
            Self::Bolt(_) => bolt::Speech::hear(input),
            Self::Echo(speech) => speech.hear(input),
            Self::Http(speech) => speech.hear(input),
        }
    }

    /// The answer that ends with the connection, if one does.
    pub(super) fn end(&mut self) -> Option<Answer> {
        match self {
            Self::Http(speech) => speech.end(),
            Self::Bolt(_) | Self::Echo(_) => None,
        }
    }
}
