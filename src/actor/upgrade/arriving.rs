//! The talk with a predecessor that this process has taken over from: its connections come, one by
//! one.
//!
//! What is offered is held unread until it is released. What was not released when the talk ends is
//! the predecessor's, unless that one has died and left it alone until then.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::time::timeout;

use super::desk::{Desk, Told};
use crate::actor::arrivals::Arrival;
use crate::net::{Outcome, Received, Talk, TalkError, fate_of};
use crate::protocol::handover::Message;

/// Connections that are held at a time; a predecessor offers fewer.
const MOST_HELD: usize = 256;

/// How long a worker may take to take one, and the predecessor to read that one is held.
const TAKES_WITHIN: Duration = Duration::from_secs(5);

/// How long the predecessor may take to notice the end of the talk, or to die.
const SETTLES_WITHIN: Duration = Duration::from_secs(5);

/// Takes what comes until nothing more will; how many have come, and why no more will.
pub(super) async fn run(desk: &Desk, mut talk: Talk) -> (u64, Result<(), String>) {
    let mut arrivals = Arriving::default();
    let ended = arrivals.listen(desk, &mut talk).await;
    // A predecessor that lives goes on with what was not released.
    drop(talk);
    let is_ours = match ended {
        Ok(()) => true,
        Err(_) => arrivals.predecessor_died().await,
    };
    if is_ours {
        arrivals.release_all(desk).await;
    }
    (arrivals.came, ended)
}

#[derive(Default)]
struct Arriving {
    /// In the order in which they came.
    held: BTreeMap<u64, Arrival>,
    /// By what the predecessor takes back what is held.
    pledge: Option<OwnedFd>,
    came: u64,
}

/// Whether anything more will come.
enum Goes {
    On,
    Home,
}

impl Arriving {
    async fn listen(&mut self, desk: &Desk, talk: &mut Talk) -> Result<(), String> {
        loop {
            let received = talk.receive().await.map_err(|error| error.to_string())?;
            if let Goes::Home = self.hear(desk, talk, received).await? {
                return Ok(());
            }
        }
    }

    /// Whether the predecessor has died, and not touched what is held before that.
    async fn predecessor_died(&mut self) -> bool {
        let Some(token) = self.pledge.take() else {
            return false;
        };
        let fate = timeout(SETTLES_WITHIN, fate_of(token)).await;
        matches!(fate, Ok(Ok(Outcome::Kept)))
    }

    async fn release_all(&mut self, desk: &Desk) {
        for (_, arrival) in std::mem::take(&mut self.held) {
            // The next one may go to another worker, which takes it.
            let _ = self.send_on(desk, arrival).await;
        }
    }

    async fn send_on(&mut self, desk: &Desk, arrival: Arrival) -> Result<(), String> {
        if let Some(holdings) = desk.holdings.get() {
            let is_client_s = matches!(arrival, Arrival::Downstream(_));
            if let Arrival::Downstream(downstream) = &arrival {
                downstream.post.note_arrival();
            }
            let sent = timeout(TAKES_WITHIN, holdings.arrivals.send(arrival)).await;
            sent.map_err(|_| "a worker takes none".to_owned())?;
            self.came += u64::from(is_client_s);
        }
        Ok(())
    }

    async fn hear(&mut self, desk: &Desk, talk: &Talk, received: Received) -> Result<Goes, String> {
        match received.message {
            Message::Connection { id, carried } => {
                let holdings = desk.holdings.get().ok_or("there is no place for any")?;
                let place = match self.held.len() < MOST_HELD {
                    true => holdings.receive(*carried, received.payload, received.descriptors),
                    false => Err("too many are on their way".to_owned()),
                };
                let answer = match place {
                    Ok(arrival) => {
                        self.held.insert(id, arrival);
                        Message::Held { id }
                    }
                    Err(reason) => Message::NotHeld { id, reason },
                };
                say(talk, &answer).await?;
            }
            Message::Release { id } => {
                if let Some(arrival) = self.held.remove(&id) {
                    self.send_on(desk, arrival).await?;
                }
            }
            Message::Pledge => self.pledge = received.descriptors.into_iter().next(),
            Message::Shown { shown, more } => {
                desk.tell(Told::Shown(shown)).await;
                if !more {
                    desk.tell(Told::Probe).await;
                }
            }
            Message::Counted { statement } => desk.tell(Told::Counted(statement)).await,
            Message::Done => return Ok(Goes::Home),
            // A word that comes twice says nothing new.
            Message::Commit | Message::Accept => {}
            other => return Err(format!("it said what makes no sense here: {other:?}")),
        }
        Ok(Goes::On)
    }
}

async fn say(talk: &Talk, message: &Message) -> Result<(), String> {
    let said = timeout(TAKES_WITHIN, talk.send(message, b"", &[])).await;
    match said.map_err(|_| "the predecessor does not listen".to_owned())? {
        // It has hung up, or died: what it has said before that is still to be heard.
        Err(TalkError::Io(error)) if is_gone(&error) => Ok(()),
        said => said.map_err(|error| error.to_string()),
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}
