//! Explores the product of two machines: every order of messages, deadlines and faults.

use std::collections::BTreeSet;

use super::explore::Reached;
use super::*;

/// One of the two processes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Process {
    alive: bool,
    state: State,
    /// Whether its end of the talk is open.
    open: bool,
    /// Words that it has not read yet.
    inbox: Vec<Word>,
    /// What its talk has told and it has not heard yet.
    told: Vec<Told>,
}

/// An event that a talk tells, without its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Gone,
    Kept,
    Accepts,
    Committed,
    Lost,
    Prepared,
    TookOver,
    Accept,
}

impl Told {
    fn event(self) -> Event {
        match self {
            Self::Gone => PredecessorGone,
            Self::Kept => PredecessorKept,
            Self::Accepts => SuccessorAccepts,
            Self::Committed => SuccessorCommitted,
            Self::Lost => SuccessorLost,
            Self::Prepared => SuccessorPrepared,
            Self::TookOver => TookOver,
            Self::Accept => ToldToAccept,
        }
    }
}

const OLD: usize = 0;
const NEW: usize = 1;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct World {
    /// The predecessor and the successor.
    two: [Process; 2],
    /// Whose the control socket's file is: the word of the last instance.
    owner: usize,
    /// Faults that may still happen.
    faults: u8,
    /// Whether one of them was killed, which ends its accepting like everything else.
    killed: bool,
}

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// One of them hears what its talk told.
    Hear(usize),
    /// One of them reads a word, or sees that nobody is at the other end.
    Read(usize),
    /// The successor is ready.
    Ready,
    /// The successor sees that nobody will offer it anything.
    Alone,
    /// The clock: a deadline comes.
    Deadline(usize),
    /// Faults.
    Lose(usize),
    Kill(usize),
    Cut,
    Fails,
}

impl World {
    fn new(now: Instant, faults: u8) -> Self {
        let process = |state| Process {
            alive: true,
            state,
            open: true,
            inbox: vec![],
            told: vec![],
        };
        let mut world = Self {
            two: [process(State::Running), process(State::Starting)],
            owner: OLD,
            faults,
            killed: false,
        };
        world.happen(OLD, SuccessorCame, now);
        world
    }

    fn happen(&mut self, who: usize, event: Event, now: Instant) {
        let (state, effects) = step(self.two[who].state, event, now);
        self.two[who].state = state;
        for effect in effects {
            match effect {
                Effect::Say(word) => self.say(1 - who, word),
                Effect::HangUp => self.hang_up(who),
                Effect::TakeCharge => self.owner = NEW,
                _ => {}
            }
        }
    }

    fn say(&mut self, to: usize, word: Word) {
        if self.two[1 - to].open && self.two[to].open {
            self.two[to].inbox.push(word);
        }
    }

    /// Ends the talk, unless the other side is in charge: that is looked up under a lock.
    fn hang_up(&mut self, who: usize) {
        self.two[who].open = false;
        self.two[who].inbox.clear();
        let told = match (who, self.owner) {
            (OLD, NEW) => Told::Committed,
            (OLD, _) => Told::Lost,
            (_, NEW) => Told::TookOver,
            _ if !self.two[OLD].alive => Told::Gone,
            _ => Told::Kept,
        };
        // It is told once, however often it is asked for.
        if self.two[who].told.last() != Some(&told) {
            self.two[who].told.push(told);
        }
    }

    fn read(&mut self, who: usize) {
        if self.two[who].inbox.is_empty() {
            return self.hang_up(who);
        }
        let word = self.two[who].inbox.remove(0);
        let told = match (who, word) {
            (OLD, Word::Prepared) => Told::Prepared,
            (OLD, Word::Accepting) => Told::Accepts,
            (OLD, Word::Committed) => Told::Committed,
            (NEW, Word::Accept) => Told::Accept,
            (NEW, Word::Commit) => {
                // Under the lock: the predecessor has not hung up.
                if !self.two[OLD].open && self.two[OLD].alive {
                    return self.hang_up(NEW);
                }
                self.owner = NEW;
                self.say(OLD, Word::Committed);
                Told::TookOver
            }
            _ => return,
        };
        self.two[who].told.push(told);
    }

    /// Steps that need neither the clock nor a fault.
    fn steps(&self) -> Vec<Step> {
        let mut steps = vec![];
        for (who, process) in self.two.iter().enumerate().filter(|(_, one)| one.alive) {
            if !process.told.is_empty() {
                steps.push(Step::Hear(who));
            }
            let over = !self.two[1 - who].open && process.inbox.is_empty();
            let reads = who == OLD || process.state != State::Starting;
            if process.open && reads && (over || !process.inbox.is_empty()) {
                steps.push(Step::Read(who));
            }
        }
        let new = &self.two[NEW];
        if new.alive && new.state == State::Starting && new.inbox.contains(&Word::Offer) {
            steps.push(Step::Ready);
        }
        let offered = new.inbox.contains(&Word::Offer);
        if new.alive && new.state == State::Starting && !offered && !self.two[OLD].open {
            steps.push(Step::Alone);
        }
        steps
    }

    fn faults(&self) -> Vec<Step> {
        let mut steps = vec![];
        for (who, process) in self.two.iter().enumerate().filter(|(_, one)| one.alive) {
            if process.state.until().is_some() {
                steps.push(Step::Deadline(who));
            }
            if self.faults > 0 {
                steps.push(Step::Kill(who));
                if !process.inbox.is_empty() {
                    steps.push(Step::Lose(who));
                }
            }
        }
        if self.faults > 0 && self.two.iter().all(|one| one.open) {
            steps.push(Step::Cut);
        }
        if self.faults > 0 && self.two[NEW].alive && self.two[NEW].state == State::Starting {
            steps.push(Step::Fails);
        }
        steps
    }

    fn after(&self, step: Step, now: Instant) -> Self {
        let mut next = self.clone();
        match step {
            Step::Hear(who) => {
                let told = next.two[who].told.remove(0);
                next.happen(who, told.event(), now);
            }
            Step::Read(who) => next.read(who),
            Step::Ready => next.happen(NEW, Prepared, now),
            Step::Alone if self.two[OLD].alive => {
                next.two[NEW].alive = false;
                next.two[NEW].open = false;
            }
            Step::Alone => {
                next.owner = NEW;
                next.happen(NEW, Started, now);
            }
            Step::Deadline(who) => next.deadline(who, now),
            Step::Lose(who) => {
                next.two[who].inbox.remove(0);
            }
            Step::Kill(who) => {
                next.two[who].alive = false;
                next.two[who].open = false;
                next.killed = true;
            }
            Step::Cut => {
                next.two.iter_mut().for_each(|one| one.inbox.clear());
                next.hang_up(OLD);
                next.hang_up(NEW);
            }
            Step::Fails => {
                next.two[NEW].alive = false;
                next.two[NEW].open = false;
            }
        }
        if matches!(
            step,
            Step::Lose(_) | Step::Kill(_) | Step::Cut | Step::Fails
        ) {
            next.faults -= 1;
        }
        next
    }

    fn deadline(&mut self, who: usize, now: Instant) {
        let until = self.two[who].state.until().unwrap();
        let (state, effects) = step_at(self.two[who].state, until);
        // Everybody's time is told from `now`, so that there are finitely many states.
        self.two[who].state = at(state, now);
        for effect in effects {
            match effect {
                Effect::Say(word) => self.say(1 - who, word),
                Effect::HangUp => self.hang_up(who),
                _ => {}
            }
        }
    }

    fn accepts(&self) -> bool {
        let accepting = |one: &Process| {
            let state = one.state;
            one.alive
                && matches!(
                    state,
                    State::Running | State::HandingOver { .. } | State::Trial { .. }
                )
        };
        self.two.iter().any(accepting)
    }

    /// Where it comes to rest when no deadline and no further fault comes.
    fn at_rest(&self, now: Instant) -> Self {
        let mut world = self.clone();
        while let Some(step) = world.steps().first() {
            world = world.after(*step, now);
        }
        world
    }
}

/// The state with the deadline that it would have had if it had been entered now.
fn at(state: State, now: Instant) -> State {
    let Times {
        handover,
        probation,
        commit,
        drain,
        pre_drain: _,
    } = TIMES;
    match state {
        State::Committing { .. } => State::Committing {
            until: now + commit,
        },
        State::Draining { .. } => State::Draining { until: now + drain },
        State::HandingOver { .. } => State::HandingOver {
            until: now + handover,
        },
        State::Leaving { .. } => State::Leaving { until: now + drain },
        State::Probation { .. } => State::Probation {
            until: now + probation,
        },
        State::Trial { .. } => State::Trial {
            until: now + handover + probation,
        },
        State::Waiting { .. } => State::Waiting {
            until: now + handover,
        },
        other => other,
    }
}

/// Every world that can be reached.
fn explore(now: Instant, faults: u8) -> Reached<World, Step> {
    let steps = |world: &World| [world.steps(), world.faults()].concat();
    let after = |world: &World, step| world.after(step, now);
    Reached::from(World::new(now, faults), steps, after)
}

#[test]
fn one_of_the_two_always_accepts() {
    let now = Instant::now();
    let seen = explore(now, 2);
    assert!(seen.len() > 500, "{} worlds are too few", seen.len());
    for world in seen.worlds() {
        if !world.two.iter().any(|one| one.alive) {
            continue;
        }
        // Who is in charge may have been killed after the other one has left for good.
        let left = |one: &Process| {
            !one.alive
                || matches!(
                    one.state,
                    State::Leaving { .. }
                        | State::Draining { .. }
                        | State::Stopping
                        | State::Stopped
                )
        };
        if world.killed && world.two.iter().all(left) {
            let heir = &world.two[world.owner];
            assert!(!heir.alive, "{}", seen.way(world));
            continue;
        }
        let rest = world.at_rest(now);
        let heir = &rest.two[rest.owner];
        let lost = rest.killed && !heir.alive && rest.two.iter().all(left);
        assert!(
            rest.accepts() || lost,
            "nobody accepts:\n{}",
            seen.way(world)
        );
    }
}

#[test]
fn at_most_one_of_the_two_stays_in_charge() {
    let now = Instant::now();
    let seen = explore(now, 2);
    for world in seen.worlds() {
        let rest = world.at_rest(now);
        let running = |one: &Process| one.alive && one.state == State::Running;
        assert!(
            !rest.two.iter().all(running),
            "both are in charge:\n{}",
            seen.way(world)
        );
        if let Some(who) = rest.two.iter().position(running)
            && rest.two.iter().all(|one| one.alive)
        {
            assert_eq!(who, rest.owner, "{}", seen.way(world));
        }
    }
}

#[test]
fn no_wait_is_without_a_deadline() {
    let now = Instant::now();
    let seen = explore(now, 2);
    let mut states = BTreeSet::new();
    for world in seen.worlds() {
        let rest = world.at_rest(now);
        for one in rest.two.iter().filter(|one| one.alive) {
            states.insert(one.state.number());
            let starts =
                one.state == State::Starting && !world.two[NEW].inbox.contains(&Word::Offer);
            assert!(
                one.state.until().is_some()
                    || starts
                    || matches!(one.state, State::Running | State::Stopping),
                "{:?} waits for ever:\n{}",
                one.state,
                seen.way(world)
            );
        }
    }
    assert!(states.len() >= 5, "{states:?}");
}

#[test]
fn an_upgrade_without_a_fault_ends_with_the_successor_in_charge() {
    let now = Instant::now();
    let mut world = World::new(now, 0).at_rest(now);
    assert!(matches!(world.two[OLD].state, State::Probation { .. }));
    assert!(matches!(world.two[NEW].state, State::Trial { .. }));
    world = world.after(Step::Deadline(OLD), now).at_rest(now);
    assert!(matches!(world.two[OLD].state, State::Leaving { .. }));
    assert_eq!(world.two[NEW].state, State::Running);
    assert_eq!(world.owner, NEW);
}
