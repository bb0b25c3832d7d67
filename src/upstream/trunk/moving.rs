//! What a shared connection takes along when it goes on in another process.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::streams::{Beat, Count, Keepalive, Rhythm, Streams};
use crate::upstream::trunks::Parted;

use super::heartbeat::patience;
use super::{Awaits, State, Trunk};

/// What a connection remembers that goes on in another process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Memory {
    /// How far ids have been given.
    pub count: Count,
    /// The ids of heartbeats that are not answered.
    pub heartbeats: Vec<u64>,
    /// How its peer was found.
    pub beat: Beat,
    /// For how long no request has been under way.
    pub idle: Duration,
}

impl Trunk {
    /// Takes it up as another process has left it.
    pub(in crate::upstream) fn is_resumed(&self, memory: Memory, now: Instant) {
        let shared = &self.0;
        let Memory {
            count,
            heartbeats,
            beat,
            idle,
        } = memory;
        let open = heartbeats.into_iter().map(|id| (id, Awaits::Heartbeat));
        shared.streams.replace(Streams::resumed(
            shared.codec.last_id(),
            count,
            open,
            patience(now),
        ));
        self.opened(now);
        shared
            .keepalive
            .replace(Keepalive::resumed(Rhythm::default(), beat, now));
        shared.idle_since.set(now.checked_sub(idle).unwrap_or(now));
    }

    /// Has it go on in another process: it is given up here as soon as nothing is read or written
    /// any more. `None` where that cannot be now, or it was used within this time.
    pub(in crate::upstream) fn part(
        &self,
        rested: Duration,
        now: Instant,
    ) -> Option<oneshot::Receiver<Parted>> {
        let idle = now.saturating_duration_since(self.0.idle_since.get());
        let is_at_rest = self.state() == State::Open
            && self.0.out.borrow().is_empty()
            && self
                .0
                .streams
                .borrow()
                .all()
                .all(|(_, awaits)| matches!(awaits, Awaits::Heartbeat));
        if !is_at_rest || idle < rested {
            return None;
        }
        let (heir, parted) = oneshot::channel();
        self.0.heir.set(Some(heir));
        self.0.state.set(State::Parting);
        self.wake_waiting();
        self.wake();
        Some(parted)
    }

    /// What another process has to know of it.
    pub(in crate::upstream) fn memory(&self, now: Instant) -> Memory {
        let streams = self.0.streams.borrow();
        Memory {
            count: streams.count_so_far(),
            heartbeats: streams.all().map(|(id, _)| id).collect(),
            beat: self.0.keepalive.borrow().beat(now),
            idle: now.saturating_duration_since(self.0.idle_since.get()),
        }
    }

    /// Another one takes its place: it ends when what is under way has.
    pub(in crate::upstream) fn makes_way(&self) {
        if self.takes_requests() {
            self.0.state.set(State::Leaving);
            self.wake_waiting();
            self.wake();
        }
    }
}
