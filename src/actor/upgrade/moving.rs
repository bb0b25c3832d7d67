//! The talk with a successor that is in charge: connections move to it, one by one.
//!
//! A connection is offered, held there, released and taken; only then is it the successor's. Whoever
//! has it here keeps it untouched until that is known. When the talk ends before, what decides is the
//! pipe by which it was released: what is still in there stays.

use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::{Instant as TokioInstant, MissedTickBehavior, interval_at, sleep_until, timeout};

use super::desk::{Desk, Phase};
use super::tally::{Class, Tally};
use crate::actor::accounts::{Round, Word};
use crate::actor::mover::{Offered, Verdict};
use crate::lifecycle::{Event, Heir, Window};
use crate::net::{Releases, Talk, TalkError};
use crate::protocol::handover::{Kind, Message, Statement};

/// Connections that are offered and not answered for at a time.
const AT_ONCE: usize = 32;

/// How long a successor may take to answer, or to read what it is told.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// How often the successor is told what is still counted here.
const COUNTS_EVERY: Duration = Duration::from_secs(1);

/// Moves what is offered until nothing is left, or the successor is lost.
pub(super) async fn run(desk: Rc<Desk>, talk: Talk, offers: mpsc::Receiver<Offered>) {
    // However this ends, nothing moves any more.
    let over = Over(Rc::clone(&desk));
    let (tally, ended) = carry(&desk, talk, offers).await;
    match ended {
        Ok(()) => slog::info!(desk.log, "[reconfigure] {tally}"; "tag" => "server"),
        Err(why) => {
            slog::warn!(desk.log, "[reconfigure] {tally}; no more can: {why}"; "tag" => "server");
            drop(over);
            desk.event(Event::SuccessorLost).await;
        }
    }
}

async fn carry(
    desk: &Desk,
    talk: Talk,
    offers: mpsc::Receiver<Offered>,
) -> (Tally, Result<(), String>) {
    let releases = match Releases::new() {
        Ok(releases) => releases,
        Err(error) => return (Tally::default(), Err(error.to_string())),
    };
    let mut moves = Moves {
        passage: Passage {
            releases,
            window: Window::new(AT_ONCE, ANSWERS_WITHIN),
            tally: Tally::default(),
        },
        talk,
        offers,
    };
    let ended = moves.run(desk).await;
    moves.passage.settle();
    (std::mem::take(&mut moves.passage.tally), ended)
}

/// Notes the end, also when the actor dies.
struct Over(Rc<Desk>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.phase.send_replace(Phase::Over);
    }
}

struct Moves {
    passage: Passage,
    talk: Talk,
    offers: mpsc::Receiver<Offered>,
}

/// What is on its way. However this ends, whoever has a connection here hears whose it is.
struct Passage {
    releases: Releases,
    window: Window<(Class, oneshot::Sender<Verdict>)>,
    tally: Tally,
}

impl Passage {
    /// Nothing more will be heard of what is on its way.
    fn settle(&mut self) {
        // Before anyone hears that a connection stays: the successor has none of those by then.
        let left = self.releases.take_back();
        for ((class, answer), heir) in self.window.settle(&left) {
            let verdict = match heir {
                Heir::Successor => Verdict::Moved,
                Heir::Predecessor => Verdict::Stays,
            };
            let _ = answer.send(verdict);
            if heir == Heir::Successor {
                self.tally.moved(class);
            }
        }
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.settle();
    }
}

impl Moves {
    async fn run(&mut self, desk: &Desk) -> Result<(), String> {
        let mut phase = desk.phase.subscribe();
        self.give_claims().await?;
        self.hand_hosts_over(desk).await?;
        // Before the commit it was told all.
        let mut counts = interval_at(TokioInstant::now() + COUNTS_EVERY, COUNTS_EVERY);
        let mut round = None;
        counts.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let deadline = self.passage.window.deadline();
            let silence = deadline.unwrap_or_else(Instant::now);
            tokio::select! {
                received = self.talk.receive() => {
                    let received = received.map_err(|error| error.to_string())?;
                    self.hear(received.message, &desk.log)?;
                }
                offered = self.offers.recv(), if self.passage.window.has_room() => match offered {
                    Some(offered) => self.offer(offered).await?,
                    None => return Err("nobody is left who could offer any".to_owned()),
                },
                () = sleep_until(silence.into()), if deadline.is_some() => {
                    return Err(TalkError::Silent(ANSWERS_WITHIN).to_string());
                }
                _ = counts.tick() => {
                    let holdings = desk.holdings.get();
                    round = holdings.map(|holdings| holdings.accounts.round(Word::Further));
                }
                // Part by part: connections that are on their way do not wait for all of it.
                () = yield_now(), if round.is_some() => self.tell_some(desk, &mut round).await?,
                _ = phase.wait_for(|phase| *phase == Phase::Finishing), if self.passage.window.is_empty() => {
                    self.tell(desk.counted(Word::Last)).await?;
                    return self.say(&Message::Done, &[], &[]).await;
                }
            }
        }
    }

    async fn give_claims(&self) -> Result<(), String> {
        let end = self.passage.releases.for_the_other();
        self.say(&Message::Releases, &[], &[end]).await
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

    /// Has the successor count some of what was counted here since it was last told.
    async fn tell_some(&self, desk: &Desk, round: &mut Option<Round>) -> Result<(), String> {
        let holdings = desk.holdings.get();
        let part = holdings.zip(round.as_mut());
        match part.and_then(|(holdings, round)| holdings.accounts.next_of(round)) {
            Some(part) => self.tell(part).await,
            None => {
                *round = None;
                Ok(())
            }
        }
    }

    async fn tell(&self, counted: Vec<Statement>) -> Result<(), String> {
        for statement in counted {
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
            Kind::Shared(_) => Class::Shared,
        };
        let window = &mut self.passage.window;
        let id = window.offer((class, answer), Instant::now());
        let carried = Box::new(carried);
        let sockets: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
        let connection = Message::Connection { id, carried };
        self.say(&connection, &payload, &sockets).await
    }

    fn hear(&mut self, message: Message, log: &slog::Logger) -> Result<(), String> {
        let Passage {
            releases,
            window,
            tally,
        } = &mut self.passage;
        match message {
            // One that is held twice is released once.
            Message::Held { id } if window.is_offered(id) => {
                let released = releases.release(id);
                released.map_err(|error| format!("it cannot be released: {error}"))?;
                window.is_released(id, Instant::now());
            }
            Message::Taken { id } => {
                if let Some((class, answer)) = window.taken(id) {
                    let _ = answer.send(Verdict::Moved);
                    tally.moved(class);
                }
            }
            Message::NotHeld { id, reason } => {
                if let Some((class, answer)) = window.refused(id) {
                    let _ = answer.send(Verdict::Stays);
                    if let Some(reason) = tally.stayed(class, reason) {
                        slog::info!(log, "[reconfigure] connections stay since {reason}"; "tag" => "server");
                    }
                }
            }
            // A word that comes twice says nothing new.
            Message::Held { .. }
            | Message::Prepared { .. }
            | Message::Accepting
            | Message::Committed => {}
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
