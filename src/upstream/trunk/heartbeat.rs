//! Heartbeats on a shared connection, ours and the peer's.

use std::time::Instant;

use crate::protocol::rpc::Asker;
use crate::streams::{Rhythm, Step};
use crate::upstream::outcome::End;

use super::{Awaits, State, Trunk};

impl Trunk {
    /// A second has passed: a peer that says nothing is asked whether it is there.
    pub(in crate::upstream) fn keep_alive(&self, now: Instant) {
        if matches!(self.state(), State::Opening | State::Parting) {
            return;
        }
        let step = self.0.keepalive.borrow_mut().step(now);
        match step {
            Step::Rest => {}
            Step::GiveUp => self.call_off(End::Silent),
            Step::Ask => {
                let until = patience(now);
                let id = self.0.streams.borrow_mut().open(Awaits::Heartbeat, until);
                let heartbeat = id.and_then(|id| self.0.codec.heartbeat(id));
                if let Some(heartbeat) = heartbeat {
                    let mut out = self.0.out.borrow_mut();
                    out.append(|out| out.extend_from_slice(&heartbeat));
                }
                self.wake();
            }
        }
    }

    pub(super) fn acknowledged(&self, id: u64) {
        let mut streams = self.0.streams.borrow_mut();
        if matches!(streams.get(id), Some(Awaits::Heartbeat)) {
            streams.close(id);
        }
    }

    /// A peer that takes nothing can do without: what it asks must not pile up here.
    pub(super) fn acknowledge(&self, heartbeat: &Asker) {
        let mut out = self.0.out.borrow_mut();
        out.offer(|out| self.0.codec.acknowledge(heartbeat, out));
    }
}

/// Until when a heartbeat that is sent now counts as under way: one that is never answered keeps no
/// connection from its end.
pub(super) fn patience(now: Instant) -> Option<Instant> {
    now.checked_add(Rhythm::default().patience)
}
