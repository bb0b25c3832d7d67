//! Before the tree: whether there is a predecessor, and what it hands over.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;

use crate::net::{Control, Talk, TalkError, is_anyone_in_charge};
use crate::protocol::handover::{ListenerOffer, Message, Offer, Shown, Statement};

/// How long the predecessor's kernel queue may be full.
const CONNECTS_WITHIN: Duration = Duration::from_secs(2);

/// What a predecessor hands over, and the talk with it.
#[derive(Debug)]
pub struct Inheritance {
    pub(super) talk: Talk,
    pub(super) offer: Offer,
    pub(super) sockets: Vec<OwnedFd>,
    pub(super) shown: Shown,
    pub(super) counted: Vec<Statement>,
}

impl Inheritance {
    /// The predecessor's process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.offer.pid
    }

    /// Listening sockets that it hands over.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.sockets.len()
    }

    /// The listeners whose sockets it hands over.
    #[must_use]
    pub fn listeners(&self) -> &[ListenerOffer] {
        &self.offer.listeners
    }

    /// Tells the predecessor that there will be no successor. It goes on.
    pub async fn decline(self, reason: &str) {
        let reason = reason.to_owned();
        let refused = Message::Refused { reason };
        // It notices as well when the talk just ends.
        let _ = timeout(CONNECTS_WITHIN, self.talk.send(&refused, b"", &[])).await;
    }
}

/// Why there is a predecessor and no inheritance.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// It hands over to another process already, or is about to leave.
    #[error("process {pid} is busy: {why}{}", so_long(*since))]
    Busy {
        /// The predecessor, or who is served.
        pid: u32,
        /// What it is busy with.
        why: String,
        /// Since when.
        since: Duration,
    },
    /// Its socket is there, and may not be connected to.
    #[error("control socket {path}: {error}")]
    Denied {
        /// The socket.
        path: String,
        /// What the system said.
        error: io::Error,
    },
    /// It said no.
    #[error("the predecessor refuses: {0}")]
    Refused(String),
    /// What came was not what was to come.
    #[error("accept error: {0}")]
    Talk(#[from] TalkError),
    /// It said something else than it should.
    #[error("the predecessor answers something else than was asked")]
    Unexpected,
}

fn so_long(since: Duration) -> String {
    match since.as_secs() {
        0 => String::new(),
        seconds => format!(", for {seconds} s"),
    }
}

/// Asks the process that is in charge of `directory` for all that it has, and waits for that so
/// long; `None` when there is no such process.
///
/// # Errors
///
/// [`InheritError`]; the process that is in charge goes on.
///
/// # Panics
///
/// Outside a tokio runtime.
pub async fn inherit(
    directory: &Path,
    within: Duration,
) -> Result<Option<Inheritance>, InheritError> {
    let path = Control::path_in(directory);
    let mut talk = match Talk::connect(&path, CONNECTS_WITHIN).await {
        Ok(talk) => talk,
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => return Ok(None),
            _ => {
                let path = path.display().to_string();
                return Err(InheritError::Denied { path, error });
            }
        },
    };
    let asked = timeout(within, ask(&mut talk)).await;
    match asked.unwrap_or(Err(TalkError::Silent(within).into())) {
        Ok((offer, sockets, shown, counted)) => Ok(Some(Inheritance {
            talk,
            offer,
            sockets,
            shown,
            counted,
        })),
        // It died before it had handed over anything: somebody has to serve.
        Err(InheritError::Talk(TalkError::Closed | TalkError::Cut)) if is_gone(directory).await => {
            Ok(None)
        }
        Err(error) => {
            let reason = error.to_string();
            let refused = Message::Refused { reason };
            // Where it has hung up it knows why.
            let _ = timeout(CONNECTS_WITHIN, talk.send(&refused, b"", &[])).await;
            Err(error)
        }
    }
}

/// As a process that cannot even begin, tells the one in charge why.
pub async fn report(directory: &Path, pid: u32, reason: &str) {
    let path = Control::path_in(directory);
    if let Ok(talk) = Talk::connect(&path, CONNECTS_WITHIN).await {
        let reason = reason.to_owned();
        let report = Message::CannotStart { pid, reason };
        let _ = timeout(CONNECTS_WITHIN, talk.send(&report, b"", &[])).await;
    }
}

/// What a predecessor hands over.
type Handed = (Offer, Vec<OwnedFd>, Shown, Vec<Statement>);

async fn ask(talk: &mut Talk) -> Result<Handed, InheritError> {
    let hello = Message::Hello {
        pid: std::process::id(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
    };
    talk.send(&hello, b"", &[]).await?;
    let offer = match talk.receive().await?.message {
        Message::Offer(offer) => *offer,
        Message::Busy {
            pid,
            since_millis,
            why,
        } => {
            let since = Duration::from_millis(since_millis);
            return Err(InheritError::Busy { pid, why, since });
        }
        Message::Refused { reason } => return Err(InheritError::Refused(reason)),
        _ => return Err(InheritError::Unexpected),
    };
    let sockets = sockets(talk, &offer).await?;
    let mut shown = Shown::default();
    for _ in 0..offer.parts {
        match talk.receive().await?.message {
            Message::Shown { shown: part, .. } => shown.join(*part),
            Message::Refused { reason } => return Err(InheritError::Refused(reason)),
            _ => return Err(InheritError::Unexpected),
        }
    }
    let mut counted = Vec::new();
    for _ in 0..offer.statements {
        match talk.receive().await?.message {
            Message::Counted { statement } => counted.push(statement),
            Message::Refused { reason } => return Err(InheritError::Refused(reason)),
            _ => return Err(InheritError::Unexpected),
        }
    }
    Ok((offer, sockets, shown, counted))
}

async fn sockets(talk: &mut Talk, offer: &Offer) -> Result<Vec<OwnedFd>, InheritError> {
    let announced: usize = offer.listeners.iter().map(|one| one.sockets).sum();
    let mut sockets = Vec::new();
    while sockets.len() < announced {
        let received = talk.receive().await?;
        match received.message {
            Message::Sockets if !received.descriptors.is_empty() => {
                sockets.extend(received.descriptors);
            }
            Message::Refused { reason } => return Err(InheritError::Refused(reason)),
            _ => return Err(InheritError::Unexpected),
        }
    }
    Ok(sockets)
}

/// Whether nobody is in charge, or will be in a moment: a process that dies closes one descriptor
/// after the other.
async fn is_gone(directory: &Path) -> bool {
    for _ in 0..20 {
        if is_anyone_in_charge(directory).is_ok_and(|anyone| !anyone) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}
