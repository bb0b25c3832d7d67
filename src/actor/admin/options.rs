//! Where the admin door is, who may open it, and what is behind it beside the proxy.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::time::{sleep, timeout};

use super::access::Access;
use super::process::{Process, Unknown};
use crate::config::Address;
use crate::name::ListenerName;
use crate::net::{BindError, Legacy, Listening, bind, bind_private};

/// Where the admin door is, who may open it, and what is behind it.
#[derive(Clone)]
pub struct Options {
    sockets: Vec<Arc<Socket>>,
    pub(super) access: Arc<Access>,
    pub(super) process: Arc<dyn Process>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("sockets", &self.sockets)
            .finish_non_exhaustive()
    }
}

/// A socket, which outlives every life of the actor that accepts from it.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) reach: Reach,
    /// Where it is to listen, by any port perhaps.
    wanted: Address,
    /// None while somebody else listens there, or after it was let go of.
    bound: ArcSwapOption<Listening>,
    /// Connections that are being served.
    pub(super) served: AtomicUsize,
}

/// Who can reach a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Everyone on the network.
    Network,
    /// As the network, and only to scrape metrics.
    Scrape,
    /// This user and root.
    Private,
}

impl Reach {
    /// How whoever starts the process calls a socket for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "admin",
            Self::Scrape => "metrics",
            Self::Private => "control",
        }
    }

    /// How it is called where listeners are called by their names, of which none is likely to have
    /// this one: in an offer to a successor, and in the keeping of a service manager.
    fn among_listeners(self) -> ListenerName {
        format!("{} door", self.name()).as_str().into()
    }
}

/// A socket of the door that listens.
#[derive(Clone, Debug)]
pub struct DoorSocket {
    /// How it is called where listeners are called by their names.
    pub name: ListenerName,
    /// Where it is told to listen, by any port perhaps.
    pub wanted: Address,
    /// The socket; it stays open for as long as this is kept.
    pub socket: Arc<Listening>,
}

impl Socket {
    fn new(reach: Reach, wanted: Address, bound: Option<Arc<Listening>>) -> Arc<Self> {
        let bound = ArcSwapOption::new(bound);
        Arc::new(Self {
            reach,
            wanted,
            bound,
            served: AtomicUsize::new(0),
        })
    }

    /// The socket, bound if it is not.
    pub(super) fn get(&self) -> Result<Arc<Listening>, BindError> {
        if let Some(bound) = self.bound.load_full() {
            return Ok(bound);
        }
        let bound = match (&self.wanted, self.reach) {
            (Address::Unix(path), Reach::Private) => Arc::new(bind_private(path)?),
            (address, _) => {
                let mut sockets = bind(address, 1)?;
                sockets.pop().expect("one was asked for")
            }
        };
        self.bound.store(Some(Arc::clone(&bound)));
        Ok(bound)
    }

    /// Lets go of it: another process may listen there.
    pub(super) fn release(&self) {
        self.bound.store(None);
    }
}

impl Options {
    /// A door nowhere yet.
    #[must_use]
    pub fn new(access: Access) -> Self {
        Self {
            sockets: Vec::new(),
            access: Arc::new(access),
            process: Arc::new(Unknown),
        }
    }

    /// What the process around the proxy knows (default: nothing).
    #[must_use]
    pub fn process(mut self, process: Arc<dyn Process>) -> Self {
        self.process = process;
        self
    }

    /// Listens on an address too; says which: port 0 becomes a real one.
    ///
    /// A unix socket is this user's alone. When another process accepts there, its path is taken over
    /// as soon as that process does no more.
    ///
    /// # Errors
    ///
    /// When it cannot be bound, for another reason.
    pub fn listen(&mut self, reach: Reach, wanted: &Address) -> Result<Address, BindError> {
        let socket = Socket::new(reach, wanted.clone(), None);
        let found = match socket.get() {
            Ok(bound) => bound.address().clone(),
            Err(error) if reach == Reach::Private && error.kind() == ErrorKind::AddrInUse => {
                wanted.clone()
            }
            Err(error) => return Err(error),
        };
        self.sockets.push(socket);
        Ok(found)
    }

    /// Listens on an address too, as soon as nobody else does.
    pub fn listen_when_free(&mut self, reach: Reach, wanted: Address) {
        self.sockets.push(Socket::new(reach, wanted, None));
    }

    /// Listens on a socket that is there already: the one at this address, else the one that was
    /// this door's, or is `called` so by whoever starts the process. Says where it is; `None` when
    /// there is none.
    pub fn listen_on_given(
        &mut self,
        reach: Reach,
        wanted: &Address,
        called: Option<&str>,
        given: &mut Legacy,
    ) -> Option<Address> {
        let name = reach.among_listeners();
        let claimed = match called {
            Some(called) => given.claim_called(called, &name, wanted),
            None => given.claim(&name, wanted),
        };
        let socket = claimed?.sockets.pop()?;
        let found = socket.address().clone();
        self.sockets
            .push(Socket::new(reach, wanted.clone(), Some(socket)));
        Some(found)
    }

    pub(super) fn sockets(&self) -> &[Arc<Socket>] {
        &self.sockets
    }

    /// The sockets that listen, to be handed over or kept.
    pub(in crate::actor) fn bound(&self) -> Vec<DoorSocket> {
        let door_socket = |one: &Arc<Socket>| {
            Some(DoorSocket {
                name: one.reach.among_listeners(),
                wanted: one.wanted.clone(),
                socket: one.bound.load_full()?,
            })
        };
        self.sockets.iter().filter_map(door_socket).collect()
    }

    /// Takes those of a predecessor that listen where this door is to.
    pub(in crate::actor) fn adopt(&self, legacy: &mut Legacy) {
        for socket in self.sockets.iter().filter(|one| one.bound.load().is_none()) {
            let claimed = legacy.claim(&socket.reach.among_listeners(), &socket.wanted);
            socket
                .bound
                .store(claimed.and_then(|mut claimed| claimed.sockets.pop()));
        }
    }

    /// Makes the files of sockets that were a predecessor's this process' own.
    pub(in crate::actor) fn own(&self) {
        self.bound().iter().for_each(|one| one.socket.own());
    }

    /// Leaves the sockets to a successor, which has them too.
    pub(in crate::actor) fn leave(&self) {
        self.bound().iter().for_each(|one| one.socket.disown());
        self.sockets.iter().for_each(|socket| socket.release());
    }

    /// Waits for so long until nobody is served any more.
    pub(in crate::actor) async fn served(&self, within: Duration) {
        let is_idle = |socket: &Arc<Socket>| socket.served.load(Ordering::Relaxed) == 0;
        let idle = async {
            while !self.sockets.iter().all(is_idle) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        // Who takes longer than that is cut.
        let _ = timeout(within, idle).await;
    }
}
