//! The messages of a hot upgrade.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Carried, Shown, Statement};

/// What one process tells the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Message {
    /// The successor's first word.
    Hello {
        /// Its process, in its own namespace.
        pid: u32,
        /// The version of its program, for the log.
        program: String,
    },
    /// An answer to `Hello` or `Launch`: another upgrade is under way, or the process leaves.
    Busy {
        /// The process that is served, or that answers.
        pid: u32,
        /// How long that has been so.
        since_millis: u64,
        /// What it is busy with, in words.
        why: String,
    },
    /// There will be no upgrade, or no more of it.
    Refused {
        /// Why, in words.
        reason: String,
    },
    /// The predecessor: everything that there is. The sockets follow as [`Message::Sockets`].
    Offer(Box<Offer>),
    /// The predecessor: the next sockets, in the order of the offer.
    Sockets,
    /// The successor: everything is ready; it accepts when it is told to.
    Prepared {
        /// The offered listeners that it has, by their places in the offer.
        adopted: Vec<usize>,
    },
    /// The predecessor: accept.
    Accept,
    /// The successor: it accepts.
    Accepting,
    /// The predecessor: take over. From now on only the control socket's file tells who is in charge.
    Commit,
    /// The successor: it has taken over.
    Committed,
    /// The predecessor: the pipe by which it releases connections, or takes back what it has not
    /// released. Where that ends without a word it has died, and the successor has what it holds.
    Releases,
    /// The predecessor: a connection, with its descriptors and its bytes.
    Connection {
        /// Its number in this talk.
        id: u64,
        /// What it is.
        carried: Box<Carried>,
    },
    /// The successor: it holds the connection and will not touch it before its release is taken
    /// out of the pipe.
    Held {
        /// Which.
        id: u64,
    },
    /// The successor: it cannot take the connection.
    NotHeld {
        /// Which.
        id: u64,
        /// Why, in words.
        reason: String,
    },
    /// The successor: the connection was released, and it goes on with it.
    Taken {
        /// Which.
        id: u64,
    },
    /// The predecessor: a part of what it has found out of hosts.
    Shown {
        /// That.
        shown: Box<Shown>,
        /// Whether another part follows; after the last one it probes no host any more.
        #[serde(default)]
        more: bool,
    },
    /// The predecessor: a part of what it has counted.
    Counted {
        /// That.
        statement: Statement,
    },
    /// The predecessor: nothing more will come, and nothing that came is its own any more.
    Done,
    /// A command: start a successor.
    Launch {
        /// The program, instead of the running one's.
        binary: Option<PathBuf>,
        /// The configuration, instead of the running one's.
        config: Option<PathBuf>,
    },
    /// An answer to `Launch`: the successor has been started. [`Message::Outcome`] follows.
    Launched {
        /// Its process.
        pid: u32,
    },
    /// What has become of the upgrade.
    Outcome {
        /// Why it failed; `None` is success.
        failure: Option<String>,
    },
    /// A successor that cannot even begin tells why.
    CannotStart {
        /// Its process.
        pid: u32,
        /// Why, in words.
        reason: String,
    },
}

/// Everything that there is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// The predecessor's process.
    pub pid: u32,
    /// The version of its program, for the log.
    pub program: String,
    /// For so long it keeps an eye on its successor before it lets go.
    pub probation_millis: u64,
    /// Its listeners.
    pub listeners: Vec<ListenerOffer>,
    /// The version of the configuration that it runs.
    #[serde(default)]
    pub running: Option<VersionOffer>,
    /// What it has found out of hosts follows the sockets in so many parts.
    #[serde(default)]
    pub parts: usize,
    /// What it has counted follows those in so many parts.
    #[serde(default)]
    pub statements: usize,
}

/// A version of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionOffer {
    /// Its number.
    pub number: u64,
    /// What tells its document from others; `None` when it has none.
    pub digest: Option<u64>,
}

/// A listener and its sockets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListenerOffer {
    /// Its name.
    pub name: String,
    /// Where it was told to listen, as the plan says it.
    pub configured: Place,
    /// Where it listens.
    pub place: Place,
    /// How many sockets it has.
    pub sockets: usize,
    /// Device and inode of the file of a unix socket.
    pub file: Option<(u64, u64)>,
    /// To where clients were silent at first, and how many milliseconds ago.
    #[serde(default)]
    pub silent: Vec<(SocketAddr, u64)>,
}

/// A socket address of either family.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// TCP.
    Tcp(SocketAddr),
    /// A unix stream socket.
    Unix(PathBuf),
}
