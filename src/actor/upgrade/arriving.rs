//! The talk with a predecessor that this process has taken over from: its connections come, one by
//! one.
//!
//! What is offered is held unread until it is released. What was not released when the talk ends is
//! the predecessor's.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::timeout;

use super::desk::{Desk, Told};
use crate::actor::arrivals::Arrival;
use crate::net::{Received, Talk};
use crate::protocol::handover::Message;

/// Connections that are held at a time; a predecessor offers fewer.
const MOST_HELD: usize = 256;

/// How long a worker may take to take one, and the predecessor to read that one is held.
const TAKES_WITHIN: Duration = Duration::from_secs(5);

/// Takes what comes until nothing more will; how many have come, and why no more will.
pub(super) async fn run(desk: &Desk, mut talk: Talk) -> (u64, Result<(), String>) {
    let mut arrivals = Arriving {
        held: HashMap::new(),
        came: 0,
    };
    loop {
        let heard = match talk.receive().await {
            Ok(received) => arrivals.hear(desk, &talk, received).await,
            Err(error) => Err(error.to_string()),
        };
        match heard {
            Ok(Goes::On) => {}
            Ok(Goes::Home) => return (arrivals.came, Ok(())),
            Err(why) => return (arrivals.came, Err(why)),
        }
    }
}

struct Arriving {
    held: HashMap<u64, Arrival>,
    came: u64,
}

/// Whether anything more will come.
enum Goes {
    On,
    Home,
}

impl Arriving {
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
                if let Some(arrival) = self.held.remove(&id)
                    && let Some(holdings) = desk.holdings.get()
                {
                    let is_client_s = matches!(arrival, Arrival::Downstream(_));
                    if let Arrival::Downstream(downstream) = &arrival {
                        downstream.post.note_arrival();
                    }
                    let sent = timeout(TAKES_WITHIN, holdings.arrivals.send(arrival)).await;
                    sent.map_err(|_| "a worker takes none".to_owned())?;
                    self.came += u64::from(is_client_s);
                }
            }
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
    let said = said.map_err(|_| "the predecessor does not listen".to_owned())?;
    said.map_err(|error| error.to_string())
}
