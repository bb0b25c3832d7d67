//! Explores how connections move: every order in which two processes and the kernel can go, with
//! messages that are lost, come twice or end the talk, and either process killed between any two of
//! its calls.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::explore::Reached;
use crate::lifecycle::{Custody, Heir, Window};

/// What the two say to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Word {
    Connection(u64),
    Held(u64),
    NotHeld(u64),
    Taken(u64),
    /// What is none.
    Garbled,
}

/// What is in the pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Record {
    Released(u64),
    TakenBack,
}

/// How far a process is with its end of the talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Talks,
    /// Its talk is over, and it finds out what is whose.
    Settles,
    /// The predecessor has said its last word, and has told nobody yet.
    SaidLast,
    Done,
    Dead,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct World {
    /// Connections that are to move.
    all: u64,
    old: Stage,
    new: Stage,
    /// On their way to each of them.
    to_old: VecDeque<Word>,
    to_new: VecDeque<Word>,
    window: Window<u64>,
    custody: Custody<u64>,
    pipe: VecDeque<Record>,
    /// What the predecessor has taken out again.
    left: BTreeSet<u64>,
    offered: BTreeSet<u64>,
    /// What each of them has read or written since it began to move: never the same.
    by_old: BTreeSet<u64>,
    by_new: BTreeSet<u64>,
    /// What was nowhere but in the predecessor when that was killed, or was given up there.
    perished: BTreeSet<u64>,
    faults: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Offer(u64),
    OldReads,
    /// The next call of settling: an end of the pipe, or what follows the last one.
    OldSettles,
    NewReads {
        holds: bool,
    },
    NewTakes,
    // The clock, and faults.
    OldIsTired,
    NewIsTired,
    KillOld,
    KillNew,
    Lose {
        to_old: bool,
    },
    Repeat {
        to_old: bool,
    },
    Garble {
        to_old: bool,
    },
    Cut,
}

impl World {
    fn new(all: u64, faults: u8) -> Self {
        Self {
            all,
            old: Stage::Talks,
            new: Stage::Talks,
            to_old: VecDeque::new(),
            to_new: VecDeque::new(),
            // Which deadline comes when is the explorer's to say.
            window: Window::new(2, Duration::ZERO),
            custody: Custody::new(2),
            pipe: VecDeque::new(),
            left: BTreeSet::new(),
            offered: BTreeSet::new(),
            by_old: BTreeSet::new(),
            by_new: BTreeSet::new(),
            perished: BTreeSet::new(),
            faults,
        }
    }

    /// What may happen without the clock or a fault.
    fn steps(&self) -> Vec<Step> {
        let mut steps = vec![];
        let next = (1..=self.all).find(|number| !self.offered.contains(number));
        if self.old == Stage::Talks {
            steps.extend(next.map(Step::Offer));
            if !self.to_old.is_empty() || self.new != Stage::Talks {
                steps.push(Step::OldReads);
            }
        }
        if matches!(self.old, Stage::Settles | Stage::SaidLast) {
            steps.push(Step::OldSettles);
        }
        if self.new == Stage::Talks && (!self.to_new.is_empty() || self.old != Stage::Talks) {
            steps.push(Step::NewReads { holds: true });
            if matches!(self.to_new.front(), Some(Word::Connection(_))) {
                steps.push(Step::NewReads { holds: false });
            }
        }
        let pipe_says = !self.pipe.is_empty() || self.old == Stage::Dead;
        if matches!(self.new, Stage::Talks | Stage::Settles) && pipe_says {
            steps.push(Step::NewTakes);
        }
        steps
    }

    fn faults(&self) -> Vec<Step> {
        let mut steps = vec![];
        if self.old == Stage::Talks && !self.window.is_empty() {
            steps.push(Step::OldIsTired);
        }
        if self.new == Stage::Settles && self.pipe.is_empty() && self.old != Stage::Dead {
            steps.push(Step::NewIsTired);
        }
        if self.faults == 0 {
            return steps;
        }
        if self.old != Stage::Dead {
            steps.push(Step::KillOld);
        }
        if self.new != Stage::Dead {
            steps.push(Step::KillNew);
        }
        let inboxes = [
            (true, &self.to_old, self.new),
            (false, &self.to_new, self.old),
        ];
        for (to_old, inbox, sender) in inboxes {
            if !inbox.is_empty() && sender != Stage::Dead {
                steps.extend([
                    Step::Lose { to_old },
                    Step::Repeat { to_old },
                    Step::Garble { to_old },
                ]);
            }
        }
        if self.old == Stage::Talks && self.new == Stage::Talks {
            steps.push(Step::Cut);
        }
        steps
    }

    fn after(&self, step: Step, now: Instant) -> Self {
        let mut next = self.clone();
        match step {
            Step::Offer(number) => {
                next.offered.insert(number);
                assert_eq!(next.window.offer(number, now), number);
                next.say(false, Word::Connection(number));
            }
            Step::OldReads => next.old_reads(now),
            Step::OldSettles => next.old_settles(),
            Step::NewReads { holds } => next.new_reads(holds),
            Step::NewTakes => next.new_takes(),
            Step::OldIsTired => next.old = Stage::Settles,
            Step::NewIsTired => next.new = Stage::Done,
            Step::KillOld => next.old_dies(),
            Step::KillNew => next.new = Stage::Dead,
            Step::Lose { to_old } => drop(next.inbox(to_old).pop_front()),
            Step::Repeat { to_old } => {
                let word = next.inbox(to_old)[0];
                // Descriptors come once: a connection that comes again is none.
                let again = match word {
                    Word::Connection(_) => Word::Garbled,
                    word => word,
                };
                next.inbox(to_old).insert(1, again);
            }
            Step::Garble { to_old } => next.inbox(to_old)[0] = Word::Garbled,
            Step::Cut => {
                next.to_old.clear();
                next.to_new.clear();
                next.old = Stage::Settles;
                next.new = Stage::Settles;
            }
        }
        let is_fault = !matches!(step, Step::OldIsTired | Step::NewIsTired);
        if is_fault && self.faults().contains(&step) {
            next.faults -= 1;
        }
        next
    }

    fn inbox(&mut self, to_old: bool) -> &mut VecDeque<Word> {
        match to_old {
            true => &mut self.to_old,
            false => &mut self.to_new,
        }
    }

    fn say(&mut self, to_old: bool, word: Word) {
        let hears = if to_old { self.old } else { self.new };
        if hears == Stage::Talks {
            self.inbox(to_old).push_back(word);
        }
    }

    fn old_reads(&mut self, now: Instant) {
        match self.to_old.pop_front() {
            Some(Word::Held(number)) => {
                if self.window.is_offered(number) {
                    self.pipe.push_back(Record::Released(number));
                    self.window.is_released(number, now);
                }
            }
            Some(Word::NotHeld(number)) => {
                let stays = self.window.refused(number);
                self.by_old.extend(stays);
            }
            Some(Word::Taken(number)) => {
                if let Some(number) = self.window.taken(number) {
                    assert!(self.by_new.contains(&number), "{number} is nobody's");
                }
            }
            Some(Word::Garbled | Word::Connection(_)) | None => self.old = Stage::Settles,
        }
    }

    /// One call at a time: the other one may read, and this one may die, in between.
    fn old_settles(&mut self) {
        if self.old == Stage::SaidLast {
            return self.old_goes_on();
        }
        match self.pipe.pop_front() {
            Some(Record::Released(number)) => drop(self.left.insert(number)),
            Some(Record::TakenBack) => unreachable!("it writes that last"),
            None => {
                self.pipe.push_back(Record::TakenBack);
                self.old = Stage::SaidLast;
            }
        }
    }

    fn old_goes_on(&mut self) {
        let left = std::mem::take(&mut self.left);
        let settled: Vec<_> = self.window.settle(&left).collect();
        for (number, heir) in settled {
            match heir {
                Heir::Predecessor => drop(self.by_old.insert(number)),
                Heir::Successor => assert!(self.by_new.contains(&number), "{number} is nobody's"),
            }
        }
        self.old = Stage::Done;
    }

    fn old_dies(&mut self) {
        let over_there = |number: &u64| {
            let on_its_way =
                self.new == Stage::Talks && self.to_new.contains(&Word::Connection(*number));
            let is_held = self.custody.clone().take(*number).is_some();
            let hears = matches!(self.new, Stage::Talks | Stage::Settles);
            let is_back = self.pipe.contains(&Record::TakenBack);
            ((on_its_way || is_held && hears) && !is_back) || self.by_new.contains(number)
        };
        let here = (1..=self.all).filter(|number| !over_there(number));
        self.perished.extend(here.collect::<Vec<_>>());
        self.old = Stage::Dead;
    }

    fn new_reads(&mut self, holds: bool) {
        match self.to_new.pop_front() {
            Some(Word::Connection(number)) if holds => {
                self.custody.hold(number, number);
                self.say(true, Word::Held(number));
            }
            Some(Word::Connection(number)) => {
                self.say(true, Word::NotHeld(number));
                if self.old == Stage::Dead {
                    self.perished.insert(number);
                }
            }
            _ => {
                self.new = Stage::Settles;
                self.lose_unread();
            }
        }
    }

    /// What it never saw it cannot hold.
    fn lose_unread(&mut self) {
        for word in std::mem::take(&mut self.to_new) {
            if let Word::Connection(number) = word
                && self.old == Stage::Dead
            {
                self.perished.insert(number);
            }
        }
    }

    fn new_takes(&mut self) {
        match self.pipe.pop_front() {
            Some(Record::Released(number)) => {
                if let Some(number) = self.custody.take(number) {
                    self.by_new.insert(number);
                    if self.new == Stage::Talks {
                        self.say(true, Word::Taken(number));
                    }
                }
            }
            Some(Record::TakenBack) => self.new = Stage::Done,
            // The talk has ended as well, and what it says is read first.
            None if self.new == Stage::Talks => {}
            None => {
                self.by_new.extend(self.custody.inherit());
                self.new = Stage::Done;
            }
        }
    }

    /// Whether a connection goes on in the predecessor, or in the successor, or was never offered,
    /// or has ended with a process that was killed.
    fn end_of(&self, number: u64) -> [bool; 4] {
        let (old_dead, new_dead) = (self.old == Stage::Dead, self.new == Stage::Dead);
        let by_old = self.by_old.contains(&number);
        let by_new = self.by_new.contains(&number);
        let was_offered = self.offered.contains(&number);
        let with_old = self.perished.contains(&number) || (by_old && old_dead);
        let with_new = new_dead && (by_new || old_dead);
        [
            by_old && !old_dead,
            by_new && !new_dead,
            !was_offered && !old_dead,
            with_old || with_new,
        ]
    }

    /// Where it comes to rest when no further fault comes.
    fn at_rest(&self, now: Instant) -> Self {
        let mut world = self.clone();
        loop {
            let next = world.steps().into_iter().map(|step| world.after(step, now));
            let moved = next.into_iter().find(|next| *next != world);
            let tired = (!world.window.is_empty() && world.old == Stage::Talks)
                .then(|| world.after(Step::OldIsTired, now));
            match moved.or(tired) {
                Some(next) => world = next,
                None => return world,
            }
        }
    }
}

/// Every world that can be reached.
fn explore(now: Instant, (all, faults): (u64, u8)) -> Reached<World, Step> {
    let steps = |world: &World| [world.steps(), world.faults()].concat();
    let after = |world: &World, step| world.after(step, now);
    Reached::from(World::new(all, faults), steps, after)
}

#[test]
fn a_connection_goes_on_in_one_process_unless_the_one_that_has_it_is_killed() {
    let now = Instant::now();
    let mut ends = BTreeSet::new();
    for scope in [(1, 3), (2, 1)] {
        let seen = explore(now, scope);
        assert!(seen.len() > 1000, "{} worlds are too few", seen.len());
        for world in seen.worlds() {
            let is_one_s = world.by_old.is_disjoint(&world.by_new);
            assert!(is_one_s, "both touch it:\n{}", seen.way(world));
            let rest = world.at_rest(now);
            for number in 1..=rest.all {
                let end = rest.end_of(number);
                let is_lost = !end.contains(&true);
                assert!(!is_lost, "{number}:\n{rest:#?}\nafter\n{}", seen.way(world));
                ends.insert(end);
            }
            let is_over = !matches!(rest.old, Stage::Settles | Stage::SaidLast);
            assert!(is_over, "{rest:#?}");
        }
    }
    assert!(ends.len() >= 4, "{ends:?}");
}

#[test]
fn without_a_fault_everything_moves() {
    let now = Instant::now();
    let rest = World::new(2, 0).at_rest(now);
    assert_eq!(rest.by_new, BTreeSet::from([1, 2]));
    assert!(rest.by_old.is_empty() && rest.window.is_empty());
}
