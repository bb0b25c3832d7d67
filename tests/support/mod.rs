//! Scripted peers: origins that answer, clients that ask, and plans between them.

pub(crate) mod dns;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::os::fd::IntoRawFd;
use std::rc::Rc;
use std::time::Duration;

use banyan::{Plan, Proxy, ProxyHandle};
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::spawn_local;

/// How long a test waits for an event before it says which one never came.
const PATIENCE: Duration = Duration::from_secs(20);

/// Awaits something that must happen soon.
pub(crate) async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    let event = tokio::time::timeout(PATIENCE, event).await;
    event.unwrap_or_else(|_| panic!("waited {PATIENCE:?} in vain: {what}"))
}

/// Awaits a condition of the running proxy, looked at again and again.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let look = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    soon(what, look).await;
}

/// A server that counts its connections and lets each be treated by a script.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    visits: Rc<Cell<u64>>,
}

impl Origin {
    /// Treats each connection by `script`.
    pub(crate) async fn scripted<F>(script: impl Fn(TcpStream) -> F + 'static) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::scripted_on(any, script).await
    }

    /// Greets on this address, and closes.
    pub(crate) async fn greeting_on(address: SocketAddr) -> Self {
        Self::scripted_on(address, greet).await
    }

    async fn scripted_on<F>(address: SocketAddr, script: impl Fn(TcpStream) -> F + 'static) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let visits = Rc::new(Cell::new(0));
        let counted = visits.clone();
        spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.set(counted.get() + 1);
                spawn_local(script(stream));
            }
        });
        Self { address, visits }
    }

    /// Greets, and closes.
    pub(crate) async fn greeting() -> Self {
        Self::scripted(greet).await
    }

    /// Greets too, but always keeps the latest `held` connections waiting: the busiest origin,
    /// however fast or slow the machine is.
    pub(crate) async fn holding(held: usize) -> (Self, Release) {
        let release = Release::default();
        let waiting = release.clone();
        let origin = Self::scripted(move |stream| {
            let leaves = waiting.keep(stream, held);
            async move {
                if let Some(stream) = leaves {
                    greet(stream).await;
                }
            }
        })
        .await;
        (origin, release)
    }

    /// Sends back what it receives, and closes when the peer has.
    pub(crate) async fn echoing() -> Self {
        Self::scripted(|mut stream| async move {
            let (mut from, mut to) = stream.split();
            let _ = tokio::io::copy(&mut from, &mut to).await;
            let _ = to.shutdown().await;
        })
        .await
    }

    pub(crate) fn visits(&self) -> u64 {
        self.visits.get()
    }
}

async fn greet(mut stream: TcpStream) {
    // The client may have gone; that is its own affair.
    let _ = stream.write_all(b"welcome").await;
}

/// The connections that an origin keeps waiting.
#[derive(Clone, Default)]
pub(crate) struct Release(Rc<RefCell<VecDeque<TcpStream>>>);

impl Release {
    /// Takes one more in, and the eldest out when there are too many.
    fn keep(&self, stream: TcpStream, most: usize) -> Option<TcpStream> {
        let mut waiting = self.0.borrow_mut();
        waiting.push_back(stream);
        if waiting.len() > most {
            waiting.pop_front()
        } else {
            None
        }
    }

    /// Greets all that wait.
    pub(crate) async fn all(&self) {
        let waiting = self.0.take();
        join_all(waiting.into_iter().map(greet)).await;
    }
}

/// An address on which nobody listens, nor will, unless it is bound by name: a test that runs beside
/// this one must not come to it. For that the port stays taken until the process ends.
pub(crate) async fn refusing() -> SocketAddr {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    let _kept = socket.into_raw_fd();
    address
}

/// A cluster named `origins` as MOSN writes it.
pub(crate) fn cluster(lb_type: &str, hosts: &[SocketAddr]) -> Value {
    let hosts: Vec<_> = hosts
        .iter()
        .map(|host| json!({ "address": host.to_string() }))
        .collect();
    json!({ "name": "origins", "type": "SIMPLE", "lb_type": lb_type, "hosts": hosts })
}

/// A listener on any free port that relays to the cluster `origins`.
pub(crate) fn listener(name: &str) -> Value {
    json!({
        "name": name, "address": "127.0.0.1:0", "bind_port": true,
        "filter_chains": [{ "filters": [{
            "type": "tcp_proxy", "config": { "cluster": "origins" } }] }],
    })
}

pub(crate) fn plan(listeners: &[Value], clusters: &[Value]) -> Plan {
    let document = json!({
        "servers": [{ "listeners": listeners }],
        "cluster_manager": { "clusters": clusters },
    });
    Plan::from_json(&document.to_string()).unwrap()
}

/// A proxy of two workers with one listener, `app`, before these hosts.
pub(crate) async fn proxy(lb_type: &str, hosts: &[SocketAddr]) -> ProxyHandle {
    start(plan(&[listener("app")], &[cluster(lb_type, hosts)])).await
}

pub(crate) async fn start(plan: Plan) -> ProxyHandle {
    Proxy::default().workers(2).run(plan).await.unwrap()
}

/// Where a listener of the running proxy accepts.
pub(crate) async fn address(proxy: &ProxyHandle, listener: &str) -> SocketAddr {
    let overview = proxy.snapshot().await.unwrap();
    let found = overview
        .listeners
        .iter()
        .find(|l| l.name.as_str() == listener);
    found
        .unwrap_or_else(|| panic!("no listener `{listener}`"))
        .address
        .parse()
        .unwrap()
}

/// Connections that hosts count as active, all together.
pub(crate) async fn active(proxy: &ProxyHandle) -> u64 {
    let overview = proxy.snapshot().await.unwrap();
    overview
        .clusters
        .iter()
        .flat_map(|c| &c.hosts)
        .map(|host| host.connections_active)
        .sum()
}

/// Connects, sends `said`, closes the writing half, and returns all that comes back.
pub(crate) async fn exchange(to: SocketAddr, said: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(to).await?;
    stream.write_all(said).await?;
    stream.shutdown().await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

/// Connects `count` times, at most `at_once` at a time, and reads each to its end without saying
/// anything; how many failed or were told nothing.
pub(crate) async fn visit(to: SocketAddr, count: usize, at_once: usize) -> usize {
    let mut flights = FuturesUnordered::new();
    let (mut started, mut failed) = (0, 0);
    while started < count || !flights.is_empty() {
        while started < count && flights.len() < at_once {
            flights.push(listen(to));
            started += 1;
        }
        if let Some(answer) = flights.next().await {
            failed += usize::from(!answer.is_ok_and(|answer| !answer.is_empty()));
        }
    }
    failed
}

async fn listen(to: SocketAddr) -> std::io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    TcpStream::connect(to)
        .await?
        .read_to_end(&mut answer)
        .await?;
    Ok(answer)
}
