//! Those who want to hear when the health of a host turns.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use actix::dev::SendError;
use actix::prelude::*;

use crate::cluster::{Health, Reason};
use crate::config::HostAddress;
use crate::name::ClusterName;

/// Something that spoke against a host has begun to, or has stopped.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
#[non_exhaustive]
pub struct HealthTurned {
    /// The cluster.
    pub cluster: ClusterName,
    /// Its host.
    pub address: HostAddress,
    /// Who spoke.
    pub reason: Reason,
    /// What it now says.
    pub says: Health,
    /// Whether the host is chosen after this: it is when nothing else speaks against it.
    pub health: Health,
}

/// A subscription. It lasts until its actor has stopped, whether or not this is kept.
#[derive(Clone, Debug, Default)]
pub struct Subscription(Arc<AtomicU64>);

impl Subscription {
    /// How many turns it has missed because the mailbox of its actor was full.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Everyone who has subscribed. It belongs to the root; [`Clusters`](super::clusters) tells them.
#[derive(Clone, Default)]
pub(super) struct Subscribers(Rc<RefCell<Vec<Entry>>>);

type Entry = (Recipient<HealthTurned>, Subscription);

impl Subscribers {
    /// Adds one.
    pub(super) fn add(&self, recipient: Recipient<HealthTurned>) -> Subscription {
        let subscription = Subscription::default();
        let entry = (recipient, subscription.clone());
        self.0.borrow_mut().push(entry);
        subscription
    }

    /// Tells everyone. Who has no room misses it, which is counted; who has stopped is forgotten.
    pub(super) fn tell(&self, turned: &HealthTurned) {
        self.0.borrow_mut().retain(|(recipient, subscription)| {
            match recipient.try_send(turned.clone()) {
                Ok(()) => true,
                Err(SendError::Full(_)) => {
                    subscription.0.fetch_add(1, Relaxed);
                    true
                }
                Err(SendError::Closed(_)) => false,
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    fn turned(port: u16) -> HealthTurned {
        HealthTurned {
            cluster: "origins".into(),
            address: std::net::SocketAddr::from(([127, 0, 0, 1], port)).into(),
            reason: Reason::FailedCheck,
            says: Health::Unhealthy,
            health: Health::Unhealthy,
        }
    }

    /// Takes one message at a time, and stops at port 9.
    struct Listener(
        Vec<HealthTurned>,
        Option<oneshot::Sender<Vec<HealthTurned>>>,
    );

    impl Actor for Listener {
        type Context = Context<Self>;

        fn started(&mut self, ctx: &mut Context<Self>) {
            ctx.set_mailbox_capacity(1);
        }
    }

    impl Handler<HealthTurned> for Listener {
        type Result = ();

        fn handle(&mut self, heard: HealthTurned, ctx: &mut Context<Self>) {
            let ends = heard == turned(9);
            self.0.push(heard);
            if ends {
                let heard = std::mem::take(&mut self.0);
                self.1.take().map(|done| done.send(heard));
                ctx.stop();
            }
        }
    }

    #[actix::test]
    async fn who_has_no_room_misses_a_turn_and_who_has_stopped_is_forgotten() {
        let (done, heard) = oneshot::channel();
        let listener = Listener(Vec::new(), Some(done)).start();
        tokio::task::yield_now().await;
        let subscribers = Subscribers::default();
        let subscription = subscribers.add(listener.recipient());
        let crowd = 50;
        for port in 100..100 + crowd {
            subscribers.tell(&turned(port));
        }
        let missed = subscription.missed();
        tokio::task::yield_now().await;

        subscribers.tell(&turned(9));

        let heard = heard.await.unwrap();
        assert_eq!(heard.len() as u64 + missed, u64::from(crowd) + 1);
        assert!(
            missed > 0,
            "an actor with room for one heard all of {crowd}"
        );
        tokio::task::yield_now().await;
        subscribers.tell(&turned(10));
        assert!(subscribers.0.borrow().is_empty());
    }
}
