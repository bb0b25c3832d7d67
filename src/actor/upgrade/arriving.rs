//! The talk with a predecessor that this process has taken over from: its connections come, one by
//! one.
//!
//! What is offered is held unread until its release is taken out of the pipe that both processes
//! read. What is still held when nothing more comes out of it is the predecessor's, unless that one
//! has died and left it alone until then.

use std::io;
use std::time::Duration;

use tokio::time::timeout;

use super::desk::{Desk, Told};
use crate::actor::arrivals::{Arrival, Arrivals, Place};
use crate::lifecycle::Custody;
use crate::net::{Claim, Claims, Received, Talk, TalkError};
use crate::protocol::handover::Message;

/// Connections that are held at a time; a predecessor offers fewer.
const MOST_HELD: usize = 256;

/// How long a worker may take to take one, and the predecessor to read that one is held.
const TAKES_WITHIN: Duration = Duration::from_secs(5);

/// How long the predecessor may take to notice the end of the talk, or to die.
const SETTLES_WITHIN: Duration = Duration::from_secs(5);

/// Takes what comes until nothing more will; how many have come, and why no more will.
pub(super) async fn run(desk: &Desk, mut talk: Talk) -> (u64, Result<(), String>) {
    let mut arriving = Arriving {
        custody: Custody::new(MOST_HELD),
        claims: None,
        last: None,
        came: 0,
    };
    let ended = arriving.listen(desk, &mut talk).await;
    // A predecessor that lives takes back what it has not released.
    drop(talk);
    if !arriving.custody.is_empty() {
        let _ = timeout(SETTLES_WITHIN, arriving.settle(desk)).await;
    }
    (arriving.came, ended)
}

struct Arriving {
    custody: Custody<Arrival>,
    /// Out of which come the numbers of those that are this process'.
    claims: Option<Claims>,
    /// What it has said last: that nothing more comes out of it, and why.
    last: Option<Claim>,
    came: u64,
}

/// Whether anything more will come.
enum Goes {
    On,
    Home,
}

impl Arriving {
    async fn listen(&mut self, desk: &Desk, talk: &mut Talk) -> Result<(), String> {
        let holdings = desk.holdings.get().ok_or("there is no place for any")?;
        loop {
            tokio::select! {
                received = talk.receive() => {
                    let received = received.map_err(|error| error.to_string())?;
                    if let Goes::Home = self.hear(desk, talk, received).await? {
                        return Ok(());
                    }
                }
                claimed = claim(self.claims.as_ref(), &holdings.arrivals), if self.last.is_none() => {
                    let (claim, place) = claimed?;
                    if let Some(id) = self.go_on(claim, place, &holdings.arrivals) {
                        say(talk, &Message::Taken { id }).await?;
                    }
                }
            }
        }
    }

    /// Does what the pipe says; the number of what is this process' now.
    fn go_on(&mut self, claim: Claim, place: Place, arrivals: &Arrivals) -> Option<u64> {
        let Claim::Ours(id) = claim else {
            self.last = Some(claim);
            return None;
        };
        let arrival = self.custody.take(id)?;
        self.put(place, arrival, arrivals);
        Some(id)
    }

    fn put(&mut self, place: Place, arrival: Arrival, arrivals: &Arrivals) {
        match &arrival {
            Arrival::Downstream(downstream) => {
                downstream.post.note_arrival();
                self.came += 1;
            }
            Arrival::Idle(_) => {}
            // A worker that has none is busy: it opens another, and loses nothing by that.
            Arrival::Shared(worker, _) => return arrivals.place_at(*worker).put(arrival),
        }
        place.put(arrival);
    }

    /// Finds out whose that is which is held when the talk is over.
    async fn settle(&mut self, desk: &Desk) {
        let Some(holdings) = desk.holdings.get() else {
            return;
        };
        let arrivals = &holdings.arrivals;
        while self.last.is_none() {
            match claim(self.claims.as_ref(), arrivals).await {
                Ok((claim, place)) => drop(self.go_on(claim, place, arrivals)),
                Err(_) => return,
            }
        }
        if self.last == Some(Claim::Alone) {
            for arrival in self.custody.inherit() {
                // Where one worker takes none, the next one does.
                if let Ok(place) = place(arrivals).await {
                    self.put(place, arrival, arrivals);
                }
            }
        }
    }

    async fn hear(&mut self, desk: &Desk, talk: &Talk, received: Received) -> Result<Goes, String> {
        match received.message {
            Message::Connection { id, carried } => {
                let holdings = desk.holdings.get().ok_or("there is no place for any")?;
                let held = match (&self.claims, self.custody.has_room()) {
                    (None, _) => Err("it could not be released".to_owned()),
                    (_, false) => Err("too many are on their way".to_owned()),
                    _ => holdings.receive(*carried, received.payload, received.descriptors),
                };
                let answer = match held {
                    Ok(arrival) => {
                        self.custody.hold(id, arrival);
                        Message::Held { id }
                    }
                    Err(reason) => Message::NotHeld { id, reason },
                };
                say(talk, &answer).await?;
            }
            Message::Releases => {
                let end = received.descriptors.into_iter().next();
                let end = end.ok_or("the pipe of releases has not come along")?;
                let claims = Claims::of(end).map_err(|error| error.to_string())?;
                self.claims = Some(claims);
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

/// Waits for what the pipe says next. A connection's number is not taken out before a worker has a
/// place for it: until then the predecessor can take it back.
async fn claim(claims: Option<&Claims>, arrivals: &Arrivals) -> Result<(Claim, Place), String> {
    let Some(claims) = claims else {
        return std::future::pending().await;
    };
    loop {
        let ready = claims.ready().await;
        ready.map_err(|error| error.to_string())?;
        let place = place(arrivals).await?;
        let claim = claims.next().map_err(|error| error.to_string())?;
        if let Some(claim) = claim {
            return Ok((claim, place));
        }
    }
}

async fn place(arrivals: &Arrivals) -> Result<Place, String> {
    let place = timeout(TAKES_WITHIN, arrivals.place()).await;
    place.map_err(|_| {
        arrivals.pass();
        "a worker takes none".to_owned()
    })
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
