//! Shared connections that go on in another process, and those that have come from one.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::cluster::{Ending, Host};
use crate::config;
use crate::name::ClusterName;
use crate::net::Stream;
use crate::protocol::rpc::Inbox;
use crate::upstream::outcome::End;
use crate::upstream::pool::{Held, Speech, identity, next_id};
use crate::upstream::trunk::{Memory, Trunk};

use super::{Alarm, Driver, Ends, Spoken, Trunks, now, serve};

/// A shared connection that is to go on in another process; no request is under way. Dropping it
/// closes the connection.
pub struct Parted {
    trunk: Trunk,
    settings: Arc<config::Cluster>,
    stream: Stream,
    unread: Vec<u8>,
    memory: Memory,
}

impl Parted {
    /// The cluster of its host.
    #[must_use]
    pub fn cluster(&self) -> &ClusterName {
        &self.settings.name
    }

    /// Its host.
    #[must_use]
    pub fn host(&self) -> &Host {
        self.trunk.host()
    }

    /// What it speaks.
    #[must_use]
    pub fn speaks(&self) -> Speech {
        self.trunk.0.codec.name()
    }

    /// The longest frame that is read.
    #[must_use]
    pub fn frame_bytes(&self) -> usize {
        self.trunk.0.most
    }

    /// Its `SO_MARK`.
    #[must_use]
    pub fn mark(&self) -> Option<u32> {
        self.settings.mark
    }

    /// What another process has to know of it.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// What came of a frame that is not whole.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        &self.unread
    }

    /// The socket once more, for another process to go on with.
    ///
    /// # Errors
    ///
    /// When this process is out of descriptors.
    pub fn carry(&self) -> io::Result<OwnedFd> {
        self.stream.carry()
    }

    /// Closes it here, where it has not ended: another process has it.
    pub fn has_moved(self) {
        self.trunk.0.ending.set(Ending::default());
    }
}

/// A shared connection that has come from another process.
pub struct HandedTrunk {
    /// Its socket.
    pub socket: OwnedFd,
    /// Counts it on its host.
    pub held: Held,
    /// What it speaks.
    pub spoken: Spoken,
    /// The cluster of its host.
    pub settings: Arc<config::Cluster>,
    /// Its place among the connections of its host and worker.
    pub place: usize,
    /// What it remembers.
    pub memory: Memory,
    /// What came of a frame that is not whole.
    pub unread: Vec<u8>,
}

impl std::fmt::Debug for HandedTrunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HandedTrunk")
            .field("socket", &self.socket)
            .field("held", &self.held)
            .finish_non_exhaustive()
    }
}

impl Trunks {
    /// Has those leave over which no request is under way, and none was for so long; each comes as
    /// soon as nothing reads or writes it any more. What it was asked for is asked for by another.
    pub fn part(&self, rested: Duration) -> Vec<oneshot::Receiver<Parted>> {
        let (all, now) = (self.0.borrow(), now());
        let open = all.open.values().flatten().flatten();
        open.filter_map(|trunk| trunk.part(rested, now)).collect()
    }

    /// Goes on with a connection that has come from another process. One that was opened here in its
    /// place makes way, and ends when its answers have come: the older one has proved itself.
    ///
    /// # Errors
    ///
    /// When this worker cannot take one more; it is closed.
    pub fn adopt(&self, handed: HandedTrunk) -> io::Result<Driver> {
        let HandedTrunk {
            socket,
            held: Held { lease, permit },
            spoken: Spoken { codec, most },
            settings,
            place,
            memory,
            unread,
        } = handed;
        let stream = Stream::carried(socket)?;
        let key = (identity(lease.host()), codec.name(), most);
        let trunk = Trunk::new(codec, most, lease, permit, next_id(), now());
        trunk.is_resumed(memory, now());
        trunk.expires_after(settings.idle_timeout);
        let mut all = self.0.borrow_mut();
        let row = all.open.entry(key).or_default();
        if row.len() <= place {
            row.resize_with(place + 1, || None);
        }
        let younger = row[place].replace(trunk.clone());
        if let Some(younger) = &younger {
            younger.makes_way();
        }
        all.apart.extend(younger);
        Ok(Box::pin(async move {
            let ends = Ends(trunk);
            let inbox = Inbox::resumed(unread);
            serve(&ends.0, settings, stream, inbox, Alarm::default()).await;
        }))
    }
}

/// Gives up here what goes on elsewhere.
pub(super) fn part(trunk: &Trunk, settings: Arc<config::Cluster>, stream: Stream, inbox: Inbox) {
    let memory = trunk.memory(now());
    let heir = trunk.0.heir.take();
    trunk.0.ending.set(Ending::Local);
    trunk.end(&End::Left);
    if let Some(heir) = heir {
        // Where nobody is, it is closed.
        let _ = heir.send(Parted {
            trunk: trunk.clone(),
            settings,
            stream,
            unread: inbox.into_unread(),
            memory,
        });
    }
}
