//! What the root does of an upgrade: offering what it owns, pausing and resuming listeners, and
//! taking or leaving charge.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use actix::prelude::*;
use tokio::sync::{mpsc, watch};

use super::house::House;
use super::means::{door, listener, opened};
use super::{ApplyError, Handle, Options, Root};
use crate::actor::listeners::{Edition, Inherited, Post};
use crate::actor::slot::Slot;
use crate::actor::supervisor::ChildSpec;
use crate::actor::upgrade::{self, Command, Desk, Inheritance, Told};
use crate::lifecycle::Event;
use crate::lifecycle::{Effect, State, Times, Word};
use crate::net::Legacy;
use crate::protocol::handover::{Offer, Shown, Statement, VersionOffer};

/// How long the successor may take to say that it has taken over.
const COMMITS_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);

/// Whether this process is the one that others find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Charge {
    /// It is.
    Ours,
    /// It is not yet.
    Pending,
    /// It will not be: the predecessor goes on by itself, for this reason.
    Predecessors(String),
    /// It is not any more: its successor is.
    Successors,
}

/// What the root owns of an upgrade.
pub(super) struct Succession {
    /// Without a control directory there is none.
    pub(super) desk: Option<Rc<Desk>>,
    pub(super) upgrade: Slot<upgrade::Handle>,
    pub(super) charge: watch::Sender<Charge>,
    /// What the predecessor has handed over and no listener has claimed yet.
    pub(super) inherited: Inherited,
    /// What the predecessor knows of hosts, until they are there.
    shown: RefCell<Shown>,
    /// The listeners that the predecessor has offered, and what it has counted, until they are there.
    counted: RefCell<(Vec<String>, Vec<Statement>)>,
    /// What the desk tells, until the root hears it.
    told: RefCell<Option<mpsc::Receiver<Told>>>,
    is_successor: bool,
    /// The version that the predecessor runs.
    version: Option<VersionOffer>,
    /// Effects are carried out one after the other.
    pub(super) effects: tokio::sync::Mutex<()>,
    /// What the successor was offered, and what of it the successor has.
    offered: RefCell<Vec<Arc<Post>>>,
    adopted: RefCell<Vec<usize>>,
}

impl Succession {
    /// # Errors
    ///
    /// When what was inherited is not what was offered.
    pub(super) fn new(
        options: &Options,
        state: &Rc<Cell<State>>,
        inheritance: Option<Inheritance>,
        given: Legacy,
    ) -> Result<Self, std::io::Error> {
        let is_successor = inheritance.is_some();
        let (desk, told, offer) = match options.upgrades.clone() {
            None => (None, None, None),
            Some(upgrades) => {
                let (state, log) = (Rc::clone(state), options.log.clone());
                let (desk, told, offer) = Desk::new(upgrades, state, inheritance, log);
                (Some(desk), Some(told), offer)
            }
        };
        let version = offer.as_ref().and_then(|estate| estate.offer.running);
        let (mut legacy, shown, counted) = match offer {
            Some(estate) => opened(estate)?,
            None => Default::default(),
        };
        legacy.join(given);
        if let Some(admin) = &options.admin {
            admin.adopt(&mut legacy);
        }
        Ok(Self {
            desk,
            upgrade: Slot::default(),
            charge: watch::Sender::new(Charge::Pending),
            inherited: Rc::new(RefCell::new(legacy)),
            shown: RefCell::new(shown),
            counted: RefCell::new(counted),
            told: RefCell::new(told),
            is_successor,
            version,
            effects: tokio::sync::Mutex::default(),
            offered: RefCell::default(),
            adopted: RefCell::default(),
        })
    }

    /// Talks to other processes, and is started last: it asks all others.
    pub(super) fn spec(&self) -> Option<ChildSpec> {
        let desk = Rc::clone(self.desk.as_ref()?);
        let upgrade = self.upgrade.clone();
        Some(ChildSpec::permanent("upgrade", move || {
            upgrade::start(Rc::clone(&desk), &upgrade)
        }))
    }

    /// The version that the predecessor runs.
    pub(super) fn version(&self) -> Option<VersionOffer> {
        self.version
    }

    /// Whether the process was started beside another one that hands over to it.
    pub(super) fn is_successor(&self) -> bool {
        self.is_successor
    }
}

impl House {
    pub(super) fn times(&self) -> Times {
        let upgrades = self.options.upgrades.as_ref();
        let probation = upgrades.map(|upgrades| upgrades.probation);
        Times {
            handover: upgrades
                .map(|upgrades| upgrades.timeout)
                .unwrap_or_default(),
            probation: probation.unwrap_or_default(),
            commit: COMMITS_WITHIN,
            drain: self.options.drain_time,
            pre_drain: self.options.pre_drain,
        }
    }

    /// The first plan is carried out: opens the control socket, and takes charge where nobody is in
    /// charge to say when.
    pub(super) async fn open_door(&self) -> Result<(), ApplyError> {
        self.started().await?;
        let Succession {
            desk, is_successor, ..
        } = &self.succession;
        // What nobody has claimed is the predecessor's to drain, or of no use.
        let unclaimed = self.succession.inherited.replace(Legacy::default());
        for (name, address) in unclaimed.unused() {
            slog::warn!(self.options.log, "the socket `{name}` at {address} that was given is closed: nothing is to listen there"; "tag" => "listener");
        }
        let shown = self.succession.shown.take();
        self.inherit(&shown).await;
        let (offered, counted) = self.succession.counted.take();
        if let Some(desk) = desk {
            desk.take_accounts(offered, &counted);
        }
        let Some(desk) = desk else {
            self.succession.charge.send_replace(Charge::Ours);
            return Ok(());
        };
        let step = |reason| ApplyError::Step {
            step: "upgrade",
            reason,
        };
        match desk.open() {
            Ok(()) if *is_successor => return Ok(()),
            // The predecessor could not be replaced by one that nobody can replace.
            Err(reason) if *is_successor => return Err(step(reason)),
            Ok(()) => match desk.take_charge().await {
                Ok(true) => {}
                Ok(false) => return Err(step("another process was faster".to_owned())),
                Err(reason) => self.say_unreachable(&reason),
            },
            Err(reason) => self.say_unreachable(&reason),
        }
        self.succession.charge.send_replace(Charge::Ours);
        Ok(())
    }

    fn say_unreachable(&self, reason: &str) {
        slog::warn!(self.options.log, "[reconfigure] no successor can take over: {reason}"; "tag" => "server");
    }

    /// Carries effects out in their order, and after those of earlier events.
    pub(super) async fn perform_in_turn(&self, effects: Vec<Effect>) {
        let _turn = self.succession.effects.lock().await;
        let Some(desk) = &self.succession.desk else {
            return;
        };
        for effect in effects {
            if let Err(error) = self.perform_one(desk, effect).await {
                slog::error!(self.options.log, "[reconfigure] {error}"; "tag" => "server");
                desk.refuse(error.to_string()).await;
                return;
            }
        }
    }

    async fn perform_one(&self, desk: &Rc<Desk>, effect: Effect) -> Result<(), ApplyError> {
        match effect {
            Effect::Accept => {
                self.board.release();
                let resumed = Vec::clone(&self.board.posts());
                self.publish(Edition {
                    resumed,
                    ..Edition::default()
                })
                .await
            }
            Effect::HangUp => {
                self.hang_up(desk).await;
                Ok(())
            }
            Effect::Pause => {
                let paused = self.adopted();
                self.publish(Edition {
                    paused,
                    ..Edition::default()
                })
                .await
            }
            Effect::Resume => self.resume().await,
            Effect::Say(Word::Offer) => self.offer(desk).await,
            Effect::Say(Word::Commit) => {
                self.commit(desk).await;
                Ok(())
            }
            Effect::Say(word) => {
                desk.command(Command::Say(word, self.inherited_places()));
                Ok(())
            }
            // Lanes look by which way their connections leave, and this one is closed.
            Effect::SayGoodbye => self.reconcile().await,
            Effect::TakeCharge => {
                self.take_charge(desk).await;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn resume(&self) -> Result<(), ApplyError> {
        let resumed = Edition {
            resumed: self.adopted(),
            ..Edition::default()
        };
        slog::info!(self.options.log, "resume state changed to running"; "tag" => "stagemanager");
        self.checks.take_back();
        self.publish(resumed).await?;
        // The successor may have put its own name into the files.
        self.succession.charge.send_replace(Charge::Ours);
        Ok(())
    }

    /// Has the successor take over, once the admin door has answered whom it has let in: whoever asks
    /// twice must not see fewer counts the second time. Whoever is in charge probes, and until that is
    /// known nobody does.
    async fn commit(&self, desk: &Desk) {
        self.checks.hand_over().await;
        self.admin_served().await;
        if matches!(self.state.get(), State::Committing { .. }) {
            desk.command(Command::Say(Word::Commit, Vec::new()));
        }
    }

    /// Offers every listener that has sockets.
    async fn offer(&self, desk: &Desk) -> Result<(), ApplyError> {
        // A change that is being carried out is waited for.
        let _turn = self.turn.lock().await;
        let running = Some(self.version_offered()?);
        let mut posts = Vec::clone(&self.board.posts());
        posts.retain(|post| !post.sockets().is_empty());
        let mut listeners: Vec<_> = posts.iter().map(listener).collect();
        let mut sockets: Vec<_> = posts.iter().flat_map(|post| post.sockets()).collect();
        let doors = self.options.admin.iter().flat_map(|admin| admin.bound());
        for one in doors {
            listeners.push(door(&one));
            sockets.push(one.socket);
        }
        self.succession.offered.replace(posts);
        self.succession.adopted.take();
        let probation = self.times().probation;
        let (parts, counted) = (desk.found(), desk.open_accounts());
        let offer = Offer {
            pid: std::process::id(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            probation_millis: u64::try_from(probation.as_millis()).unwrap_or(u64::MAX),
            listeners,
            running,
            parts: parts.len(),
            statements: counted.len(),
        };
        desk.command(Command::Offer(Box::new(offer), sockets, parts, counted));
        Ok(())
    }

    /// Notes which of the offered listeners the successor has.
    fn note_adopted(&self, adopted: Vec<usize>) {
        self.succession.adopted.replace(adopted);
    }

    /// The listeners that the successor has, too.
    fn adopted(&self) -> Vec<Arc<Post>> {
        let offered = self.succession.offered.borrow();
        let adopted = self.succession.adopted.borrow();
        let posts = adopted.iter().filter_map(|&place| offered.get(place));
        posts.cloned().collect()
    }

    async fn take_charge(&self, desk: &Desk) {
        for post in self.board.posts().iter() {
            post.sockets().iter().for_each(|socket| socket.own());
        }
        if let Some(admin) = &self.options.admin {
            admin.own();
        }
        match desk.take_charge().await {
            Ok(true) => {}
            Ok(false) => self.say_unreachable("another process was faster"),
            Err(reason) => self.say_unreachable(&reason),
        }
        self.succession.charge.send_replace(Charge::Ours);
    }

    /// Leaves what the successor has to the successor: files of sockets, the control socket, and, as
    /// they come to rest, connections.
    pub(super) fn leave(&self) {
        if let Some(desk) = &self.succession.desk {
            let offered = self.succession.offered.borrow();
            for &place in self.succession.adopted.borrow().iter() {
                if let (Some(post), Some(mover)) = (offered.get(place), desk.mover(place)) {
                    post.move_by(mover);
                }
            }
        }
        for post in self.adopted() {
            post.sockets().iter().for_each(|socket| socket.disown());
        }
        if let Some(admin) = &self.options.admin {
            admin.leave();
        }
        if let Some(desk) = &self.succession.desk {
            desk.leave();
        }
        self.succession.charge.send_replace(Charge::Successors);
    }
}

impl Root {
    /// Takes what the desk tells from now on.
    pub(super) fn hear_of_upgrades(&self, ctx: &mut Context<Self>) {
        if let Some(told) = self.house.succession.told.take() {
            let told = futures::stream::unfold(told, async |mut told| {
                let next = told.recv().await?;
                Some((next, told))
            });
            ctx.add_stream(told);
        }
    }
}

impl StreamHandler<Told> for Root {
    fn handle(&mut self, told: Told, ctx: &mut Context<Self>) {
        match told {
            Told::Event(event) => self.happen(event, ctx),
            Told::Shown(shown) => {
                let house = Rc::clone(&self.house);
                ctx.spawn(async move { house.inherit(&shown).await }.into_actor(self));
            }
            Told::Probe => {
                let house = Rc::clone(&self.house);
                ctx.spawn(async move { house.probe().await }.into_actor(self));
            }
            Told::Counted(statement) => self.house.credit(&statement),
            Told::Concluded => self.house.conclude(),
            Told::Prepared(adopted) => {
                self.house.note_adopted(adopted);
                self.happen(Event::SuccessorPrepared, ctx);
            }
            Told::Kept(reason) => {
                slog::error!(self.house.options.log, "[reconfigure] the predecessor goes on by itself: {reason}";
                    "tag" => "server");
                let charge = Charge::Predecessors(reason);
                self.house.succession.charge.send_replace(charge);
                self.happen(Event::PredecessorKept, ctx);
            }
        }
    }

    // The desk is the house's, and tells as long as there is a root.
    fn finished(&mut self, _: &mut Context<Self>) {}
}

impl Handle {
    /// Starts a successor by the launcher; the log says what becomes of it.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] when the tree has ended or knows no upgrades.
    pub async fn upgrade(&self) -> Result<(), ApplyError> {
        let begun = self.0.send(BeginUpgrade).await;
        begun.unwrap_or(Err(ApplyError::Ended))
    }

    /// Whether this process is the one that others find. It is told anew when files may say
    /// something else.
    #[must_use]
    pub fn charge(&self) -> watch::Receiver<Charge> {
        self.2.clone()
    }

    /// Why the predecessor goes on instead of this process, if so.
    #[must_use]
    pub fn superseded(&self) -> Option<String> {
        match &*self.2.borrow() {
            Charge::Predecessors(reason) => Some(reason.clone()),
            Charge::Ours | Charge::Pending | Charge::Successors => None,
        }
    }
}

#[derive(Message)]
#[rtype(result = "Result<(), ApplyError>")]
struct BeginUpgrade;

impl Handler<BeginUpgrade> for Root {
    type Result = ResponseActFuture<Self, Result<(), ApplyError>>;

    fn handle(&mut self, BeginUpgrade: BeginUpgrade, _: &mut Context<Self>) -> Self::Result {
        let house = Rc::clone(&self.house);
        let begun = async move {
            if house.succession.desk.is_none() {
                let reason = "there is no control directory".to_owned();
                let step = "upgrade";
                return Err(ApplyError::Step { step, reason });
            }
            let begun = upgrade::launch(&house.succession.upgrade).await;
            begun.map_err(ApplyError::step("upgrade"))
        };
        Box::pin(begun.into_actor(self))
    }
}
