//! How a connection leaves for the successor process, and how one that has come from the predecessor
//! goes on.

use std::io;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

use actix::prelude::*;
use tokio::time::Instant;

use super::{Connection, Entry, Far};
use crate::actor::arrivals::{Pair, What};
use crate::actor::connections::Progress;
use crate::actor::mover::{Leaving, Verdict};
use crate::actor::setting::Setting;
use crate::cluster::Ending;
use crate::net::Stream;
use crate::protocol::detect::Untold;
use crate::protocol::handover::{self, Kind, Movable, Upstream};
use crate::protocol::{http1, rpc};
use crate::proxy::Relay;
use crate::proxy::http::{Leave, Parting, Stage};

/// A relay that has come from the predecessor.
pub(in crate::actor) struct Arrived {
    downstream: Stream,
    upstream: Stream,
    pair: Pair,
}

impl Entry {
    /// With what a connection from the predecessor comes to its actor.
    ///
    /// # Errors
    ///
    /// When this worker cannot take one more.
    pub(in crate::actor) fn arrived(what: What, setting: &Setting) -> io::Result<Self> {
        Ok(match what {
            What::Http1 {
                socket,
                rest,
                unread,
            } => Self::Parked(Box::new(Leave {
                stream: Stream::carried(socket)?,
                unread,
                id: setting.next_connection(),
                addresses: None,
                stage: match rest.served {
                    true => Stage::Between,
                    false => Stage::BeforeFirst,
                },
            })),
            What::Rpc {
                socket,
                speaks,
                unread,
            } => {
                let leave = Leave {
                    stream: Stream::carried(socket)?,
                    unread,
                    id: setting.next_connection(),
                    addresses: None,
                    stage: Stage::Between,
                };
                Self::Rpc(Box::new(leave), speaks)
            }
            What::Untold { socket, waited } => Self::Untold(Stream::carried(socket)?, waited),
            What::Pair {
                sockets: [downstream, upstream],
                pair,
            } => Self::Relay(Box::new(Arrived {
                downstream: Stream::carried(downstream)?,
                upstream: Stream::carried(upstream)?,
                pair: *pair,
            })),
        })
    }
}

impl Connection {
    /// Goes on with a relay that has come from the predecessor.
    pub(super) fn go_on(&mut self, arrived: Arrived, ctx: &mut Context<Self>) {
        let Arrived {
            downstream,
            upstream,
            pair,
        } = arrived;
        let name = pair.cluster.name.clone();
        let mut held = pair.held;
        held.lease.ends(Ending::Local);
        self.held = Some(held);
        self.far = Some(match pair.is_tunnel {
            true => Far::Tunnel(name),
            false => Far::Host(pair.cluster, pair.sent),
        });
        let flow = Rc::clone(&self.progress.flow);
        let relay = Relay::new(downstream, upstream, flow);
        self.relay(relay.unpacked(pair.packed), ctx);
    }

    /// Offers a connection between two requests to the successor, and goes on with it where it
    /// stays.
    pub(super) fn move_http(&self, leave: Leave, ctx: &mut Context<Self>) {
        let rest = http1::Rest {
            served: leave.stage == Stage::Between,
        };
        self.move_framed(leave, &rest, Self::serve, ctx);
    }

    /// The same of a connection between two frames of RPC.
    pub(super) fn move_rpc(&self, leave: Leave, speaks: &'static str, ctx: &mut Context<Self>) {
        let rest = rpc::Rest {
            codec: speaks.to_owned(),
        };
        let goes_on = move |this: &Self, leave, parting, ctx: &mut Context<Self>| {
            this.serve_rpc(leave, parting, speaks, ctx);
        };
        self.move_framed(leave, &rest, goes_on, ctx);
    }

    /// The same of one of which it is not known yet what it speaks, and that is waited for since then.
    pub(super) fn move_untold(&self, leave: Leave, since: Instant, ctx: &mut Context<Self>) {
        let waited = since.elapsed().as_millis();
        let untold = Untold {
            waited_millis: u64::try_from(waited).unwrap_or(u64::MAX),
        };
        let goes_on = move |this: &Self, leave, parting, ctx: &mut Context<Self>| {
            this.find_out(leave, parting, since, ctx);
        };
        self.move_framed(leave, &untold, goes_on, ctx);
    }

    fn move_framed(
        &self,
        leave: Leave,
        rest: &impl Movable,
        goes_on: impl FnOnce(&Self, Leave, Parting, &mut Context<Self>) + 'static,
        ctx: &mut Context<Self>,
    ) {
        let leaving = framed(&leave, rest, &self.progress).ok();
        let setting = Rc::clone(&self.setting);
        let moves = async move { (offer(&setting, leaving).await, leave) };
        ctx.spawn(
            moves
                .into_actor(self)
                .map(move |(verdict, leave), this, ctx| match verdict {
                    Verdict::Moved => this.has_moved(ctx),
                    Verdict::Stays => goes_on(this, leave, Parting::Stays, ctx),
                }),
        );
    }

    /// Offers a relay that has stopped to the successor, and goes on with it where it stays.
    pub(super) fn move_pair(&mut self, mut relay: Relay, ctx: &mut Context<Self>) {
        let leaving = self.pair(&mut relay);
        let setting = Rc::clone(&self.setting);
        let moves = async move { (offer(&setting, leaving).await, relay) };
        ctx.spawn(
            moves
                .into_actor(self)
                .map(|(verdict, relay), this, ctx| match verdict {
                    Verdict::Moved => {
                        this.count_bytes();
                        if let Some(held) = &mut this.held {
                            // It has not ended.
                            held.lease.ends(Ending::default());
                        }
                        this.has_moved(ctx);
                    }
                    Verdict::Stays => this.relay(relay, ctx),
                }),
        );
    }

    /// Its end is counted by the process that has it now.
    fn has_moved(&self, ctx: &mut Context<Self>) {
        self.setting.counters.moved.fetch_add(1, Relaxed);
        self.progress.flow.bell.note_left();
        ctx.stop();
    }

    /// What a relay leaves with; `None` where it has to stay.
    fn pair(&self, relay: &mut Relay) -> Option<Leaving> {
        let host = self.held.as_ref()?.lease.to_string();
        let (cluster, before, is_tunnel) = match self.far.as_ref()? {
            Far::Host(cluster, before) => (&cluster.name, *before, false),
            Far::Tunnel(cluster) => (cluster, 0, true),
        };
        let upstream = Upstream {
            cluster: cluster.to_string(),
            host,
        };
        let packed = relay.pack().ok()?;
        let flow = &self.progress.flow;
        Some(Leaving {
            kind: Kind::Pair(handover::Pair {
                upstream,
                is_tunnel,
                halves: packed.halves,
            }),
            payload: packed.payload,
            sockets: relay.carry().ok()?.into(),
            moved: (flow.received.get(), before + flow.sent.get()),
            idle_timeout: self.progress.idle_timeout.get(),
            quiet: self.progress.quiet.get(),
        })
    }
}

/// What a connection between two frames leaves with.
fn framed(leave: &Leave, rest: &impl Movable, progress: &Progress) -> io::Result<Leaving> {
    Ok(Leaving {
        kind: Kind::Framed(rest.pack()?),
        payload: leave.unread.clone(),
        sockets: vec![leave.stream.carry()?],
        moved: (progress.flow.received.get(), progress.flow.sent.get()),
        idle_timeout: progress.idle_timeout.get(),
        quiet: progress.quiet.get(),
    })
}

async fn offer(setting: &Setting, leaving: Option<Leaving>) -> Verdict {
    let _on_the_way = setting.moving.on_the_way();
    match (setting.post.mover(), leaving) {
        (Some(mover), Some(leaving)) => mover.offer(leaving).await,
        _ => Verdict::Stays,
    }
}
