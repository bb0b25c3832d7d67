//! By which connection a request goes to its host.

use std::future::poll_fn;
use std::rc::Rc;

use tokio::time::{Instant, timeout_at};

use crate::cluster::Conduct;
use crate::config::PoolMode;
use crate::name::ClusterName;
use crate::proxy::setback::Setback;
use crate::upstream::{
    Ending, Picked, PoolError, Pooled, Reply, Sent, Sole, Spoken, Told, Trunk, TrunkEnd,
};

use super::exchange::{Exchange, Stop};
use super::setting::Carrier;

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
        match self.pool_mode() {
            PoolMode::Multiplex => loop {
                let connection = self.connection();
                let turn = connection.id.0;
                let trunk = shared(&*connection.setting, picked, self.hub.spoken, turn);
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
                // Connecting takes a future that all others would have to make room for.
                let alone = Box::pin(self.send_alone(picked, cluster, headers));
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
        // Nearly always: neither a timer nor its place in the future.
        if !trunk.has_room() && !Box::pin(room(trunk, until)).await {
            return Ok(Some(Reply::TimedOut));
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
        let free = free(&*self.connection().setting, picked, self.hub.spoken);
        let upstream = match free.await {
            Ok(upstream) => upstream,
            Err(PoolError::Overflow) => {
                return Err(Setback::overflow(cluster, "connections").into());
            }
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

    /// The connection to the host that is this downstream connection's own.
    async fn own(&self, picked: &Picked, cluster: &ClusterName) -> Result<Trunk, Stop> {
        let (host, settings) = (picked.lease.host(), &picked.settings);
        if let Some(trunk) = self.hub.bonds.to(host) {
            return Ok(trunk);
        }
        let setting = &self.connection().setting;
        let permit = setting.pools().permit(settings, &picked.limits).await;
        let permit = permit.ok_or_else(|| Setback::overflow(cluster, "connections"))?;
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

    /// Who shares a connection to a host, as the listener has it now.
    pub(super) fn pool_mode(&self) -> PoolMode {
        let rpc = self.fitting.rpc();
        rpc.map(|rpc| rpc.pool_mode).unwrap_or_default()
    }

    /// A request that wants no answer has gone.
    fn told(&mut self) -> Stop {
        self.record.forwarded = Some(Instant::now());
        self.record.status = 200;
        Stop::Silence
    }
}

/// Waits until there is room for another request; whether that came in time.
async fn room(trunk: &Trunk, until: Option<Instant>) -> bool {
    let room = poll_fn(|cx| trunk.poll_room(cx));
    match until {
        None => {
            room.await;
            true
        }
        Some(until) => timeout_at(until, room).await.is_ok(),
    }
}

/// The connection to the host that this worker's requests share; of several, the one of this turn.
pub(super) fn shared<S: Carrier>(setting: &S, picked: &Picked, spoken: Spoken, turn: u64) -> Trunk {
    let (host, limits) = (picked.lease.host(), &picked.limits);
    let trunks = setting.trunks();
    let (trunk, driver) = trunks.to(host, &picked.settings, limits, spoken, turn);
    if let Some(driver) = driver {
        setting.carry(driver);
    }
    trunk
}

/// A connection to the host that carries nothing.
pub(super) async fn free<S: Carrier>(
    setting: &S,
    picked: &Picked,
    spoken: Spoken,
) -> Result<Pooled, PoolError> {
    let (pools, host) = (setting.pools(), picked.lease.host());
    let speaks = spoken.codec.name();
    if let Some(kept) = pools.take(host, speaks) {
        return Ok(kept);
    }
    let (settings, limits) = (&picked.settings, &picked.limits);
    let connected = pools.connect(host, speaks, settings, limits).await?;
    let now = Instant::now().into_std();
    if let Some(suspicion) = picked.note(Conduct::Connected, now) {
        setting.suspect(suspicion);
    }
    Ok(connected)
}

/// What the end of a connection says of its host. One end is told to many requests, and says it to
/// the first of them.
pub(super) fn conduct(ending: &Ending) -> Option<Conduct> {
    match ending {
        Ending {
            told: Told::Later, ..
        } => None,
        Ending {
            why: TrunkEnd::Unreached(error),
            ..
        } => error.blames_host().then_some(Conduct::ConnectFailed),
        // That is no host's doing.
        Ending {
            why: TrunkEnd::Abandoned,
            ..
        } => None,
        Ending {
            sent: Sent::Something,
            ..
        } => Some(Conduct::Failed),
        Ending {
            sent: Sent::Nothing,
            ..
        } => None,
    }
}
