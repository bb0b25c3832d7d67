//! The lines of one thread and who drives them: gives turns to lines with room, and counts.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::line::{Line, Matched, Then};
use super::plan::Plan;
use super::progress::Live;
use super::speech::{Answer, Speech};
use super::tally::{Tally, Trouble};
use super::turns::Turns;

/// How long a line waits after a failed connect before the next: from, and up to.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// The lines of one thread.
pub(super) struct Crew {
    plan: Arc<Plan>,
    live: Arc<Live>,
    speech: Speech,
    lines: Vec<Line>,
    /// Open lines with room for a request, longest waiting first.
    roomy: VecDeque<usize>,
    /// None until every line has tried to connect.
    turns: Option<Turns>,
    /// What is due before is not counted.
    counts_from: Instant,
    tally: Tally,
    last_outcome: Instant,
    /// Lines that have tried to connect, and those that have ever been open.
    tried: usize,
    opened: usize,
    /// Why the last connect failed.
    unreachable: Option<Trouble>,
    /// Requests that wait for an answer, on all lines.
    under_way: usize,
    /// What progress has been told: requests done, and failed.
    published: (u64, u64),
    /// Told when all lines have tried, and when all is over.
    turned: Rc<Notify>,
}

impl Crew {
    pub(super) fn new(plan: Arc<Plan>, live: Arc<Live>, speech: Speech, lines: usize) -> Self {
        let now = Instant::now();
        Self {
            plan,
            live,
            lines: (0..lines).map(|_| Line::new(speech.clone())).collect(),
            speech,
            roomy: VecDeque::new(),
            turns: None,
            counts_from: now,
            tally: Tally::default(),
            last_outcome: now,
            tried: 0,
            opened: 0,
            unreachable: None,
            under_way: 0,
            published: (0, 0),
            turned: Rc::default(),
        }
    }

    pub(super) fn turned(&self) -> Rc<Notify> {
        Rc::clone(&self.turned)
    }

    pub(super) fn have_tried(&self) -> bool {
        self.tried == self.lines.len()
    }

    /// Begins: lines with room get turns from now on.
    pub(super) fn begin(&mut self, turns: Turns, start: Instant) {
        self.counts_from = start + self.plan.warm_up;
        self.last_outcome = self.counts_from;
        self.turns = Some(turns);
        self.give();
        if let (0, Some(trouble)) = (self.opened, self.unreachable) {
            // Nobody is there: each line's connect is as good as a request.
            let requests = self.lines.len() as u64;
            self.tally.started += requests;
            self.lose(trouble, requests);
        }
    }

    /// Gives every turn that is due to a line with room, each line one at a time, and writes
    /// what a line got at once.
    pub(super) fn give(&mut self) {
        let now = Instant::now();
        let mut touched = Vec::new();
        if let Some(turns) = &mut self.turns {
            turns.look(now);
        }
        while let Some(&place) = self.roomy.front() {
            if !self.lines[place].is_open() {
                self.roomy.pop_front();
                self.lines[place].listed = false;
                continue;
            }
            let Some(due) = self.turns.as_mut().and_then(|turns| turns.take(now)) else {
                break;
            };
            self.roomy.pop_front();
            self.lines[place].listed = false;
            self.ask(place, due);
            self.list(place);
            touched.push(place);
        }
        for place in touched {
            self.lines[place].flush();
        }
    }

    fn ask(&mut self, place: usize, due: Instant) {
        self.lines[place].ask(due);
        self.under_way += 1;
        if due >= self.counts_from {
            self.tally.started += 1;
        }
    }

    /// Puts a line among those with room, if it has any.
    fn list(&mut self, place: usize) {
        let line = &mut self.lines[place];
        if line.is_open() && !line.listed && line.under_way() < self.plan.streams {
            line.listed = true;
            self.roomy.push_back(place);
        }
    }

    /// Fills a line that has just been answered; what it asks leaves in one write.
    fn refill(&mut self, place: usize) {
        let now = Instant::now();
        while self.lines[place].is_open() && self.lines[place].under_way() < self.plan.streams {
            let Some(due) = self.turns.as_mut().and_then(|turns| turns.take(now)) else {
                break;
            };
            self.ask(place, due);
        }
        self.list(place);
        self.lines[place].flush();
    }

    /// Takes what was read from a line.
    fn heard(&mut self, place: usize, input: &[u8]) -> Then {
        let now = Instant::now();
        let (tally, from) = (&mut self.tally, self.counts_from);
        let (mut matched, mut last_outcome) = (0, None);
        let mut take = |answer: &Answer, due| match due {
            Matched::Due(due) => {
                matched += 1;
                if due >= from {
                    tally.answered(answer, now.saturating_duration_since(due));
                    last_outcome = Some(now);
                }
            }
            Matched::Late => tally.late += 1,
        };
        let then = match input {
            // What comes behind an answer that was given up would be taken for another's.
            _ if self.lines[place].cut.is_some() => Ok(Then::Close),
            [] => {
                self.lines[place].end(&mut take);
                Ok(Then::Close)
            }
            _ => self.lines[place].hear(input, &mut take),
        };
        self.last_outcome = last_outcome.unwrap_or(self.last_outcome);
        self.under_way -= matched;
        match then {
            Ok(Then::GoOn) => {
                self.refill(place);
                self.look_whether_over();
                Then::GoOn
            }
            Ok(Then::Close) => Then::Close,
            Err(bad) => {
                self.tally.first_bad.get_or_insert(bad);
                self.lines[place].cut.get_or_insert(Trouble::BadAnswer);
                Then::Close
            }
        }
    }

    fn opened(&mut self, place: usize, writer: OwnedWriteHalf, first: Option<Duration>) {
        self.lines[place].open(writer);
        if let Some(took) = first {
            self.opened += 1;
            self.tally.connects.push(took.as_nanos() as f64);
        }
        self.refill(place);
    }

    fn has_tried(&mut self) {
        self.tried += 1;
        if self.have_tried() {
            self.turned.notify_one();
        }
    }

    /// Ends a line's connection; its requests are lost for the reason that it was cut for, or
    /// else for `trouble`.
    fn closed(&mut self, place: usize, trouble: Trouble) {
        if self.lines[place].listed {
            self.roomy.retain(|&other| other != place);
        }
        let trouble = self.lines[place].cut.unwrap_or(trouble);
        let lost = self.lines[place].close(self.speech.clone());
        self.under_way -= lost.len();
        let counted = lost.iter().filter(|&&due| due >= self.counts_from).count();
        self.lose(trouble, counted as u64);
    }

    fn lose(&mut self, trouble: Trouble, requests: u64) {
        if requests > 0 {
            self.tally.troubled(trouble, requests);
            self.last_outcome = Instant::now();
        }
        self.look_whether_over();
    }

    /// A line could not connect. While no other is open either, what is due fails with it: nobody
    /// else would take it.
    fn unconnected(&mut self, trouble: Trouble) {
        self.tally.failed_connects += 1;
        self.unreachable = Some(trouble);
        if self.lines.iter().any(Line::is_open) {
            return;
        }
        let now = Instant::now();
        let mut lost = 0;
        if let Some(turns) = &mut self.turns {
            turns.look(now);
            let closed = turns.ticks().is_none();
            while let Some(due) = turns.take(now) {
                lost += u64::from(due >= self.counts_from);
                if closed {
                    break;
                }
            }
        }
        self.tally.started += lost;
        self.lose(trouble, lost);
    }

    /// Gives up what has waited too long; called ten times a second.
    pub(super) fn sweep(&mut self) {
        let now = Instant::now();
        self.publish();
        let Some(before) = now.checked_sub(self.plan.timeout) else {
            return;
        };
        for place in 0..self.lines.len() {
            let given_up = self.lines[place].give_up(before);
            if given_up.is_empty() {
                continue;
            }
            self.under_way -= given_up.len();
            self.time_out(&given_up, now);
            if self.speech.is_in_order() {
                self.lines[place].cut(Trouble::ClosedEarly);
            } else {
                self.refill(place);
            }
        }
        self.give_up_unsent(before, now);
        self.look_whether_over();
    }

    fn give_up_unsent(&mut self, before: Instant, now: Instant) {
        let mut given_up = Vec::new();
        while let Some(turns) = &mut self.turns
            && turns.peek(now).is_some_and(|due| due < before)
        {
            given_up.extend(turns.take(now));
        }
        self.time_out(&given_up, now);
    }

    fn time_out(&mut self, given_up: &[Instant], now: Instant) {
        for &due in given_up.iter().filter(|&&due| due >= self.counts_from) {
            self.tally.timed_out(due, now);
            self.last_outcome = now;
        }
    }

    fn publish(&mut self) {
        let (done, failed) = (self.tally.done(), self.tally.failed());
        let (last_done, last_failed) = std::mem::replace(&mut self.published, (done, failed));
        self.live.add(done - last_done, failed - last_failed);
    }

    fn look_whether_over(&mut self) {
        if self.is_over() {
            self.turned.notify_one();
        }
    }

    /// Whether nothing is left to send or to wait for, or nobody could ever be connected to.
    pub(super) fn is_over(&self) -> bool {
        let Some(turns) = &self.turns else {
            return false;
        };
        self.opened == 0 || self.under_way == 0 && turns.is_over(Instant::now())
    }

    pub(super) fn tally(&mut self) -> Tally {
        let mut tally = std::mem::take(&mut self.tally);
        let now = Instant::now();
        let lasted_until = |end: Instant| end.saturating_duration_since(self.counts_from);
        // A rate is that of the whole time in which requests were due, unless that was cut short.
        tally.lasted = match &self.turns {
            Some(turns) if turns.is_over(now) && self.under_way == 0 => {
                lasted_until(self.last_outcome).max(self.plan.due_for())
            }
            _ => lasted_until(now),
        };
        let seconds = tally.lasted.as_secs_f64();
        let rates = self.lines.iter().map(|line| line.answers as f64 / seconds);
        if seconds > 0.0 {
            tally.rates = rates.collect();
        }
        tally
    }
}

/// Keeps one line connected, for ever.
pub(super) async fn keep(crew: Rc<RefCell<Crew>>, place: usize, scratch: Rc<RefCell<Vec<u8>>>) {
    let (address, patience) = {
        let crew = crew.borrow();
        (crew.plan.address, crew.plan.timeout)
    };
    let (mut first, mut pause) = (true, PAUSE.0);
    loop {
        let began = Instant::now();
        let connected = timeout(patience, TcpStream::connect(address)).await;
        let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let connected = connected.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
        let tried = std::mem::take(&mut first);
        match connected {
            Ok(stream) => {
                let (mut reader, writer) = stream.into_split();
                let took = tried.then(|| began.elapsed());
                crew.borrow_mut().opened(place, writer, took);
                if tried {
                    crew.borrow_mut().has_tried();
                }
                let ended = poll_fn(|cx| poll(&crew, place, &mut reader, &scratch, cx)).await;
                crew.borrow_mut().closed(place, ended);
                pause = PAUSE.0;
            }
            Err(error) => {
                crew.borrow_mut().unconnected(Trouble::of_connect(&error));
                if tried {
                    crew.borrow_mut().has_tried();
                }
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE.1);
            }
        }
    }
}

/// Reads and writes as far as it goes; what the requests under way are lost for, at the end.
fn poll(
    crew: &RefCell<Crew>,
    place: usize,
    reader: &mut OwnedReadHalf,
    scratch: &RefCell<Vec<u8>>,
    cx: &mut Context<'_>,
) -> Poll<Trouble> {
    let mut crew = crew.borrow_mut();
    let mut scratch = scratch.borrow_mut();
    loop {
        crew.lines[place].poll_flush(cx);
        let mut input = ReadBuf::new(&mut scratch);
        // What read less than there is room for waits for more at once, without asking again.
        match Pin::new(&mut *reader).poll_read(cx, &mut input) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(_)) => return Poll::Ready(Trouble::Reset),
            Poll::Ready(Ok(())) => {
                if crew.heard(place, input.filled()) == Then::Close {
                    return Poll::Ready(Trouble::ClosedEarly);
                }
            }
        }
    }
}
