//! What becomes of a request at a host of RPC.

use std::rc::Rc;

use crate::protocol::rpc::{Flaw, Message};

use super::ConnectError;

/// What becomes of a request.
#[derive(Debug)]
pub enum Answer {
    /// Its response.
    Response(Message),
    /// Its time is over.
    TimedOut,
    /// The connection has ended first.
    Ended(Ending),
}

/// The end of a connection, as one of its requests sees it.
#[derive(Clone, Debug)]
pub struct Ending {
    /// Why it ended.
    pub why: End,
    /// Whether the peer may have seen the request.
    pub sent: Sent,
    /// Whether this request is the first that hears of it: one end is one failure of the host.
    pub told: Told,
}

/// Whether the peer may have seen a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sent {
    /// No byte of it was written.
    Nothing,
    /// Some were.
    Something,
}

/// Who hears of an end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Told {
    /// The first.
    First,
    /// One of the others.
    Later,
}

/// Why a connection has ended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum End {
    /// What drove it on our side has failed.
    #[error("what drove the connection has failed")]
    Abandoned,
    /// The peer closed it.
    #[error("it closed the connection")]
    Closed,
    /// The peer, or we, had no use for it any more.
    #[error("the connection had been said goodbye to")]
    Left,
    /// What came is no frame, or none that a host sends.
    #[error("what it sent is no frame: {0}")]
    Malformed(Flaw),
    /// It was reset.
    #[error("it reset the connection")]
    Reset,
    /// It did not answer heartbeats.
    #[error("it answered no heartbeat")]
    Silent,
    /// It was never opened.
    #[error("{0}")]
    Unreached(Rc<ConnectError>),
}
