//! The upstream connections that are one downstream connection's own.

use std::cell::RefCell;
use std::task::Context;

use crate::cluster::Host;
use crate::upstream::{Standing, Trunk};

/// The upstream connections of one downstream connection: they end with it, and it with them.
#[derive(Default)]
pub(super) struct Bonds(RefCell<Vec<Trunk>>);

/// What they call for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Bond {
    /// Nothing.
    Holds,
    /// A host has said goodbye: so does the downstream connection.
    Loosens,
    /// One is over: whatever its host knew of this client is gone, and the client has to know.
    Broken,
}

impl Bonds {
    /// The one to this host, if it takes requests.
    pub(super) fn to(&self, host: &Host) -> Option<Trunk> {
        let trunks = self.0.borrow();
        let found = trunks
            .iter()
            .find(|trunk| trunk.is_to(host) && trunk.takes_requests());
        found.cloned()
    }

    pub(super) fn add(&self, trunk: Trunk) {
        self.0.borrow_mut().push(trunk);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// How they stand; the caller is woken when that changes.
    pub(super) fn poll(&self, cx: &Context<'_>) -> Bond {
        let mut bond = Bond::Holds;
        // Where no connection was made, there is none that could be lost.
        self.0.borrow_mut().retain(|trunk| {
            let standing = trunk.poll_standing(cx);
            match standing {
                Standing::Serves | Standing::Unopened => {}
                Standing::Leaves if bond == Bond::Holds => bond = Bond::Loosens,
                Standing::Leaves => {}
                Standing::Over => bond = Bond::Broken,
            }
            standing != Standing::Unopened
        });
        bond
    }
}

impl Drop for Bonds {
    fn drop(&mut self) {
        self.0.take().iter().for_each(Trunk::close);
    }
}
