//! One connection: what is under way on it, and what is still to be written. It is told what
//! time it is and never waits.

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Waker};
use std::time::Instant;

use socket2::SockRef;
use tokio::net::tcp::OwnedWriteHalf;

use super::speech::{Answer, Bad, Speech};
use super::tally::Trouble;

/// What is told apart from bytes on the way that nobody has asked for.
const UNASKED: &str = "an answer that nobody has asked for";

/// A connection, or the place of one that is to come.
pub(super) struct Line {
    speech: Speech,
    writer: Option<OwnedWriteHalf>,
    /// Requests not written yet; those before `written` are.
    pending: Vec<u8>,
    written: usize,
    /// The beginning of an answer, as far as it has to be looked at again.
    held: Vec<u8>,
    /// When requests were due, from the oldest that is not answered; none where one was answered
    /// before those sooner sent.
    flight: VecDeque<Option<Instant>>,
    /// The number of the oldest.
    oldest: u32,
    under_way: usize,
    /// Whether the peer wants to be asked nothing more.
    leaves: bool,
    /// Why it was cut from this side.
    pub(super) cut: Option<Trouble>,
    /// The task that reads; it writes too when the socket was full.
    waker: Option<Waker>,
    pub(super) answers: u64,
    /// Whether it waits among those with room.
    pub(super) listed: bool,
}

/// What became of an answer.
pub(super) enum Matched {
    /// It was waited for since then.
    Due(Instant),
    /// Nobody waits for it any more.
    Late,
}

impl Line {
    pub(super) fn new(speech: Speech) -> Self {
        Self {
            speech,
            writer: None,
            pending: Vec::new(),
            written: 0,
            held: Vec::new(),
            flight: VecDeque::new(),
            oldest: 1,
            under_way: 0,
            leaves: false,
            cut: None,
            waker: None,
            answers: 0,
            listed: false,
        }
    }

    pub(super) fn open(&mut self, writer: OwnedWriteHalf) {
        self.writer = Some(writer);
    }

    pub(super) fn is_open(&self) -> bool {
        self.writer.is_some() && self.cut.is_none() && !self.leaves
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way
    }

    /// Ends what belonged to the connection; when each request that was under way was due.
    pub(super) fn close(&mut self, fresh: Speech) -> Vec<Instant> {
        let lost = self.flight.drain(..).flatten().collect();
        let answers = self.answers;
        *self = Self::new(fresh);
        self.answers = answers;
        lost
    }

    /// Puts a request behind those that wait to be written.
    pub(super) fn ask(&mut self, due: Instant) {
        let number = self.oldest.wrapping_add(self.flight.len() as u32);
        self.speech.ask(number, &mut self.pending);
        self.flight.push_back(Some(due));
        self.under_way += 1;
    }

    /// Writes what waits, as far as the socket takes it. What goes wrong here is seen by whoever
    /// reads.
    pub(super) fn flush(&mut self) {
        let Some(writer) = &self.writer else { return };
        while self.written < self.pending.len() {
            match writer.try_write(&self.pending[self.written..]) {
                Ok(bytes) => self.written += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if let Some(waker) = &self.waker {
                        waker.wake_by_ref();
                    }
                    return;
                }
                Err(_) => break,
            }
        }
        self.pending.clear();
        self.written = 0;
    }

    /// Has the reading task come back when it can be written to again, if something waits.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) {
        if !(self.waker.as_ref()).is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
        while self.written < self.pending.len() {
            let ready = match &self.writer {
                Some(writer) => writer.as_ref().poll_write_ready(cx),
                None => return,
            };
            if ready.is_pending() {
                return;
            }
            // The waker is this task's own: it is not woken for what it does itself.
            let waker = self.waker.take();
            self.flush();
            self.waker = waker;
        }
    }

    /// Takes what was read; gives each answer to `take`, which says whether to go on.
    ///
    /// # Errors
    ///
    /// Why the connection is of no use any more.
    pub(super) fn hear(
        &mut self,
        input: &[u8],
        take: &mut impl FnMut(&Answer, Matched),
    ) -> Result<Then, Bad> {
        if self.held.is_empty() {
            let consumed = self.consume(input, take)?;
            return Ok(match consumed {
                Consumed::Last => Then::Close,
                Consumed::Bytes(bytes) => {
                    self.held.extend_from_slice(&input[bytes..]);
                    Then::GoOn
                }
            });
        }
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(input);
        match self.consume(&held, take)? {
            Consumed::Last => return Ok(Then::Close),
            Consumed::Bytes(bytes) => drop(held.drain(..bytes)),
        }
        self.held = held;
        Ok(Then::GoOn)
    }

    /// Takes the end of the input.
    pub(super) fn end(&mut self, take: &mut impl FnMut(&Answer, Matched)) {
        if let Some(answer) = self.speech.end()
            && let Some(matched) = self.matched(answer.to)
        {
            take(&answer, matched);
        }
    }

    fn consume(
        &mut self,
        input: &[u8],
        take: &mut impl FnMut(&Answer, Matched),
    ) -> Result<Consumed, Bad> {
        let mut at = 0;
        while at < input.len() {
            let heard = self.speech.hear(&input[at..])?;
            at += heard.consumed;
            self.leaves |= heard.goodbye;
            if let Some(answer) = heard.answer {
                let matched = self.matched(answer.to).ok_or(UNASKED)?;
                take(&answer, matched);
                if answer.last {
                    return Ok(Consumed::Last);
                }
            }
            if heard.consumed == 0 {
                break;
            }
        }
        Ok(match self.leaves && self.under_way == 0 {
            true => Consumed::Last,
            false => Consumed::Bytes(at),
        })
    }

    /// Strikes a request off; none if it was never made.
    fn matched(&mut self, number: Option<u32>) -> Option<Matched> {
        let place = number.map_or(0, |number| number.wrapping_sub(self.oldest) as usize);
        let due = match self.flight.get_mut(place) {
            Some(slot) => slot.take(),
            // It has been struck off: those before the oldest were asked once.
            None if number.is_some_and(|number| number.wrapping_sub(self.oldest) >= 1 << 31) => {
                return Some(Matched::Late);
            }
            None => return None,
        };
        self.strike();
        Some(match due {
            Some(due) => {
                self.under_way -= 1;
                self.answers += 1;
                Matched::Due(due)
            }
            None => Matched::Late,
        })
    }

    fn strike(&mut self) {
        while let Some(None) = self.flight.front() {
            self.flight.pop_front();
            self.oldest = self.oldest.wrapping_add(1);
        }
    }

    /// Gives up requests that were due before `before`; when each was. Where answers come in
    /// order the connection goes with them: what comes next would be taken for another's answer.
    pub(super) fn give_up(&mut self, before: Instant) -> Vec<Instant> {
        let old = |slot: &&mut Option<Instant>| slot.is_some_and(|due| due < before);
        let old = self.flight.iter_mut().filter(old).filter_map(Option::take);
        let given_up: Vec<_> = old.collect();
        self.under_way -= given_up.len();
        self.strike();
        given_up
    }

    /// Ends the connection: whoever reads sees its end.
    pub(super) fn cut(&mut self, trouble: Trouble) {
        self.cut = Some(trouble);
        if let Some(writer) = &self.writer {
            // A socket that cannot be shut down has ended by itself.
            let _ended = SockRef::from(writer.as_ref()).shutdown(std::net::Shutdown::Both);
        }
    }
}

enum Consumed {
    Bytes(usize),
    Last,
}

/// What is to become of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    GoOn,
    Close,
}
