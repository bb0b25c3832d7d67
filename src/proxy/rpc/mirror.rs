//! Copies of requests, for another cluster; nobody waits for their answers.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::cluster::{Clue, Work};
use crate::config::PoolMode;
use crate::name::ClusterName;
use crate::protocol::rpc::{Kind, Message};
use crate::proxy::http::Aside;
use crate::upstream::{Hosts, Picked, Reply, Sole, Spoken};

use super::course::Course;
use super::exchange::Exchange;
use super::reach::{conduct, free, shared};
use super::setting::Carrier;

/// How long a copy may take, its answer included.
const PATIENCE: Duration = Duration::from_secs(60);

/// A copy of a request.
struct Copy<S> {
    setting: Rc<S>,
    cluster: ClusterName,
    clue: Clue,
    message: Message,
    headers: Option<Vec<u8>>,
    spoken: Spoken,
    pool_mode: PoolMode,
    /// Which of the shared connections it goes by.
    turn: u64,
}

impl<S: Carrier> Exchange<'_, S> {
    /// Sends a copy of the request where the route wants one.
    pub(super) fn mirror(&self, course: &Course<'_>) {
        let Some((mirror, clue)) = &course.mirror else {
            return;
        };
        if rand::random_range(0..100) >= mirror.percent {
            return;
        }
        let connection = &self.hub.connection;
        let copy = Copy {
            setting: Rc::clone(&connection.setting),
            cluster: mirror.cluster.clone(),
            clue: clue.clone(),
            message: self.message.clone(),
            headers: course.headers.clone(),
            spoken: self.hub.spoken,
            pool_mode: self.pool_mode(),
            turn: connection.id.0,
        };
        let sent = connection.setting.run_aside(Box::pin(copy.send()));
        if sent == Aside::Dropped {
            connection.setting.counters().count_uncopied();
            let (listener, cluster) = (&self.fitting.listener.name, &mirror.cluster);
            let text = format!(
                "listener `{listener}`: a request was not copied to cluster `{cluster}`: too many \
                 copies are under way"
            );
            self.note("proxy.mirror_dropped", cluster.to_string(), &text);
        }
    }
}

impl<S: Carrier> Copy<S> {
    /// Sends it to a host of the cluster, and drops what that answers. A copy that fails is not sent
    /// again.
    async fn send(self) {
        let until = Instant::now() + PATIENCE;
        let sent = async {
            let hosts = self.setting.hosts();
            let picked = hosts.pick(&self.cluster, &[], Work::Request, &self.clue);
            let picked = picked.await.ok()?;
            let _permit = picked.limits.request(picked.settings.limits.requests)?;
            match self.pool_mode {
                PoolMode::PingPong => self.send_alone(&picked).await,
                // One of a client's own would be the end of the client's with its own end.
                PoolMode::Multiplex | PoolMode::Bound => self.send_among(&picked, until).await,
            }
        };
        let _ = timeout_at(until, sent).await;
    }

    async fn send_alone(&self, picked: &Picked) -> Option<()> {
        let upstream = free(&*self.setting, picked, self.spoken).await.ok()?;
        let headers = self.headers.as_deref();
        let mut sole = Sole::new(upstream, self.spoken, &self.message, headers);
        let answered = match self.message.frame.kind {
            Kind::OneWay => sole.tell().await.is_ok(),
            _ => matches!(sole.ask().await, Reply::Response(_)),
        };
        if answered && let Some(kept) = sole.into_kept() {
            let idle = picked.settings.idle_timeout;
            let now = Instant::now().into_std();
            self.setting.pools().give(kept, idle, now);
        }
        Some(())
    }

    async fn send_among(&self, picked: &Picked, until: Instant) -> Option<()> {
        let trunk = shared(&*self.setting, picked, self.spoken, self.turn);
        poll_fn(|cx| trunk.poll_room(cx)).await;
        let headers = self.headers.as_deref();
        if self.message.frame.kind == Kind::OneWay {
            return trunk.tell(&self.message, headers).then_some(());
        }
        let waiting = trunk.ask(&self.message, headers, Some(until.into()))?;
        if let Reply::Ended(ending) = waiting.answer().await
            && let Some(conduct) = conduct(&ending)
        {
            let now = Instant::now().into_std();
            let suspicion = picked.note(conduct, now);
            suspicion
                .into_iter()
                .for_each(|one| self.setting.suspect(one));
        }
        Some(())
    }
}
