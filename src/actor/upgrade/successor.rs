//! The talk with the predecessor, once it has handed over what it has.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::arriving;
use super::desk::{Command, Desk, Told};
use crate::lifecycle::{Event, State, Word};
use crate::net::{Talk, TalkError};
use crate::protocol::handover::Message;

/// How often it is looked whether the tree is whole, when the predecessor was lost before it is.
const STARTS_POLL: Duration = Duration::from_millis(5);

/// Says what the root lets say and tells what is heard, until this process is in charge or not to
/// be.
pub(super) async fn talk(desk: Rc<Desk>, mut talk: Talk) {
    let pid = talk.peer().map_or(0, |peer| peer.pid);
    let commands = desk.begin(pid);
    let why = match converse(&desk, &mut talk, commands).await {
        Ok(()) => {
            desk.end();
            let (came, ended) = arriving::run(&desk, talk).await;
            desk.tell(Told::Concluded).await;
            let log = &desk.log;
            match ended {
                Ok(()) => {
                    slog::info!(log, "[reconfigure] {came} connections have come"; "tag" => "server")
                }
                Err(why) => {
                    slog::warn!(log, "[reconfigure] {came} connections have come, and no more can: {why}"; "tag" => "server");
                }
            }
            return;
        }
        Err(why) => why,
    };
    // Hung up before the look: the predecessor accepts again at once.
    drop(talk);
    // What to do about it is decided by a tree that is whole: accept, or end.
    while desk.state.get() == State::Starting {
        sleep(STARTS_POLL).await;
    }
    let told = match why {
        Parting::Lost(why) => desk.after_predecessor(&why).await,
        Parting::Refused(why) => after_refusal(&desk, why),
    };
    desk.end();
    desk.tell(told).await;
    desk.tell(Told::Concluded).await;
}

/// Who is in charge, after the predecessor has said that it goes on, or that both are to end.
fn after_refusal(desk: &Desk, why: String) -> Told {
    match desk.control().is_some_and(|control| control.is_in_charge()) {
        true => Told::Event(Event::TookOver),
        false => Told::Kept(why),
    }
}

/// Whether somebody wishes that this process ends, whatever becomes of the predecessor.
fn ends(state: State) -> bool {
    matches!(
        state,
        State::Stopping | State::Draining { .. } | State::Lingering { .. }
    )
}

/// Why a talk with a predecessor is over, in words.
enum Parting {
    /// It may be dead.
    Lost(String),
    /// It has said that there will be no successor, or was told so.
    Refused(String),
}

impl From<String> for Parting {
    fn from(why: String) -> Self {
        Self::Lost(why)
    }
}

/// # Errors
///
/// Why this process is not in charge, or why it is not known whether it is.
async fn converse(
    desk: &Desk,
    talk: &mut Talk,
    mut commands: mpsc::Receiver<Command>,
) -> Result<(), Parting> {
    loop {
        tokio::select! {
            command = commands.recv() => {
                let message = match command {
                    Some(Command::Say(Word::Prepared, adopted)) => Message::Prepared { adopted },
                    Some(Command::Say(Word::Accepting, _)) => Message::Accepting,
                    Some(Command::Say(..) | Command::Offer(..)) => continue,
                    Some(Command::Refuse(reason)) => {
                        let is_to_end = ends(desk.state.get());
                        let refused = Message::Refused { reason: reason.clone() };
                        // It notices as well when the talk just ends.
                        let _ = talk.send(&refused, b"", &[]).await;
                        return Err(match is_to_end {
                            true => Parting::Refused(reason),
                            false => Parting::Lost(reason),
                        });
                    }
                    None | Some(Command::HangUp) => {
                        let why = "the predecessor did not answer in time";
                        return Err(why.to_owned().into());
                    }
                };
                if let Err(error) = talk.send(&message, b"", &[]).await {
                    return Err(error.to_string().into());
                }
            }
            received = talk.receive() => {
                let message = match received {
                    Ok(received) => received.message,
                    Err(error) => return Err(error.to_string().into()),
                };
                match message {
                    Message::Accept => desk.event(Event::ToldToAccept).await,
                    Message::Counted { statement } => desk.tell(Told::Counted(statement)).await,
                    Message::Commit => return Ok(commit(desk, talk).await?),
                    Message::Refused { reason } => return Err(Parting::Refused(reason)),
                    other => {
                        let why = format!("it said what makes no sense here: {other:?}");
                        return Err(why.into());
                    }
                }
            }
        }
    }
}

/// Takes over, which nothing can undo, and says so.
async fn commit(desk: &Desk, talk: &Talk) -> Result<(), String> {
    desk.take_over(talk).await?;
    desk.event(Event::TookOver).await;
    // Who does not hear it looks at the file.
    let said: Result<(), TalkError> = talk.send(&Message::Committed, b"", &[]).await;
    said.map_err(|error| error.to_string())
}
