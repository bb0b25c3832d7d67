//! Idle connections that go on in another process, and those that have come from one.

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::cluster::{Ending, Host};
use crate::config;
use crate::name::ClusterName;
use crate::net::Stream;

use super::{Held, IDLE_TIMEOUT, Idle, Pooled, Pools, Speech, Waiting, next_id};

/// An idle connection that was taken out of its pool, to go on in another process. Dropping it
/// closes the connection.
#[derive(Debug)]
pub struct Resting(Waiting);

impl Resting {
    /// The cluster of its host.
    #[must_use]
    pub fn cluster(&self) -> &ClusterName {
        &self.0.connection.cluster
    }

    /// Its host.
    #[must_use]
    pub fn host(&self) -> &Arc<Host> {
        self.0.connection.host()
    }

    /// What it speaks.
    #[must_use]
    pub fn speaks(&self) -> Speech {
        self.0.connection.speaks
    }

    /// Its `SO_MARK`.
    #[must_use]
    pub fn mark(&self) -> Option<u32> {
        self.0.connection.mark
    }

    /// Requests that it has served.
    #[must_use]
    pub fn served(&self) -> u64 {
        self.0.connection.served
    }

    /// For how much longer it may be idle; `None` is for ever.
    #[must_use]
    pub fn left(&self, now: Instant) -> Option<Duration> {
        let expires = self.0.expires?;
        Some(expires.saturating_duration_since(now))
    }

    /// The socket once more, for another process to go on with.
    ///
    /// # Errors
    ///
    /// When this process is out of descriptors.
    pub fn carry(&self) -> io::Result<OwnedFd> {
        self.0.connection.stream.carry()
    }

    /// Closes it here, where it has not ended: another process has it.
    pub fn has_moved(mut self) {
        self.0.connection.lease.ends(Ending::default());
    }
}

/// An idle connection that has come from another process.
#[derive(Debug)]
pub struct Handed {
    /// Its socket.
    pub socket: OwnedFd,
    /// Counts it on its host.
    pub held: Held,
    /// What it speaks.
    pub speaks: Speech,
    /// The cluster of its host.
    pub settings: Arc<config::Cluster>,
    /// Requests that it has served.
    pub served: u64,
    /// For how much longer it may be idle; `None` is for ever.
    pub left: Option<Duration>,
}

impl Pools {
    /// Waits for an idle connection, to whichever host, and takes out the one to it that was used
    /// last. One waits for them at a time.
    ///
    /// # Cancel safety
    ///
    /// Safe: it is taken out as the future ends.
    pub async fn any(&self) -> Resting {
        poll_fn(|cx| match self.any_now(Instant::now()) {
            Some(resting) => Poll::Ready(resting),
            None => {
                self.0.mover.replace(Some(cx.waker().clone()));
                Poll::Pending
            }
        })
        .await
    }

    /// As [`any`](Self::any), if there is one now.
    #[must_use]
    pub fn any_now(&self, now: Instant) -> Option<Resting> {
        let mut idle = self.0.idle.borrow_mut();
        loop {
            let mut waiting = pop(&mut idle)?;
            self.counted(|count| count - 1);
            if waiting.is_fit(now) {
                return Some(Resting(waiting));
            }
        }
    }

    /// The hosts to which any is idle.
    #[must_use]
    pub fn hosts(&self) -> Vec<Arc<Host>> {
        let idle = self.0.idle.borrow();
        let newest = idle.values().filter_map(|queue| queue.back());
        newest
            .map(|one| Arc::clone(one.connection.host()))
            .collect()
    }

    /// Keeps a connection that has not moved.
    pub fn put_back(&self, Resting(waiting): Resting) {
        self.keep_one(waiting.connection, waiting.expires);
    }

    /// Keeps a connection that has come from another process, no longer than either of the two
    /// keeps one.
    ///
    /// # Errors
    ///
    /// When this worker cannot take one more; it is closed.
    pub fn adopt(&self, handed: Handed, now: Instant) -> io::Result<()> {
        let Handed {
            socket,
            held: Held { mut lease, permit },
            speaks,
            settings,
            served,
            left,
        } = handed;
        let stream = Stream::carried(socket)?;
        lease.ends(Ending::Local);
        let limit = settings.idle_timeout.unwrap_or(IDLE_TIMEOUT);
        let expires = now.checked_add(left.map_or(limit, |left| left.min(limit)));
        let connection = Pooled {
            stream,
            lease,
            permit,
            speaks,
            id: next_id(),
            served,
            cluster: settings.name.clone(),
            mark: settings.mark,
        };
        self.keep_one(connection, expires);
        Ok(())
    }
}

/// The newest of the first queue that has any.
fn pop(idle: &mut Idle) -> Option<Waiting> {
    let (&key, _) = idle.iter().find(|(_, queue)| !queue.is_empty())?;
    let queue = idle.get_mut(&key)?;
    let newest = queue.pop_back();
    if queue.is_empty() {
        idle.remove(&key);
    }
    newest
}
