//! Where the admin door is, who may open it, and what is behind it beside the proxy.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::access::Access;
use super::process::{Process, Unknown};
use crate::config::Address;
use crate::net::{BindError, Listening, bind, bind_private};

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
}
