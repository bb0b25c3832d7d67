//! By which connection a request goes to its host.

use std::future::poll_fn;
use std::rc::Rc;

use tokio::time::{Instant, timeout_at};

use crate::cluster::Conduct;
use crate::config::PoolMode;
use crate::name::ClusterName;
use crate::upstream::{
    Ending, Picked, PoolError, Pooled, Reply, Sent, Sole, Told, Trunk, TrunkEnd,
};

use super::exchange::{Exchange, Stop};
use super::setting::Carrier;
use super::trouble::Trouble;

impl<S: Carrier> Exchange<'_, S> {
    /// Sends the request to the host, with another header block where one is given, and waits for
    /// its answer.
    pub(super) async fn send(
        &mut self,
        picked: &Picked,
        cluster: &ClusterName,
        headers: Option<&[u8]>,
        until: Option<Instant>,
    ) -> Result<Reply, Stop> {
        let rpc = self.fitting.rpc();
        match rpc.map(|rpc| rpc.pool_mode).unwrap_or_default() {
            PoolMode::Multiplex => loop {
                let trunk = self.shared(picked);
                if let Some(reply) = self.send_by(&trunk, headers, until).await? {
                    return Ok(reply);
                }
            },
            PoolMode::Bound => loop {
                let trunk = self.own(picked, cluster).await?;
                if let Some(reply) = self.send_by(&trunk, headers, until).await? {
                    return Ok(reply);
                }
            },
            PoolMode::PingPong => {
                let alone = self.send_alone(picked, cluster, headers);
                match until {
                    None => alone.await,
                    Some(until) => match timeout_at(until, alone).await {
                        Ok(reply) => reply,
                        Err(_) => Ok(Reply::TimedOut),
                    },
                }
            }
        }
    }

    /// Sends the request among others; `None` when the connection ended between two looks at it,
    /// and another one is to take its place.
    async fn send_by(
        &mut self,
        trunk: &Trunk,
        headers: Option<&[u8]>,
        until: Option<Instant>,
    ) -> Result<Option<Reply>, Stop> {
        let mut room = poll_fn(|cx| trunk.poll_room(cx));
        match until {
            None => room.await,
            Some(until) => {
                if timeout_at(until, &mut room).await.is_err() {
                    return Ok(Some(Reply::TimedOut));
                }
            }
        }
        self.record.upstream_id = Some(trunk.id());
        if self.is_one_way() {
            return match trunk.tell(&self.message, headers) {
                true => Err(self.told()),
                false => Ok(None),
            };
        }
        let Some(waiting) = trunk.ask(&self.message, headers, until.map(Into::into)) else {
            return Ok(None);
        };
        self.record.forwarded = Some(Instant::now());
        Ok(Some(waiting.answer().await))
    }

    /// Sends the request by a connection that it has to itself.
    async fn send_alone(
        &mut self,
        picked: &Picked,
        cluster: &ClusterName,
        headers: Option<&[u8]>,
    ) -> Result<Reply, Stop> {
        let upstream = match self.free(picked).await {
            Ok(upstream) => upstream,
            Err(PoolError::Overflow) => return Err(overflow(cluster, "connections").into()),
            Err(PoolError::Connect(error)) => {
                return Ok(Reply::Ended(Ending {
                    why: TrunkEnd::Unreached(Rc::new(error)),
                    sent: Sent::Nothing,
                    told: Told::First,
                }));
            }
        };
        self.record.upstream_id = Some(upstream.id());
        let mut sole = Sole::new(upstream, self.hub.spoken, &self.message, headers);
        self.record.forwarded = Some(Instant::now());
        let reply = match self.is_one_way() {
            true => match sole.tell().await {
                Ok(()) => None,
                Err(ending) => Some(Reply::Ended(ending)),
            },
            false => Some(sole.ask().await),
        };
        if matches!(reply, None | Some(Reply::Response(_)))
            && let Some(kept) = sole.into_kept()
        {
            let (pools, now) = (self.connection().setting.pools(), Instant::now());
            pools.give(kept, picked.settings.idle_timeout, now.into_std());
        }
        reply.ok_or_else(|| self.told())
    }

    /// A connection that carries nothing.
    async fn free(&self, picked: &Picked) -> Result<Pooled, PoolError> {
        let (pools, host) = (self.connection().setting.pools(), picked.lease.host());
        let speaks = self.hub.codec().name();
        if let Some(kept) = pools.take(host, speaks) {
            return Ok(kept);
        }
        let (settings, limits) = (&picked.settings, &picked.limits);
        let connected = pools.connect(host, speaks, settings, limits).await?;
        self.judge(picked, Conduct::Connected);
        Ok(connected)
    }

    /// The connection to the host that this worker's requests share.
    fn shared(&self, picked: &Picked) -> Trunk {
        let setting = &self.connection().setting;
        let (trunk, driver) = setting.trunks().to(
            picked.lease.host(),
            &picked.settings,
            &picked.limits,
            self.hub.spoken,
            self.connection().id.0,
        );
        if let Some(driver) = driver {
            setting.carry(driver);
        }
        trunk
    }

    /// The connection to the host that is this downstream connection's own.
    async fn own(&self, picked: &Picked, cluster: &ClusterName) -> Result<Trunk, Stop> {
        let (host, settings) = (picked.lease.host(), &picked.settings);
        if let Some(trunk) = self.hub.bonds.to(host) {
            return Ok(trunk);
        }
        let setting = &self.connection().setting;
        let permit = setting.pools().permit(settings, &picked.limits).await;
        let permit = permit.ok_or_else(|| overflow(cluster, "connections"))?;
        // Another request may have begun it meanwhile.
        if let Some(trunk) = self.hub.bonds.to(host) {
            return Ok(trunk);
        }
        let spoken = self.hub.spoken;
        let (trunk, driver) = setting.trunks().own(host, settings, permit, spoken);
        self.hub.bonds.add(trunk.clone());
        setting.carry(driver);
        Ok(trunk)
    }

    /// A request that wants no answer has gone.
    fn told(&mut self) -> Stop {
        self.record.forwarded = Some(Instant::now());
        self.record.status = 200;
        Stop::Silence
    }
}

pub(super) fn overflow(cluster: &ClusterName, what: &'static str) -> Trouble {
    let cluster = cluster.clone();
    Trouble::Overflow { cluster, what }
}
