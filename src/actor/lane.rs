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

/// What the worker holds of a lane.
#[derive(Clone)]
pub(super) struct Lane {
    id: Rc<str>,
    admitted: Rc<Admitted>,
    duty: Rc<Duty>,
    /// Sockets that the worker has of this listener; known when the post has none any more, too.
    sockets: usize,
    supervisor: supervisor::Slot<supervisor::Handle>,
    state: Rc<Cell<State>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It takes new connections.
    Accepting,
    /// Another process takes them.
    Paused,
    /// It accepts no more; nobody waits for its end yet.
    Draining,
    /// Somebody removes it when it is empty.
    SeenOff,
}

/// Makes a lane, and the specification by which the worker starts it.
pub(super) fn child(admitted: Rc<Admitted>, state: State, orders: &Orders) -> (Lane, ChildSpec) {
    let post = Arc::clone(admitted.post());
    let name = post.settings().name.clone();
    let duty = Duty {
        post: Arc::clone(&post),
        worker: orders.index,
        socket: 0,
        admitted: Rc::clone(&admitted),
        admission: Arc::clone(&orders.admission),
        logger: orders.logger.clone(),
    };
    let lane = Lane {
        // Two posts of one name may live at once: the old one drains.
        id: format!("lane {name} #{}", post.generation).into(),
        admitted,
        sockets: post.sockets_of(orders.index),
        duty: Rc::new(duty),
        supervisor: supervisor::Slot::default(),
        state: Rc::new(Cell::new(state)),
    };
    let (id, log) = (lane.id.to_string(), orders.log.clone());
    let held = lane.clone();
    let subtree = supervisor::Slot::<View>::default();
    let filled = subtree.clone();
    let start = move || {
        let specs = held.children();
        let (handle, life) = supervisor::start(id.clone(), POLICY, specs, log.clone());
        filled.fill(handle.view());
        held.supervisor.fill(handle);
        life
    };
    let spec = ChildSpec::permanent(lane.id.to_string(), start).supervisor(subtree);
    (lane, spec)
}

impl Lane {
    fn children(&self) -> Vec<ChildSpec> {
        let admitted = Rc::clone(&self.admitted);
        let connections = move || connections::start(Rc::clone(&admitted));
        let mut children = vec![ChildSpec::permanent("connections", connections)];
        if self.state.get() == State::Accepting {
            children.extend(self.acceptors());
        }
        children
    }

    /// One for each socket that the worker has of this listener.
    fn acceptors(&self) -> impl Iterator<Item = ChildSpec> {
        (0..self.sockets).map(|socket| {
            let duty = Duty {
                socket,
                ..Duty::clone(&self.duty)
            };
            let start = move || acceptor::start(duty.clone());
            ChildSpec::transient(acceptor_id(socket), start).shutdown(Shutdown::Drain(LAST_ACCEPTS))
        })
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

    /// Whether its listener is there: it takes new connections, or another process does.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.state.get(), State::Accepting | State::Paused)
    }

    /// Takes what is queued at the sockets, and nothing after it.
    pub(super) async fn stop_accepting(&self) {
        self.state.set(State::Draining);
        self.admitted.part();
        self.remove_acceptors().await;
    }

    /// Accepts or not, as the listener is paused or not.
    pub(super) async fn follow(&self) -> Result<(), String> {
        match (self.duty.post.is_paused(), self.state.get()) {
            (true, State::Accepting) => {
                self.state.set(State::Paused);
                self.remove_acceptors().await;
            }
            (false, State::Paused) => {
                self.state.set(State::Accepting);
                if let Some(supervisor) = self.supervisor.get() {
                    for acceptor in self.acceptors() {
                        let added = supervisor.add(acceptor).await;
                        added.map_err(|error| error.to_string())?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn remove_acceptors(&self) {
        let Some(supervisor) = self.supervisor.get() else {
            return;
        };
        for socket in 0..self.sockets {
            // A lane that is just restarting reads its state and starts no acceptor.
            let _ = supervisor.remove(&acceptor_id(socket)).await;
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

fn acceptor_id(socket: usize) -> String {
    match socket {
        0 => "acceptor".to_owned(),
        more => format!("acceptor {more}"),
    }
}
