//! The HTTP door for administrators.
//!
//! In: nothing; connections come over its sockets. Out: commands to the root, as from any door. The
//! sockets and everything that is shown belong to the root or are published, so it may fail and
//! nothing else notices. It runs on the control thread and no connection of the data path waits for
//! it; what takes long is done on a thread of its own.

mod access;
mod debug;
mod door;
mod dump;
mod explain;
mod openapi;
mod options;
mod process;
mod query;
mod reply;
mod routes;
mod scrape;
mod serve;
mod stats;
mod v1;
mod v2;
mod wire;

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use actix::prelude::*;
use futures::FutureExt;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::unistd::Uid;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::{sleep, timeout};

use crate::actor::root;
use crate::actor::supervisor::{self, ChildSpec, Life, StartError, View, run};
use crate::lifecycle::State;
use crate::net::Listening;
use crate::supervise::{Policy, Strategy};
use access::Peer;
pub use access::{Access, Role};
use door::Door;
pub(super) use door::Published;
use options::Socket;
pub use options::{DoorSocket, Options, Reach};
pub use process::{Logging, Process};
use wire::Paced;

/// When it fails so often it is given up, and the proxy goes on without it.
const POLICY: Policy = Policy {
    strategy: Strategy::OneForOne,
    max_restarts: 20,
    within: Duration::from_secs(10),
};

/// Connections that are served at once over the network; more wait in the kernel.
const NETWORK_CONNECTIONS: usize = 32;

/// Scrapers that are served at once.
const SCRAPES: usize = 8;

/// Connections over unix sockets, which no crowd on the network takes away.
const PRIVATE_CONNECTIONS: usize = 8;

/// How long a head may take, and a connection may be idle.
const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// How long a peer that has connected may take to ask, when the door is closed meanwhile.
const ASKS_WITHIN: Duration = Duration::from_secs(1);

/// How long a peer may take nothing of what is written.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);

/// How long a connection lasts, so that nobody keeps one for ever.
const CONNECTION_LASTS: Duration = Duration::from_secs(600);

/// The largest head, and the most fields in it.
const HEAD_BYTES: usize = 16 << 10;
const HEAD_FIELDS: usize = 64;

/// How long to wait when nothing can be accepted, or a socket is somebody else's.
const PAUSE: Duration = Duration::from_millis(500);

/// Starts the door below a supervisor of its own, so that its failures are its own.
pub(super) async fn start(
    options: Options,
    root: root::Handle,
    published: Published,
    log: slog::Logger,
    subtree: supervisor::Slot<View>,
) -> Result<Life, StartError> {
    let below = log.clone();
    let held = Held(options);
    let spec = ChildSpec::permanent("http", move || {
        let door = Door {
            root: root.clone(),
            published: published.clone(),
            options: held.0.clone(),
            log: below.clone(),
            turns: Semaphore::new(door::TURNS),
        };
        run(|_| Admin {
            door: Rc::new(door),
            network: slots(NETWORK_CONNECTIONS),
            scrapes: slots(SCRAPES),
            private: slots(PRIVATE_CONNECTIONS),
        })
        .1
    });
    let (handle, life) = supervisor::start("admin", POLICY, vec![spec], log);
    subtree.fill(handle.view());
    handle.started().await?;
    Ok(life)
}

/// The sockets, which the lives of the door have in turn. When there is no further life they are
/// closed: who connects is refused, and does not wait for nobody.
struct Held(Options);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.sockets().iter().for_each(|socket| socket.release());
    }
}

fn slots(count: usize) -> Rc<Semaphore> {
    Rc::new(Semaphore::new(count))
}

struct Admin {
    door: Rc<Door>,
    network: Rc<Semaphore>,
    scrapes: Rc<Semaphore>,
    private: Rc<Semaphore>,
}

impl Actor for Admin {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if self.door.options.sockets().is_empty() {
            // There is nothing to do, and that is no failure.
            ctx.spawn(pending::<()>().into_actor(self));
        }
        for socket in self.door.options.sockets() {
            let (socket, door) = (Arc::clone(socket), Rc::clone(&self.door));
            let slots = match socket.reach {
                Reach::Network => Rc::clone(&self.network),
                Reach::Scrape => Rc::clone(&self.scrapes),
                Reach::Private => Rc::clone(&self.private),
            };
            let served = async move { serve(&socket, door, slots).await };
            ctx.spawn(served.into_actor(self));
        }
    }
}

/// Accepts for as long as the door is this process', each time that it is.
async fn serve(socket: &Socket, door: Rc<Door>, slots: Rc<Semaphore>) {
    let mut open = door.published.open.clone();
    if socket.reach == Reach::Scrape {
        // The configuration says what is scraped: who comes before it runs waits.
        let mut state = door.published.state.clone();
        let _ended = state.wait_for(|state| *state != State::Starting).await;
    }
    // Without a root there is nobody to ask.
    while open.wait_for(|open| *open).await.is_ok() {
        if let Err(error) = accept_here(socket, &door, &slots).await {
            let log = &door.log;
            slog::error!(log, "the admin socket cannot be used: {error}"; "tag" => "admin");
            return;
        }
    }
}

/// Binds the socket, and accepts until that fails, or the door is another process'.
async fn accept_here(socket: &Socket, door: &Rc<Door>, slots: &Semaphore) -> io::Result<()> {
    let mut open = door.published.open.clone();
    let listening = tokio::select! {
        listening = bound(socket, &door.log) => listening,
        () = shut(&mut open) => return Ok(()),
    };
    let served = &socket.served;
    match socket.reach {
        Reach::Network => accept_network(&listening, door, slots, served, Peer::Network).await,
        Reach::Scrape => accept_network(&listening, door, slots, served, Peer::Scraper).await,
        Reach::Private => accept_private(&listening, door, slots, served).await,
    }
}

/// Waits until the door is not this process' any more.
async fn shut(open: &mut watch::Receiver<bool>) {
    // Without a root it is nobody's.
    let _ = open.wait_for(|open| !*open).await;
}

/// The socket, once it is ours.
async fn bound(socket: &Socket, log: &slog::Logger) -> Arc<Listening> {
    let mut said = false;
    loop {
        match socket.get() {
            Ok(listening) => return listening,
            Err(error) => {
                if !said {
                    slog::warn!(log, "{error}: it is tried again"; "tag" => "admin");
                }
                said = true;
                sleep(PAUSE).await;
            }
        }
    }
}

/// Connections of one socket, served here and each on its own: `futures` polls those that are woken.
type Flights<'a> = futures::stream::FuturesUnordered<futures::future::LocalBoxFuture<'a, ()>>;

async fn accept_network(
    listening: &Listening,
    door: &Rc<Door>,
    slots: &Semaphore,
    served: &AtomicUsize,
    who: fn(IpAddr) -> Peer,
) -> io::Result<()> {
    let listener = std::net::TcpListener::from(listening.as_fd().try_clone_to_owned()?);
    let listener = TcpListener::from_std(listener)?;
    accept(door, slots, served, async || {
        let (stream, address) = listener.accept().await?;
        let peer = who(address.ip());
        Ok((
            stream,
            peer,
            Arc::from(address.ip().to_canonical().to_string()),
        ))
    })
    .await
}

async fn accept_private(
    listening: &Listening,
    door: &Rc<Door>,
    slots: &Semaphore,
    served: &AtomicUsize,
) -> io::Result<()> {
    let listener = std::os::unix::net::UnixListener::from(listening.as_fd().try_clone_to_owned()?);
    let listener = UnixListener::from_std(listener)?;
    accept(door, slots, served, async || {
        let (stream, _) = listener.accept().await?;
        let uid = stream.peer_cred()?.uid();
        if uid != 0 && uid != Uid::effective().as_raw() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok((stream, Peer::Socket(uid), Arc::from(format!("uid {uid}"))))
    })
    .await
}

/// Serves at most as many connections as there are slots, and accepts no more than that.
async fn accept<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    door: &Rc<Door>,
    slots: &Semaphore,
    served: &AtomicUsize,
    mut next: impl AsyncFnMut() -> io::Result<(S, Peer, Arc<str>)>,
) -> io::Result<()> {
    use futures::StreamExt;
    let mut flights = Flights::new();
    let mut open = door.published.open.clone();
    loop {
        let accepted = async {
            let slot = slots.acquire().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((slot, next().await))
        };
        tokio::select! {
            // Once the door is shut nobody comes in any more.
            biased;
            Some(()) = flights.next(), if !flights.is_empty() => {}
            () = shut(&mut open) => break,
            accepted = accepted => match accepted? {
                (slot, Ok(connection)) => {
                    let flight = guarded(Rc::clone(door), connection, slot, Flight::of(served));
                    flights.push(flight.boxed_local());
                }
                (_, Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
                    slog::warn!(door.log, "another user's connection is refused"; "tag" => "admin");
                }
                (_, Err(error)) => {
                    slog::warn!(door.log, "cannot accept: {error}"; "tag" => "admin");
                    // Those that are served go on meanwhile.
                    let pause = sleep(PAUSE);
                    let mut pause = pin!(pause);
                    loop {
                        tokio::select! {
                            () = &mut pause => break,
                            Some(()) = flights.next(), if !flights.is_empty() => {}
                        }
                    }
                }
            }
        }
    }
    // Each ends with the answer that it is giving.
    while flights.next().await.is_some() {}
    Ok(())
}

/// One more that is served, while it lives.
struct Flight<'a>(&'a AtomicUsize);

impl<'a> Flight<'a> {
    fn of(served: &'a AtomicUsize) -> Self {
        served.fetch_add(1, Relaxed);
        Self(served)
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Serves a connection. What panics in it ends it alone.
async fn guarded<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    door: Rc<Door>,
    (stream, peer, by): (S, Peer, Arc<str>),
    slot: SemaphorePermit<'_>,
    _flight: Flight<'_>,
) {
    let log = door.log.clone();
    let served = AssertUnwindSafe(connection(door, stream, peer, Arc::clone(&by)));
    if served.catch_unwind().await.is_err() {
        slog::error!(log, "a request of {by} panicked"; "tag" => "admin");
    }
    drop(slot);
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    door: Rc<Door>,
    stream: S,
    peer: Peer,
    by: Arc<str>,
) {
    let mut open = door.published.open.clone();
    let (asks, mut asked) = watch::channel(false);
    let service = service_fn(move |request| {
        asks.send_replace(true);
        let answer = serve::answer(Rc::clone(&door), peer.clone(), Arc::clone(&by), request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let stream = TokioIo::new(Paced::new(stream, WRITE_PATIENCE));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_FIELDS)
        .serve_connection(stream, service);
    let mut connection = pin!(connection);
    // A peer that goes away, or is cut, has had its answer or does not want one.
    tokio::select! {
        _over = connection.as_mut() => return,
        () = shut(&mut open) => {}
        () = sleep(CONNECTION_LASTS) => {}
    }
    // Who has just connected is answered once: its request may be on its way.
    tokio::select! {
        _over = connection.as_mut() => return,
        _asked = timeout(ASKS_WITHIN, asked.wait_for(|asked| *asked)) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _cut = timeout(HEAD_WITHIN, connection).await;
}
