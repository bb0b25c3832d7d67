//! What an upgrade has led to so far. It belongs to the root, so that it outlives the actor.

use std::cell::{Cell, OnceCell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;

use super::launch::Parent;
use super::outcomes::Outcomes;
use super::{Holdings, Inheritance, Upgrades};
use crate::actor::accounts::Word;
use crate::actor::checks::Charts;
use crate::actor::clusters::Found;
use crate::actor::mover::{self, Mover, Offered};
use crate::lifecycle::{self, Event, State};
use crate::net::{Control, DirectoryLock, Listening, Talk, is_anyone_in_charge};
use crate::protocol::handover::{Offer, Shown, Statement};

/// Words and events that wait; more than an upgrade has.
const QUEUE: usize = 64;

/// How long the lock of the control directory may take; whoever has it has it for a moment.
pub(super) const LOCK_WITHIN: Duration = Duration::from_secs(2);

/// How long a process that was killed may take to let go of its control socket.
const DIES_WITHIN: Duration = Duration::from_secs(1);

/// What is told up to the root.
#[derive(Debug)]
pub(crate) enum Told {
    /// Something that the lifecycle decides on.
    Event(Event),
    /// The successor has these of the listeners that were offered.
    Prepared(Vec<usize>),
    /// The predecessor knows this of hosts.
    Shown(Box<Shown>),
    /// The hosts are this process' to probe.
    Probe,
    /// The predecessor has counted this.
    Counted(Statement),
    /// It will tell nothing more.
    Concluded,
    /// The predecessor goes on by itself, for this reason.
    Kept(String),
}

/// What the root lets say.
#[derive(Debug)]
pub(crate) enum Command {
    /// Everything that there is, the sockets, what is known of hosts, and what was counted.
    Offer(Box<Offer>, Vec<Arc<Listening>>, Vec<Shown>, Vec<Statement>),
    /// A word; the successor's `Prepared` comes with the listeners that it has.
    Say(lifecycle::Word, Vec<usize>),
    /// Say why there will be no upgrade, and end the talk.
    Refuse(String),
    /// End the talk, unless the other one is in charge.
    HangUp,
}

/// How far a process is with moving its connections to its successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// There is no successor in charge.
    Before,
    /// They move.
    Moving,
    /// None is left, which the successor is to be told.
    Finishing,
    /// None moves any more.
    Over,
}

/// How long a successor may take to hear that nothing more will come, and what thousands of hosts
/// have counted last.
const HEARS_WITHIN: Duration = Duration::from_secs(5);

/// What the predecessor has handed over.
pub(crate) struct Estate {
    /// What it has offered.
    pub(crate) offer: Offer,
    /// The sockets of that.
    pub(crate) sockets: Vec<OwnedFd>,
    /// What it knows of hosts.
    pub(crate) shown: Shown,
    /// What it has counted.
    pub(crate) counted: Vec<Statement>,
}

/// What an upgrade has led to so far.
pub(crate) struct Desk {
    pub(super) options: Upgrades,
    pub(super) log: slog::Logger,
    /// Where the process is in its life, as the root has it.
    pub(super) state: Rc<Cell<State>>,
    /// The talk with the predecessor, until the actor takes it up.
    pub(super) predecessor: RefCell<Option<Talk>>,
    /// Since when there is a talk, and with which process.
    pub(super) talking: Cell<Option<(u32, Instant)>>,
    /// What has become of upgrades.
    pub(super) outcomes: Outcomes,
    pub(super) parent: Parent,
    /// By what a connection from the predecessor finds its place.
    pub(super) holdings: OnceCell<Holdings>,
    /// How far this process is with moving its connections to a successor.
    pub(super) phase: watch::Sender<Phase>,
    /// Where they are offered.
    offers: RefCell<Option<mpsc::Sender<Offered>>>,
    control: RefCell<Option<Rc<Control>>>,
    charge: watch::Sender<bool>,
    commands: RefCell<Option<mpsc::Sender<Command>>>,
    gone: Notify,
    told: mpsc::Sender<Told>,
}

impl Desk {
    /// A desk, and what will be told from it. With an inheritance, this process is a successor:
    /// its offer and its sockets are returned too.
    pub(crate) fn new(
        options: Upgrades,
        state: Rc<Cell<State>>,
        inheritance: Option<Inheritance>,
        log: slog::Logger,
    ) -> (Rc<Self>, mpsc::Receiver<Told>, Option<Estate>) {
        let (told, hears) = mpsc::channel(QUEUE);
        let (talk, offer) = match inheritance {
            None => (None, None),
            Some(Inheritance {
                talk,
                offer,
                sockets,
                shown,
                counted,
            }) => {
                let estate = Estate {
                    offer,
                    sockets,
                    shown,
                    counted,
                };
                (Some(talk), Some(estate))
            }
        };
        let desk = Self {
            options,
            log,
            state,
            predecessor: RefCell::new(talk),
            talking: Cell::new(None),
            outcomes: Outcomes::default(),
            parent: Parent::default(),
            holdings: OnceCell::new(),
            phase: watch::Sender::new(Phase::Before),
            offers: RefCell::default(),
            control: RefCell::default(),
            charge: watch::Sender::new(false),
            commands: RefCell::default(),
            gone: Notify::new(),
            told,
        };
        (Rc::new(desk), hears, offer)
    }

    /// Says by what connections from a predecessor find their places.
    pub(crate) fn furnish(&self, holdings: Holdings) {
        // It is done once, when the process starts.
        let _ = self.holdings.set(holdings);
    }

    /// What is known of hosts, in parts that fit into a message each.
    pub(crate) fn found(&self) -> Vec<Shown> {
        let holdings = self.holdings.get();
        holdings.map_or_else(Vec::new, |holdings| holdings.findings.parts())
    }

    /// Begins to tell a successor what was counted: all of it, in parts that fit into a message each.
    pub(crate) fn open_accounts(&self) -> Vec<Statement> {
        let holdings = self.holdings.get();
        holdings.map_or_else(Vec::new, |holdings| holdings.accounts.open())
    }

    /// What was counted since the successor was last told.
    pub(super) fn counted(&self, word: Word) -> Vec<Statement> {
        let holdings = self.holdings.get();
        holdings.map_or_else(Vec::new, |holdings| holdings.accounts.news(word))
    }

    /// The predecessor has offered these listeners, and counted so much.
    pub(crate) fn take_accounts(&self, offered: Vec<String>, counted: &[Statement]) {
        if let Some(holdings) = self.holdings.get() {
            holdings.accounts.expect(offered);
            counted
                .iter()
                .for_each(|statement| holdings.accounts.credit(statement));
        }
    }

    /// The predecessor has counted so much.
    pub(crate) fn credit(&self, statement: &Statement) {
        if let Some(holdings) = self.holdings.get() {
            holdings.accounts.credit(statement);
        }
    }

    /// The predecessor will tell nothing more.
    pub(crate) fn conclude(&self) {
        if let Some(holdings) = self.holdings.get() {
            holdings.accounts.conclude();
        }
    }

    /// What a predecessor knows of the hosts that are here too.
    pub(crate) fn found_in(&self, shown: &Shown) -> (Vec<Found>, Charts) {
        let holdings = self.holdings.get();
        holdings.map_or_else(Default::default, |holdings| holdings.findings.of(shown))
    }

    /// Has connections move to a successor that has taken over; what is offered comes here.
    pub(super) fn begin_moves(&self) -> mpsc::Receiver<Offered> {
        let (sender, offers) = mover::queue();
        self.offers.replace(Some(sender));
        self.phase.send_replace(Phase::Moving);
        offers
    }

    /// How the connections move of the listener at this place of what was offered; `None` when they
    /// cannot.
    pub(crate) fn mover(&self, place: usize) -> Option<Mover> {
        let offers = self.offers.borrow().clone();
        offers.map(|offers| Mover::new(place, offers))
    }

    /// Has the successor told that nothing more will come, and waits a moment until it is.
    pub(crate) async fn finish_moves(&self) {
        let finishes = |phase: &mut Phase| {
            let moves = *phase == Phase::Moving;
            if moves {
                *phase = Phase::Finishing;
            }
            moves
        };
        if self.phase.send_if_modified(finishes) {
            let mut phase = self.phase.subscribe();
            let over = phase.wait_for(|phase| *phase == Phase::Over);
            let _ = timeout(HEARS_WITHIN, over).await;
        }
    }

    /// Opens the control socket, which is not in charge yet.
    ///
    /// # Errors
    ///
    /// In words, when the directory cannot be written.
    pub(crate) fn open(&self) -> Result<(), String> {
        let directory = &self.options.directory;
        let control = Control::open(directory).map_err(|error| {
            let path = Control::path_in(directory);
            format!("control socket {}: {error}", path.display())
        })?;
        self.control.replace(Some(Rc::new(control)));
        Ok(())
    }

    /// Puts this process in charge, unless another one is; whether it is in charge then.
    ///
    /// # Errors
    ///
    /// In words, when that cannot be told or done.
    pub(crate) async fn take_charge(&self) -> Result<bool, String> {
        let directory = &self.options.directory;
        let control = self.control().ok_or("there is no control socket")?;
        if !control.is_in_charge() {
            let lock = DirectoryLock::take(directory, LOCK_WITHIN).await;
            let lock = lock.map_err(|error| format!("{}: {error}", directory.display()))?;
            if is_anyone_in_charge(directory).unwrap_or(true) {
                return Ok(false);
            }
            let taken = control.take_charge(&lock);
            taken.map_err(|error| format!("control socket: {error}"))?;
        }
        self.charge.send_replace(true);
        Ok(true)
    }

    /// As the successor, takes over from a predecessor that said so and has not hung up since.
    ///
    /// # Errors
    ///
    /// In words; the predecessor is in charge then.
    pub(super) async fn take_over(&self, talk: &Talk) -> Result<(), String> {
        let directory = &self.options.directory;
        let control = self.control().ok_or("there is no control socket")?;
        let lock = DirectoryLock::take(directory, LOCK_WITHIN).await;
        let lock = lock.map_err(|error| format!("{}: {error}", directory.display()))?;
        // It hangs up under the same lock: what is seen now stays so.
        if talk.is_closed() && is_anyone_in_charge(directory).unwrap_or(true) {
            return Err("the predecessor has hung up".to_owned());
        }
        let taken = control.take_charge(&lock);
        taken.map_err(|error| format!("control socket: {error}"))
    }

    /// Lets the control socket go: another process is in charge, and the file is that one's.
    pub(crate) fn leave(&self) {
        self.control.replace(None);
        self.gone.notify_waiters();
    }

    /// Says something to the other process, if there is one.
    pub(crate) fn command(&self, command: Command) {
        let commands = self.commands.borrow().clone();
        if let Some(commands) = commands {
            // A talk that has as many words to say does not say them, and will be given up.
            let _ = commands.try_send(command);
        }
    }

    /// Has the other process told why there will be no upgrade, and waits a moment until it is.
    pub(crate) async fn refuse(&self, reason: String) {
        self.command(Command::Refuse(reason));
        let told = async {
            while self.is_talking() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let _ = timeout(LOCK_WITHIN, told).await;
    }

    /// Ends the talk, unless the other process is in charge, and tells the root which.
    pub(crate) async fn hang_up(self: Rc<Self>) {
        if self.is_talking() {
            return self.command(Command::HangUp);
        }
        self.resume().await;
    }

    pub(crate) fn is_talking(&self) -> bool {
        self.talking.get().is_some()
    }

    /// Notes that there is a talk, and hands out what is to be said in it.
    pub(super) fn begin(&self, pid: u32) -> mpsc::Receiver<Command> {
        let (commands, receiver) = mpsc::channel(QUEUE);
        self.commands.replace(Some(commands));
        self.talking.set(Some((pid, Instant::now())));
        receiver
    }

    /// Notes that the talk is over.
    pub(super) fn end(&self) {
        self.commands.replace(None);
        self.talking.set(None);
    }

    pub(super) async fn tell(&self, told: Told) {
        // The root outlives whoever tells it anything.
        let _ = self.told.send(told).await;
    }

    pub(super) async fn event(&self, event: Event) {
        self.tell(Told::Event(event)).await;
    }

    pub(super) fn control(&self) -> Option<Rc<Control>> {
        self.control.borrow().clone()
    }

    /// Waits until this process is in charge.
    pub(super) async fn in_charge(&self) {
        let mut charge = self.charge.subscribe();
        // The sender is ours.
        let _ = charge.wait_for(|charge| *charge).await;
    }

    /// Waits until this process lets its control socket go, or opens it anew.
    pub(super) async fn left(&self) {
        self.gone.notified().await;
    }

    /// Finds out who is in charge after a talk has ended, and tells.
    pub(super) async fn resume(self: Rc<Self>) {
        self.end();
        match self.state.get() {
            State::Waiting { .. } | State::Trial { .. } | State::Starting => {
                let told = self
                    .after_predecessor("the talk with the predecessor was lost")
                    .await;
                self.tell(told).await;
            }
            _ => {
                let event = self.part(None).await;
                self.event(event).await;
            }
        }
    }

    /// Parts from a successor that was heard last, and says who is in charge.
    ///
    /// It looks and hangs up under the lock under which a successor looks and takes over: who is
    /// first decides.
    pub(super) async fn part(&self, talk: Option<Talk>) -> Event {
        let directory = &self.options.directory;
        // Without it the look is as good as it can be.
        let lock = DirectoryLock::take(directory, LOCK_WITHIN).await;
        let ours = self.control().is_some_and(|control| control.is_in_charge());
        if !ours && is_anyone_in_charge(directory).unwrap_or(false) {
            return Event::SuccessorCommitted;
        }
        drop(talk);
        if !ours && let Err(reason) = self.reopen(lock) {
            slog::error!(self.log, "[reconfigure] no successor can find this process: {reason}"; "tag" => "server");
        }
        Event::SuccessorLost
    }

    /// Takes charge again after a successor that had taken it and died.
    fn reopen(&self, lock: std::io::Result<DirectoryLock>) -> Result<(), String> {
        let lock = lock.map_err(|error| error.to_string())?;
        self.open()?;
        let control = self.control().ok_or("there is no control socket")?;
        let taken = control.take_charge(&lock);
        taken.map_err(|error| error.to_string())?;
        // Who accepts at the file that is gone looks for this one.
        self.gone.notify_waiters();
        Ok(())
    }

    /// Who is in charge, after the predecessor was heard last.
    pub(super) async fn after_predecessor(&self, why: &str) -> Told {
        if self.control().is_some_and(|control| control.is_in_charge()) {
            return Told::Event(Event::TookOver);
        }
        // Its descriptors are closed one after the other as it dies.
        let deadline = Instant::now() + DIES_WITHIN;
        while Instant::now() < deadline {
            if is_anyone_in_charge(&self.options.directory).is_ok_and(|anyone| !anyone) {
                return Told::Event(Event::PredecessorGone);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Told::Kept(why.to_owned())
    }
}
