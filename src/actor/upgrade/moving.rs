//! The talk with a successor that is in charge: connections move to it, one by one.
//!
//! A connection is offered, held there, and released; only then is it the successor's. Whoever has
//! it here keeps it untouched until then, and goes on with it whatever becomes of the talk. That it is
//! untouched is a pledge: when this process dies, the successor may go on with what it holds.

use std::collections::BTreeMap;
use std::fmt;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep_until, timeout};

use super::desk::{Desk, Phase};
use crate::actor::accounts::Word;
use crate::actor::mover::{Offered, Verdict};
use crate::lifecycle::{Event, Window};
use crate::net::{Pledge, Talk, TalkError};
use crate::protocol::handover::{Kind, Message};

/// Connections that are offered and not answered for at a time.
const AT_ONCE: usize = 32;

/// How long a successor may take to answer, or to read what it is told.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// How often the successor is told what is still counted here.
const COUNTS_EVERY: Duration = Duration::from_secs(1);

/// Reasons to stay that are told apart.
const REASONS: usize = 8;

/// Moves what is offered until nothing is left, or the successor is lost.
pub(super) async fn run(desk: Rc<Desk>, talk: Talk, offers: mpsc::Receiver<Offered>) {
    // However this ends, nothing moves any more.
    let over = Over(Rc::clone(&desk));
    let mut moves = Moves {
        pledge: None,
        talk,
        offers,
        window: Window::new(AT_ONCE, ANSWERS_WITHIN),
        tally: Tally::default(),
    };
    let ended = moves.run(&desk).await;
    let tally = &moves.tally;
    match ended {
        Ok(()) => slog::info!(desk.log, "[reconfigure] {tally}"; "tag" => "server"),
        Err(why) => {
            slog::warn!(desk.log, "[reconfigure] {tally}; no more can: {why}"; "tag" => "server");
            drop((moves, over));
            desk.event(Event::SuccessorLost).await;
        }
    }
}

/// Notes the end, also when the actor dies.
struct Over(Rc<Desk>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.phase.send_replace(Phase::Over);
    }
}

struct Moves {
    /// Before everything else: it is taken back before anyone hears that a connection stays.
    pledge: Option<Pledge>,
    talk: Talk,
    offers: mpsc::Receiver<Offered>,
    window: Window<(Class, oneshot::Sender<Verdict>)>,
    tally: Tally,
}

/// What moves, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Framed,
    Idle,
    Pair,
}

impl Moves {
    async fn run(&mut self, desk: &Desk) -> Result<(), String> {
        let mut phase = desk.phase.subscribe();
        self.give_pledge().await?;
        self.hand_hosts_over(desk).await?;
        let mut counts = interval(COUNTS_EVERY);
        counts.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let deadline = self.window.deadline();
            let silence = deadline.unwrap_or_else(Instant::now);
            tokio::select! {
                received = self.talk.receive() => {
                    let received = received.map_err(|error| error.to_string())?;
                    self.hear(received.message, &desk.log).await?;
                }
                offered = self.offers.recv(), if self.window.has_room() => match offered {
                    Some(offered) => self.offer(offered).await?,
                    None => return Err("nobody is left who could offer any".to_owned()),
                },
                () = sleep_until(silence.into()), if deadline.is_some() => {
                    return Err(TalkError::Silent(ANSWERS_WITHIN).to_string());
                }
                _ = counts.tick() => self.tell_counts(desk, Word::Further).await?,
                _ = phase.wait_for(|phase| *phase == Phase::Finishing), if self.window.is_empty() => {
                    self.tell_counts(desk, Word::Last).await?;
                    return self.say(&Message::Done, &[], &[]).await;
                }
            }
        }
    }

    /// Without one, what is on its way when this process dies is lost.
    async fn give_pledge(&mut self) -> Result<(), String> {
        match Pledge::new() {
            Ok((pledge, token)) => {
                self.pledge = Some(pledge);
                self.say(&Message::Pledge, &[], &[token.as_fd()]).await
            }
            Err(_) => Ok(()),
        }
    }

    /// Has the successor probe the hosts from now on, where this process leaves off.
    async fn hand_hosts_over(&self, desk: &Desk) -> Result<(), String> {
        let Some(holdings) = desk.holdings.get() else {
            return Ok(());
        };
        let mut parts = holdings.findings.hand_over().await;
        let last = parts.pop().unwrap_or_default();
        let parts = parts.into_iter().map(|part| (part, true));
        for (part, more) in parts.chain([(last, false)]) {
            let shown = Box::new(part);
            self.say(&Message::Shown { shown, more }, &[], &[]).await?;
        }
        Ok(())
    }

    /// Has the successor count what was counted here since it was last told.
    async fn tell_counts(&self, desk: &Desk, word: Word) -> Result<(), String> {
        for statement in desk.counted(word) {
            self.say(&Message::Counted { statement }, &[], &[]).await?;
        }
        Ok(())
    }

    async fn offer(&mut self, offered: Offered) -> Result<(), String> {
        let Offered {
            carried,
            payload,
            sockets,
            answer,
        } = offered;
        if answer.is_closed() {
            // It has ended meanwhile.
            return Ok(());
        }
        let class = match carried.kind {
            Kind::Framed(_) => Class::Framed,
            Kind::Idle(_) => Class::Idle,
            Kind::Pair(_) => Class::Pair,
        };
        let id = self.window.offer((class, answer), Instant::now());
        let carried = Box::new(carried);
        let sockets: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
        let connection = Message::Connection { id, carried };
        self.say(&connection, &payload, &sockets).await
    }

    async fn hear(&mut self, message: Message, log: &slog::Logger) -> Result<(), String> {
        match message {
            Message::Held { id } => {
                // One that is held twice is released once.
                if self.window.waits_for(id) {
                    self.say(&Message::Release { id }, &[], &[]).await?;
                }
                if let Some((class, answer)) = self.window.answered(id) {
                    let _ = answer.send(Verdict::Moved);
                    self.tally.moved(class);
                }
            }
            Message::NotHeld { id, reason } => {
                if let Some((class, answer)) = self.window.answered(id) {
                    let _ = answer.send(Verdict::Stays);
                    if let Some(reason) = self.tally.stayed(class, reason) {
                        slog::info!(log, "[reconfigure] connections stay since {reason}"; "tag" => "server");
                    }
                }
            }
            // A word that comes twice says nothing new.
            Message::Prepared { .. } | Message::Accepting | Message::Committed => {}
            other => return Err(format!("it said what makes no sense here: {other:?}")),
        }
        Ok(())
    }

    async fn say(
        &self,
        message: &Message,
        payload: &[u8],
        sockets: &[std::os::fd::BorrowedFd<'_>],
    ) -> Result<(), String> {
        let said = timeout(ANSWERS_WITHIN, self.talk.send(message, payload, sockets)).await;
        let said = said.unwrap_or(Err(TalkError::Silent(ANSWERS_WITHIN)));
        said.map_err(|error| error.to_string())
    }
}

/// What has moved, and what has not.
#[derive(Debug, Default)]
struct Tally {
    framed: u64,
    pairs: u64,
    /// Those to hosts that were idle.
    idle: u64,
    stayed: BTreeMap<String, u64>,
    /// Idle ones that the successor has no use for.
    closed: u64,
}

impl Tally {
    fn moved(&mut self, class: Class) {
        match class {
            Class::Framed => self.framed += 1,
            Class::Idle => self.idle += 1,
            Class::Pair => self.pairs += 1,
        }
    }

    /// Counts one; the reason if it is the first with that.
    fn stayed(&mut self, class: Class, reason: String) -> Option<String> {
        if class == Class::Idle {
            self.closed += 1;
            return None;
        }
        let is_known = self.stayed.contains_key(&reason);
        let reason = match is_known || self.stayed.len() < REASONS {
            true => reason,
            false => "other reasons".to_owned(),
        };
        let count = self.stayed.entry(reason.clone()).or_default();
        *count += 1;
        (*count == 1).then_some(reason)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { framed, pairs, .. } = self;
        let (moved, stayed) = (framed + pairs, self.stayed.values().sum::<u64>());
        write!(
            f,
            "moved {moved} connections ({framed} between requests, {pairs} relays), {stayed} stayed"
        )?;
        for (index, (reason, count)) in self.stayed.iter().enumerate() {
            let sign = if index == 0 { ':' } else { ',' };
            write!(f, "{sign} {count} since {reason}")?;
        }
        if self.idle + self.closed > 0 {
            let Self { idle, closed, .. } = self;
            write!(f, "; of idle ones to hosts {idle} moved, {closed} closed")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_moved_is_told_in_a_sentence_and_reasons_are_bounded() {
        let mut tally = Tally::default();
        for class in [Class::Framed, Class::Pair, Class::Framed] {
            tally.moved(class);
        }
        assert_eq!(
            tally.to_string(),
            "moved 3 connections (2 between requests, 1 relays), 0 stayed"
        );
        let mut stays = |reason: &str| tally.stayed(Class::Framed, reason.to_owned());
        assert!(stays("its host is not there").is_some());
        assert!(stays("its host is not there").is_none());
        assert!(stays("the connection limit is reached").is_some());
        assert!(tally.to_string().ends_with(
            "3 stayed: 2 since its host is not there, 1 since the connection limit is reached"
        ));

        tally.moved(Class::Idle);
        let idle = tally.stayed(Class::Idle, "its host is not there".to_owned());
        assert_eq!(idle, None);
        let idle = "; of idle ones to hosts 1 moved, 1 closed";
        assert!(tally.to_string().ends_with(idle));
        let said = (0..100).filter_map(|number| tally.stayed(Class::Pair, number.to_string()));
        assert_eq!(said.count(), REASONS - 2 + 1);

        assert_eq!(tally.stayed.len(), REASONS + 1);
        assert_eq!(tally.stayed.values().sum::<u64>(), 103);
    }
}
