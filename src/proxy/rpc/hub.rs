//! One downstream connection, as its requests share it.

use std::cell::{Cell, RefCell};

use crate::protocol::rpc::Codec;
use crate::proxy::http::{Connection, Notice, Setting};
use crate::upstream::{Outbox, Spoken};

use super::bonds::Bonds;

/// One downstream connection, as its requests share it.
pub(super) struct Hub<S> {
    pub(super) connection: Connection<S>,
    pub(super) spoken: Spoken,
    /// Answers that are ready; all of them leave in one write.
    pub(super) out: RefCell<Outbox>,
    /// Bytes of requests that are under way.
    pub(super) held: Cell<usize>,
    /// Upstream connections that are its own.
    pub(super) bonds: Bonds,
}

impl<S: Setting> Hub<S> {
    pub(super) fn new(connection: Connection<S>, spoken: Spoken) -> Self {
        Self {
            connection,
            spoken,
            out: RefCell::default(),
            held: Cell::new(0),
            bonds: Bonds::default(),
        }
    }

    pub(super) fn codec(&self) -> &'static dyn Codec {
        self.spoken.codec
    }

    /// Whether it is to move at its next rest. What its own upstream connections know of it would
    /// stay behind, so with those it stays, too.
    pub(super) fn is_to_move(&self) -> bool {
        self.connection.is_to_move() && self.bonds.is_empty()
    }

    /// Whether it is to end at its next rest.
    pub(super) fn is_to_end(&self) -> bool {
        let stays = self.connection.is_to_move() && !self.bonds.is_empty();
        self.connection.is_to_end() || stays
    }

    /// Queues what `write` appends.
    pub(super) fn answer(&self, write: impl FnOnce(&mut Vec<u8>)) {
        self.out.borrow_mut().append(write);
    }

    pub(super) fn note(&self, tag: &'static str, kind: String, text: String) {
        self.connection.setting.note(Notice { tag, kind, text });
    }
}
