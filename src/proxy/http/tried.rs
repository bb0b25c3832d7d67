//! What may become of one try of a request.

use std::io;
use std::time::Duration;

use crate::cluster::Ending;
use crate::protocol::http1::{Malformed, Method};
use crate::proxy::setback::Setback;
use crate::route::{Outcome, Replay, Reuse};

use super::deliver::Cut;
use super::exchange::After;
use super::trouble::Trouble;

/// What became of one try.
pub(super) enum Tried {
    /// The downstream has its response.
    Done(After),
    /// It has not: the host's answer calls for another try, for which there is room.
    Refused(u16, Setback),
    /// It has not, and may get one from another host.
    Missed {
        trouble: Trouble,
        outcome: Outcome,
        replay: Replay,
    },
}

/// How far a try came that got its response.
pub(super) enum Ran {
    /// Its response went downstream, or a part of it.
    Delivered(Result<(), Cut>),
    /// The downstream was told that the protocol is another one now.
    Switched(io::Result<()>),
    /// Its response is not what the downstream gets.
    Refused,
}

/// Why no response came.
pub(super) enum Miss {
    /// The downstream is not there any more.
    Gone,
    /// The request itself is at fault.
    Request(Trouble),
    /// The upstream closed its connection.
    Closed,
    /// The upstream reset its connection.
    Reset,
    /// The upstream answered nonsense.
    Malformed(Malformed),
    /// It took too long.
    TimedOut(Duration, Outcome),
}

/// A miss, and how far the request had gone.
pub(super) struct Missed {
    pub(super) miss: Miss,
    /// Whether the upstream's socket took any byte.
    pub(super) written: bool,
    /// Whether any byte of a response came.
    pub(super) answered: bool,
}

impl Missed {
    /// How its connection ends.
    pub(super) fn ending(&self) -> Ending {
        match self.miss {
            Miss::Closed | Miss::Reset => Ending::RemoteAmidRequest,
            Miss::Gone | Miss::Malformed(_) | Miss::Request(_) | Miss::TimedOut(..) => {
                Ending::LocalAmidRequest
            }
        }
    }

    /// Whether the request may go to another connection: it must be whole, and either nobody has
    /// seen any of it or it may be carried out twice (RFC 9110 section 9.2.2).
    pub(super) fn may_be_sent_again(&self, method: Method, whole: bool) -> bool {
        whole && !self.answered && (!self.written || method.is_idempotent())
    }

    /// Whether the host is to blame: a connection that it had kept may be closed at any time.
    pub(super) fn blames_host(&self, reuse: Reuse) -> bool {
        match self.miss {
            Miss::Closed | Miss::Reset => reuse == Reuse::Fresh || self.answered,
            Miss::Malformed(_) | Miss::TimedOut(..) => true,
            Miss::Gone | Miss::Request(_) => false,
        }
    }

    /// Whether it only took too long.
    pub(super) fn is_late(&self) -> bool {
        matches!(self.miss, Miss::TimedOut(..))
    }
}
