//! One downstream connection, as an actor: serves its requests, or relays its bytes to a host.
//!
//! In: nothing; its lane may end it at any await. Out: asks to this worker's clusters. It lives as
//! long as its one future, and is never restarted: its peer notices, and connects again.

mod moves;
mod reach;

use std::cell::OnceCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant as Since;

use crate::actor::connections::Progress;
use crate::actor::parking::{Counted, Past};
use crate::actor::setting::Setting;
use crate::actor::spoken::Speaks;
use crate::cluster::{Conduct, Ending};
use crate::config::{self, NetworkFilter, Spoken};
use crate::name::ClusterName;
use crate::net::Stream;
use crate::proxy::http::{self, Leave, Parting, Served, Stage};
use crate::proxy::{End, Ended, Relay, Side, rpc};
use crate::upstream::{self, Held};
use moves::Arrived;
use reach::{Reached, open};

/// One downstream connection.
pub(super) struct Connection {
    /// Until it runs.
    entry: Option<Entry>,
    setting: Rc<Setting>,
    progress: Rc<Progress>,
    /// Once a host is reached; counts on it until the actor is dropped, whatever became of it.
    held: Option<Held>,
    /// What is on the far side of a relay.
    far: Option<Far>,
    /// Given back with the actor, unless that leaves it to a parked connection.
    permit: Option<OwnedSemaphorePermit>,
}

/// With what a connection comes to its actor.
pub(super) enum Entry {
    /// It was just accepted.
    Accepted(Stream),
    /// It was accepted by the predecessor, and nothing of it was read; for so long it was waited for.
    Untold(Stream, Duration),
    /// It was parked, and its peer has spoken.
    Parked(Box<Leave>),
    /// It is between two frames of RPC, and has come from the predecessor.
    Rpc(Box<Leave>, &'static str),
    /// It is a relay, and has come from the predecessor.
    Relay(Box<Arrived>),
}

/// What is on the far side of a relay.
enum Far {
    /// A host of this cluster; so many bytes of it had gone downstream in the predecessor.
    Host(Arc<config::Cluster>, u64),
    /// A host of the cluster of that name, which answered an HTTP request.
    Tunnel(ClusterName),
}

impl Connection {
    /// A connection that starts to serve as soon as it runs.
    pub(super) fn new(
        entry: Entry,
        permit: OwnedSemaphorePermit,
        setting: Rc<Setting>,
        progress: Rc<Progress>,
    ) -> Self {
        Self {
            entry: Some(entry),
            setting,
            progress,
            held: None,
            far: None,
            permit: Some(permit),
        }
    }

    /// With what a connection begins that was just accepted.
    fn first(&self, stream: Stream) -> Leave {
        Leave {
            stream,
            id: self.setting.next_connection(),
            addresses: None,
            stage: Stage::BeforeFirst,
            unread: Vec::new(),
        }
    }

    /// Serves requests, until the connection is over, is parked, moves, or becomes a relay.
    fn serve(&self, leave: Leave, parting: Parting, ctx: &mut Context<Self>) {
        let served = http::serve(self.connection(leave, parting, Spoken::HTTP1));
        ctx.spawn(
            served
                .into_actor(self)
                .map(|served, this, ctx| match served {
                    Served::Closed => ctx.stop(),
                    Served::Leaves(leave) => this.park(leave, ctx),
                    Served::Moves(leave) => this.move_http(leave, ctx),
                    Served::Tunnel(tunnel) => {
                        let (upstream, held) = tunnel.upstream.into_parts();
                        this.held = Some(held);
                        this.far = Some(Far::Tunnel(tunnel.cluster));
                        let flow = Rc::clone(&this.progress.flow);
                        let relay = Relay::new(tunnel.downstream, upstream, flow);
                        this.relay(
                            relay.after(tunnel.from_downstream, tunnel.from_upstream),
                            ctx,
                        );
                    }
                }),
        );
    }

    /// Finds out what the connection speaks that is waited for since then, and serves that.
    fn find_out(&self, leave: Leave, parting: Parting, since: Since, ctx: &mut Context<Self>) {
        let (setting, flow) = (Rc::clone(&self.setting), Rc::clone(&self.progress.flow));
        let found = async move {
            let speaks = tokio::select! {
                biased;
                speaks = setting.find_out(&leave.stream, since) => speaks,
                () = poll_fn(|cx| flow.bell.poll_call(cx)) => Speaks::Untold,
            };
            (leave, speaks)
        };
        ctx.spawn(
            found
                .into_actor(self)
                .map(move |(leave, speaks), this, ctx| match speaks {
                    Speaks::Http1 => this.serve(leave, parting, ctx),
                    Speaks::Rpc(name) => this.serve_rpc(leave, parting, name, ctx),
                    Speaks::Other => this.open(leave.stream, ctx),
                    Speaks::Nothing => ctx.stop(),
                    Speaks::Untold => this.move_untold(leave, since, ctx),
                }),
        );
    }

    /// Serves requests that come and are answered in any order, until the connection is over or
    /// moves.
    fn serve_rpc(
        &self,
        leave: Leave,
        parting: Parting,
        speaks: &'static str,
        ctx: &mut Context<Self>,
    ) {
        let served = rpc::serve(self.connection(leave, parting, speaks));
        ctx.spawn(
            served
                .into_actor(self)
                .map(move |served, this, ctx| match served {
                    rpc::Served::Closed => ctx.stop(),
                    rpc::Served::Moves(leave) => this.move_rpc(leave, speaks, ctx),
                }),
        );
    }

    fn connection(
        &self,
        leave: Leave,
        parting: Parting,
        speaks: &'static str,
    ) -> http::Connection<Setting> {
        http::Connection {
            id: leave.id,
            setting: Rc::clone(&self.setting),
            stream: leave.stream,
            flow: Rc::clone(&self.progress.flow),
            goodbye: Rc::clone(&self.setting.goodbye),
            addresses: leave.addresses.map_or_else(OnceCell::new, OnceCell::from),
            stage: leave.stage,
            unread: leave.unread,
            parting,
            speaks,
        }
    }

    /// Has the connection wait without this actor, or goes on with it where that cannot be.
    fn park(&mut self, leave: Leave, ctx: &mut Context<Self>) {
        let Some(permit) = self.permit.take() else {
            return ctx.stop();
        };
        let Leave {
            stream,
            id,
            addresses,
            stage,
            unread,
        } = leave;
        let past = Past {
            id,
            stage,
            addresses: addresses.map(Box::new),
            idle_timeout: self.progress.idle_timeout.get(),
            quiet: self.progress.quiet.get(),
            permit,
            generation: self.setting.post.generation,
            counted: Counted::new(&self.setting.counters),
        };
        match self.setting.parking.park(stream, past) {
            Ok(()) => {
                self.progress.flow.bell.note_left();
                ctx.stop();
            }
            Err(back) => {
                let (stream, past) = *back;
                past.counted.hand_over();
                self.permit = Some(past.permit);
                let addresses = past.addresses.map(|addresses| *addresses);
                self.serve(
                    Leave {
                        stream,
                        id,
                        addresses,
                        stage,
                        unread,
                    },
                    Parting::Moves,
                    ctx,
                );
            }
        }
    }

    /// Reaches a host and relays to it.
    fn open(&self, downstream: Stream, ctx: &mut Context<Self>) {
        // Two futures, not one: an idle connection must not hold the memory of its beginning.
        let (setting, progress) = (Rc::clone(&self.setting), Rc::clone(&self.progress));
        let open = async move {
            let reached = open(&downstream, &setting, &progress).await;
            reached.map(|reached| (downstream, reached))
        };
        ctx.spawn(open.into_actor(self).map(|opened, this, ctx| match opened {
            Some((downstream, reached)) => {
                let Reached {
                    upstream,
                    held,
                    settings,
                } = reached;
                this.held = Some(held);
                this.far = Some(Far::Host(settings, 0));
                let flow = Rc::clone(&this.progress.flow);
                this.relay(Relay::new(downstream, upstream, flow), ctx);
            }
            None => ctx.stop(),
        }));
    }

    /// Relays until both sides have ended, or the relay moves.
    fn relay(&mut self, mut relay: Relay, ctx: &mut Context<Self>) {
        let host = self.held.as_ref().map(|held| &**held.lease.host());
        self.progress.flow.carried_by(host);
        let runs = async move {
            let ended = (&mut relay).await;
            (ended, relay)
        };
        ctx.spawn(
            runs.into_actor(self)
                .map(|(ended, relay), this, ctx| match ended.end {
                    End::Called => this.move_pair(relay, ctx),
                    _ => {
                        drop(relay);
                        this.ended(&ended);
                        ctx.stop();
                    }
                }),
        );
    }

    /// Adds what was relayed here to what the host has carried.
    fn count_bytes(&self) {
        if let Some(Held { lease, .. }) = &self.held {
            let flow = &self.progress.flow;
            lease
                .load()
                .count_bytes(flow.sent.get(), flow.received.get());
        }
    }

    fn ended(&mut self, ended: &Ended) {
        self.count_bytes();
        let Some(Held { lease, .. }) = &mut self.held else {
            return;
        };
        if ended.by == Side::Upstream {
            lease.ends(Ending::Remote);
        }
        let flow = &self.progress.flow;
        let (received, sent) = (flow.received.get(), flow.sent.get());
        if let Some(Far::Host(cluster, before)) = &self.far
            && let Some(conduct) = conduct(ended, before + sent)
        {
            let suspicion = upstream::note(cluster, lease.host(), conduct, now());
            suspicion
                .into_iter()
                .for_each(|one| self.setting.suspect(one));
        }
        slog::debug!(self.setting.log, "connection ended"; "upstream" => %**lease,
            "why" => ?ended, "received" => received, "sent" => sent);
    }
}

/// What the end of a relay says of its host, which had sent so many bytes; perhaps nothing.
fn conduct(ended: &Ended, sent: u64) -> Option<Conduct> {
    match (ended.by, &ended.end) {
        _ if sent > 0 => Some(Conduct::Relayed),
        (Side::Upstream, End::Reset | End::Failed(_)) => Some(Conduct::Failed),
        _ => None,
    }
}

fn now() -> Instant {
    Instant::now()
}

impl Actor for Connection {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let (downstream, waited) = match self.entry.take() {
            Some(Entry::Accepted(stream)) => (stream, Duration::ZERO),
            Some(Entry::Untold(stream, waited)) => (stream, waited),
            // Whatever its listener has become: it was promised to be served.
            Some(Entry::Parked(leave)) => return self.serve(*leave, Parting::Moves, ctx),
            Some(Entry::Rpc(leave, speaks)) => {
                return self.serve_rpc(*leave, Parting::Moves, speaks, ctx);
            }
            Some(Entry::Relay(arrived)) => return self.go_on(*arrived, ctx),
            None => return,
        };
        match &self.setting.post.settings().filter {
            NetworkFilter::Auto(_) => {
                let since = Since::now().checked_sub(waited).unwrap_or_else(Since::now);
                self.find_out(self.first(downstream), Parting::Moves, since, ctx);
            }
            NetworkFilter::Close => ctx.stop(),
            NetworkFilter::Proxy(_) => self.serve(self.first(downstream), Parting::Moves, ctx),
            NetworkFilter::Rpc(rpc) => {
                let fitting = self.setting.post.fitting.load();
                match fitting.codecs.find(rpc.protocol.name()) {
                    Some(known) => {
                        let (leave, speaks) = (self.first(downstream), known.codec.name());
                        self.serve_rpc(leave, Parting::Moves, speaks, ctx);
                    }
                    // Nobody brings it, which was said when the listener was made.
                    None => ctx.stop(),
                }
            }
            NetworkFilter::TcpProxy(_) => self.open(downstream, ctx),
        }
    }
}
