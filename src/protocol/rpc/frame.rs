//! A frame as it lies in the bytes that it was read from.

use std::time::Duration;

use super::FrameBytes;

/// What a frame is for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// Asks, and is answered by a response of the same id.
    Request,
    /// Asks and is not answered.
    OneWay,
    /// Answers the request of its id.
    Response,
    /// Asks whether the peer is there.
    Heartbeat,
    /// Answers the heartbeat of its id.
    HeartbeatAck,
    /// Wants no more requests on this connection.
    GoAway,
}

/// How long the one who asks will wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Timeout {
    /// It does not say.
    Unsaid,
    /// For ever.
    Never,
    /// So long.
    After(Duration),
}

/// A part of a frame: from which byte of it to which.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Span {
    /// Its first byte.
    pub start: usize,
    /// The byte after its last.
    pub end: usize,
}

impl Span {
    /// The part, of the bytes that the frame was read from.
    #[must_use]
    pub fn of<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.start..self.end]
    }

    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether it has no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end == self.start
    }
}

/// Whom an answer of our own goes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Asker {
    /// The id of the request.
    pub id: u64,
    /// Which of the protocol's dialects it speaks; a word of the codec.
    pub dialect: u8,
}

/// One frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frame {
    /// What it is for.
    pub kind: Kind,
    /// Its id and dialect.
    pub asker: Asker,
    /// How long its sender waits for the answer.
    pub timeout: Timeout,
    /// The protocol's own status, in a response.
    pub status: u16,
    /// Where its header block lies.
    pub headers: Span,
    /// Where its content lies.
    pub content: Span,
    /// How many bytes it has in all.
    pub length: usize,
}

/// A frame with its bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// Where its parts lie.
    pub frame: Frame,
    /// Those of the frame, and no others.
    pub bytes: FrameBytes,
}

/// What some bytes begin with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decoded {
    /// A whole frame; what follows it is the next one's.
    Frame(Frame),
    /// Part of a frame. It is not whole before there are so many bytes of it; what comes may be
    /// refused before.
    Need(usize),
}
