//! A lane: one listener on one worker, its acceptor and its connections.
//!
//! Connections start first: nobody is admitted while no one looks after them. What is admitted
//! belongs to the hall, so that neither of the two, nor the lane, costs a connection when it dies.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::actor::acceptor::{self, Duty};
use crate::actor::connections::{self, Admitted};
use crate::actor::supervisor::{self, ChildSpec, View};
use crate::actor::worker::Orders;
use crate::supervise::{Policy, Shutdown, Strategy};

/// A lane gives up when acceptor and connections fail so often; its worker starts it again.
const POLICY: Policy = Policy {
    strategy: Strategy::OneForOne,
    max_restarts: 10,
    within: Duration::from_secs(10),
};

/// How long an acceptor may take to accept what is queued once it is asked to stop.
const LAST_ACCEPTS: Duration = Duration::from_secs(1);

const ACCEPTOR: &str = "acceptor";

/// What the worker holds of a lane.
#[derive(Clone)]
pub(super) struct Lane {
    id: Rc<str>,
    admitted: Rc<Admitted>,
    supervisor: supervisor::Slot<supervisor::Handle>,
    state: Rc<Cell<State>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It takes new connections.
    Accepting,
    /// It accepts no more; nobody waits for its end yet.
    Draining,
    /// Somebody removes it when it is empty.
    SeenOff,
}

/// Makes a lane, and the specification by which the worker starts it.
pub(super) fn child(admitted: Rc<Admitted>, state: State, orders: &Orders) -> (Lane, ChildSpec) {
    let post = Arc::clone(admitted.post());
    let name = post.settings().name.clone();
    let lane = Lane {
        // Two posts of one name may live at once: the old one drains.
        id: format!("lane {name} #{}", post.generation).into(),
        admitted,
        supervisor: supervisor::Slot::default(),
        state: Rc::new(Cell::new(state)),
    };
    let duty = Duty {
        post,
        worker: orders.index,
        admitted: Rc::clone(&lane.admitted),
        admission: Arc::clone(&orders.admission),
        logger: orders.logger.clone(),
    };
    let (id, log) = (lane.id.to_string(), orders.log.clone());
    let held = lane.clone();
    let subtree = supervisor::Slot::<View>::default();
    let filled = subtree.clone();
    let start = move || {
        let specs = held.children(&duty);
        let (handle, life) = supervisor::start(id.clone(), POLICY, specs, log.clone());
        filled.fill(handle.view());
        held.supervisor.fill(handle);
        life
    };
    let spec = ChildSpec::permanent(lane.id.to_string(), start).supervisor(subtree);
    (lane, spec)
}

impl Lane {
    fn children(&self, duty: &Duty) -> Vec<ChildSpec> {
        let admitted = Rc::clone(&self.admitted);
        let connections = move || connections::start(Rc::clone(&admitted));
        let mut children = vec![ChildSpec::permanent("connections", connections)];
        if self.accepts() {
            let duty = duty.clone();
            let acceptor = ChildSpec::transient(ACCEPTOR, move || acceptor::start(duty.clone()));
            children.push(acceptor.shutdown(Shutdown::Drain(LAST_ACCEPTS)));
        }
        children
    }

    /// The id under which the worker's supervisor knows it.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// That of its post.
    pub(super) fn generation(&self) -> u64 {
        self.admitted.post().generation
    }

    /// Its connections.
    pub(super) fn admitted(&self) -> &Admitted {
        &self.admitted
    }

    /// Whether it takes new connections.
    pub(super) fn accepts(&self) -> bool {
        self.state.get() == State::Accepting
    }

    /// Takes what is queued at the socket, and nothing after it.
    pub(super) async fn stop_accepting(&self) {
        self.state.set(State::Draining);
        self.admitted.say_goodbye();
        if let Some(supervisor) = self.supervisor.get() {
            // A lane that is just restarting reads its state and starts no acceptor.
            let _ = supervisor.remove(ACCEPTOR).await;
        }
    }

    /// Whether the caller is the first to watch over the end of this draining lane.
    pub(super) fn watch(&self) -> bool {
        self.state.replace(State::SeenOff) == State::Draining
    }

    /// Gives the watch back: the one who held it is gone.
    pub(super) fn unwatch(&self) {
        self.state.set(State::Draining);
    }
}
