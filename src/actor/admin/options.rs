//! Where the admin door is, who may open it, and what is behind it beside the proxy.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::time::{sleep, timeout};

use super::access::Access;
use super::process::{Process, Unknown};
use crate::config::Address;
use crate::net::{BindError, Legacy, Listening, bind, bind_private};

/// How the sockets of the door are called where those of listeners are handed over.
pub(in crate::actor) const DOOR: &str = "admin door";

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
    address: Address,
    /// None while somebody else listens there, or after it was let go of.
    bound: ArcSwapOption<Listening>,
    /// Connections that are being served.
    pub(super) served: AtomicUsize,
}

/// Who can reach a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    Network,
    /// As the network, and only to scrape metrics.
    Scrape,
    /// This user and root.
    Private,
}

impl Socket {
    fn new(reach: Reach, address: Address, bound: Option<Arc<Listening>>) -> Arc<Self> {
        let bound = ArcSwapOption::new(bound);
        Arc::new(Self {
            reach,
            address,
            bound,
            served: AtomicUsize::new(0),
        })
    }

    /// The socket, bound if it is not.
    pub(super) fn get(&self) -> Result<Arc<Listening>, BindError> {
        if let Some(bound) = self.bound.load_full() {
            return Ok(bound);
        }
        let bound = match (&self.address, self.reach) {
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
    /// # Errors
    ///
    /// When it cannot be bound.
    pub fn listen(&mut self, address: &Address) -> Result<Address, BindError> {
        self.listen_for(Reach::Network, address)
    }

    /// Listens for those who scrape metrics, and answers nothing else there.
    ///
    /// # Errors
    ///
    /// As [`Self::listen`].
    pub fn listen_for_scrapes(&mut self, address: &Address) -> Result<Address, BindError> {
        self.listen_for(Reach::Scrape, address)
    }

    /// As [`Self::listen_for_scrapes`], as soon as nobody else listens there.
    pub fn listen_for_scrapes_when_free(&mut self, address: Address) {
        self.sockets.push(Socket::new(Reach::Scrape, address, None));
    }

    fn listen_for(&mut self, reach: Reach, address: &Address) -> Result<Address, BindError> {
        let mut sockets = bind(address, 1)?;
        let socket = sockets.pop().expect("one was asked for");
        let found = socket.address().clone();
        self.sockets
            .push(Socket::new(reach, found.clone(), Some(socket)));
        Ok(found)
    }

    /// Listens on an address too, as soon as nobody else does.
    pub fn listen_when_free(&mut self, address: Address) {
        self.sockets
            .push(Socket::new(Reach::Network, address, None));
    }

    /// Listens on a unix socket too, which this user alone can open.
    ///
    /// When another process accepts there, the path is taken over as soon as it does no more.
    ///
    /// # Errors
    ///
    /// When it cannot be bound for another reason.
    pub fn listen_privately(&mut self, path: PathBuf) -> Result<(), BindError> {
        let socket = Socket::new(Reach::Private, Address::Unix(path), None);
        match socket.get() {
            Err(error) if error.kind() != std::io::ErrorKind::AddrInUse => return Err(error),
            Ok(_) | Err(_) => {}
        }
        self.sockets.push(socket);
        Ok(())
    }

    pub(super) fn sockets(&self) -> &[Arc<Socket>] {
        &self.sockets
    }

    /// The sockets that listen, to be handed over.
    pub(in crate::actor) fn bound(&self) -> Vec<Arc<Listening>> {
        let sockets = self.sockets.iter();
        sockets.filter_map(|one| one.bound.load_full()).collect()
    }

    /// Takes those of a predecessor that listen where this door is to.
    pub(in crate::actor) fn adopt(&self, legacy: &mut Legacy) {
        for socket in self.sockets.iter().filter(|one| one.bound.load().is_none()) {
            let claimed = legacy.claim(&DOOR.into(), &socket.address);
            socket
                .bound
                .store(claimed.and_then(|mut claimed| claimed.sockets.pop()));
        }
    }

    /// Makes the files of sockets that were a predecessor's this process' own.
    pub(in crate::actor) fn own(&self) {
        self.bound().iter().for_each(|socket| socket.own());
    }

    /// Leaves the sockets to a successor, which has them too.
    pub(in crate::actor) fn leave(&self) {
        self.bound().iter().for_each(|socket| socket.disown());
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
