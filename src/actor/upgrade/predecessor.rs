//! The talk with a successor.

use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::desk::{Command, Desk, Told};
use super::launch::{self, Launch};
use super::moving;
use crate::actor::accounts;
use crate::lifecycle::{Event, State, Word};
use crate::net::{Peer, Talk, TalkError};
use crate::protocol::handover::{MOST_DESCRIPTORS, Message, Statement};

/// How long who has called may take to say what for.
const SPEAKS_WITHIN: Duration = Duration::from_secs(5);

/// Longer than all waits of the lifecycle together: who is told nothing any more gives up.
const SLACK: Duration = Duration::from_secs(30);

/// Hears what a caller wants, and does it.
pub(super) async fn hear(desk: Rc<Desk>, mut talk: Talk, peer: Peer) {
    let first = talk.receive_within(SPEAKS_WITHIN).await;
    match first.map(|received| received.message) {
        Ok(Message::Hello { pid, program }) => {
            slog::info!(desk.log, "[reconfigure] process {pid}, version {program}, wants to take over";
                "tag" => "server");
            // Its own number is of its namespace, which may be another one.
            let pid = if peer.pid == 0 { pid } else { peer.pid };
            desk.outcomes.called(pid);
            succeed(desk, talk, pid).await;
        }
        Ok(Message::Launch { binary, config }) => {
            launch::launch(desk, Launch { binary, config }, Some(talk)).await;
        }
        Ok(Message::CannotStart { pid, reason }) => {
            slog::error!(desk.log, "[reconfigure] process {pid} cannot start: {reason}"; "tag" => "server");
            let pid = if peer.pid == 0 { pid } else { peer.pid };
            desk.outcomes.publish(pid, Err(reason));
        }
        // Who looks whether somebody is here, and leaves.
        Ok(_) | Err(TalkError::Closed) => {}
        Err(error) => {
            let reason = error.to_string();
            slog::warn!(desk.log, "[reconfigure] a caller is not understood: {reason}"; "tag" => "server");
            let refused = Message::Refused { reason };
            let _ = timeout(SPEAKS_WITHIN, talk.send(&refused, b"", &[])).await;
        }
    }
}

/// Why there can be no upgrade now, if so.
pub(super) fn busy(desk: &Desk) -> Option<Message> {
    let (pid, since, why) = match (desk.talking.get(), desk.state.get()) {
        (Some((pid, since)), _) => {
            let why = "an upgrade is under way".to_owned();
            (pid, since.elapsed(), why)
        }
        (None, State::Running) => return None,
        (None, state) => (std::process::id(), Duration::ZERO, leaves(state)),
    };
    Some(Message::Busy {
        pid,
        since_millis: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        why,
    })
}

/// What a process that is about to leave waits for.
fn leaves(state: State) -> String {
    let left = match state {
        State::Draining { until } => until.saturating_duration_since(std::time::Instant::now()),
        _ => return "it is about to leave".to_owned(),
    };
    let seconds = left.as_secs();
    format!("it drains, for at most {seconds} s more; a second SIGTERM ends it at once")
}

/// A process wants to succeed this one.
async fn succeed(desk: Rc<Desk>, mut talk: Talk, pid: u32) {
    if let Some(busy) = busy(&desk) {
        let _ = timeout(SPEAKS_WITHIN, talk.send(&busy, b"", &[])).await;
        return;
    }
    let commands = desk.begin(pid);
    desk.event(Event::SuccessorCame).await;
    let event = match converse(&desk, &mut talk, commands).await {
        Ok(()) => {
            let offers = desk.begin_moves();
            desk.outcomes.publish(pid, Ok(()));
            desk.end();
            desk.event(Event::SuccessorCommitted).await;
            return moving::run(desk, talk, offers).await;
        }
        Err(reason) => {
            let why = reason.clone();
            let refused = Message::Refused { reason };
            let _ = timeout(SPEAKS_WITHIN, talk.send(&refused, b"", &[])).await;
            let event = desk.part(Some(talk)).await;
            if event == Event::SuccessorLost {
                if let Some(holdings) = desk.holdings.get() {
                    holdings.accounts.close();
                }
                slog::error!(desk.log, "[reconfigure] the upgrade to process {pid} failed: {why}";
                    "tag" => "server");
                desk.outcomes.publish(pid, Err(why));
            }
            event
        }
    };
    if event == Event::SuccessorCommitted {
        if let Some(holdings) = desk.holdings.get() {
            // It begins by itself when it is told nothing.
            holdings.findings.leave();
        }
        desk.outcomes.publish(pid, Ok(()));
    }
    desk.end();
    desk.event(event).await;
}

/// Says what the root lets say and tells what is heard, until the successor is in charge.
///
/// # Errors
///
/// In words, why it will not be, or why it is not known whether it is.
async fn converse(
    desk: &Desk,
    talk: &mut Talk,
    mut commands: mpsc::Receiver<Command>,
) -> Result<(), String> {
    let waits = desk.options.timeout + desk.options.probation + SLACK;
    let deadline = Instant::now() + waits;
    loop {
        tokio::select! {
            command = commands.recv() => match command {
                None | Some(Command::HangUp) => return Err("it was not ready in time".to_owned()),
                Some(Command::Refuse(reason)) => return Err(reason),
                Some(command) => {
                    let said = say(desk, talk, command).await;
                    said.map_err(|error| error.to_string())?;
                }
            },
            received = talk.receive() => {
                match received.map_err(|error| error.to_string())?.message {
                    Message::Prepared { adopted } => desk.tell(Told::Prepared(adopted)).await,
                    Message::Accepting => desk.event(Event::SuccessorAccepts).await,
                    Message::Committed => return Ok(()),
                    Message::Refused { reason } => return Err(reason),
                    other => return Err(format!("it said what makes no sense here: {other:?}")),
                }
            }
            () = sleep_until(deadline) => return Err(format!("nothing more was heard for {waits:?}")),
        }
    }
}

async fn say(desk: &Desk, talk: &Talk, command: Command) -> Result<(), TalkError> {
    let message = match command {
        Command::Offer(offer, sockets, parts, counted) => {
            talk.send(&Message::Offer(offer), b"", &[]).await?;
            for some in sockets.chunks(MOST_DESCRIPTORS) {
                let descriptors: Vec<_> = some.iter().map(|socket| socket.as_fd()).collect();
                talk.send(&Message::Sockets, b"", &descriptors).await?;
            }
            for part in parts {
                let shown = Box::new(part);
                let shown = Message::Shown { shown, more: true };
                talk.send(&shown, b"", &[]).await?;
            }
            return tell(talk, counted).await;
        }
        Command::Say(Word::Accept, _) => Message::Accept,
        Command::Say(Word::Commit, _) => {
            // What the successor shows from now on must not be less than what was shown here.
            tell(talk, desk.counted(accounts::Word::Further)).await?;
            if let Some((pid, _)) = desk.talking.get() {
                desk.parent.let_go(pid).await;
            }
            Message::Commit
        }
        Command::Say(..) | Command::Refuse(_) | Command::HangUp => return Ok(()),
    };
    talk.send(&message, b"", &[]).await
}

/// Tells the successor what was counted.
async fn tell(talk: &Talk, counted: Vec<Statement>) -> Result<(), TalkError> {
    for statement in counted {
        talk.send(&Message::Counted { statement }, b"", &[]).await?;
    }
    Ok(())
}
