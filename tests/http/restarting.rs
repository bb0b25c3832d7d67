//! Upstreams that restart at random under load, as a rolling update or a crash has them do.
//!
//! A run makes 2,000 requests; `RESTARTING_REQUESTS=10000` makes it longer.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;

use futures::future::join_all;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_local};

use crate::site::{Running, Site};
use crate::talk::{Message, Peer, get, post, reply};

const HOSTS: usize = 4;
const CLIENTS: usize = 6;

/// Of so many requests one is a POST.
const POSTS: usize = 4;

/// How the connections of a host end with it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// In peace, whatever they are at.
    Closed,
    /// As those of a process that was killed.
    Reset,
}

/// A host that can be taken down: then nobody listens, and its connections end.
struct Host {
    address: SocketAddr,
    /// Keeps the port from everybody else while nobody listens.
    _place: Socket,
    life: Rc<Life>,
    accepting: Cell<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Life {
    end: Cell<Option<End>>,
    ends: Notify,
    /// How often each POST was heard, by its target.
    posts: RefCell<HashMap<String, usize>>,
}

/// A socket at this address, beside which others may listen that wish so too.
fn socket(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket
}

impl Host {
    fn new() -> Self {
        let place = socket(SocketAddr::from(([127, 0, 0, 1], 0)));
        let address = place.local_addr().unwrap().as_socket().unwrap();
        let host = Self {
            address,
            _place: place,
            life: Rc::default(),
            accepting: Cell::default(),
        };
        host.rise();
        host
    }

    fn rise(&self) {
        self.life.end.set(None);
        let listening = socket(self.address);
        listening.listen(128).unwrap();
        let listener = TcpListener::from_std(listening.into()).unwrap();
        let life = self.life.clone();
        self.accepting.set(Some(spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                spawn_local(serve(Peer::accepted(stream), life.clone()));
            }
        })));
    }

    async fn fall(&self, end: End) {
        self.life.end.set(Some(end));
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
            let _ = accepting.await;
        }
        self.life.ends.notify_waiters();
    }
}

/// Answers each request with its target, until its host ends: then at whatever point it is.
async fn serve(mut peer: Peer, life: Rc<Life>) {
    let end = loop {
        let request = tokio::select! {
            biased;
            () = life.ends.notified() => break life.end.get(),
            request = peer.request() => request,
        };
        let Ok(request) = request else {
            return;
        };
        note(&life, &request);
        if let Some(end) = life.end.get() {
            break Some(end);
        }
        peer.send(reply(200, "", request.target())).await;
    };
    if end == Some(End::Reset) {
        peer.stream.set_zero_linger().unwrap();
    }
}

fn note(life: &Life, request: &Message) {
    if request.first.starts_with("POST") {
        let mut posts = life.posts.borrow_mut();
        *posts.entry(request.target().to_owned()).or_default() += 1;
    }
}

/// What the clients saw.
#[derive(Default)]
struct Seen {
    /// How many requests of each client were answered.
    answered: [Cell<usize>; CLIENTS],
    progress: Notify,
    /// What went wrong with a GET, or with anybody's answer.
    wrong: RefCell<Vec<String>>,
    /// POSTs that were not answered by their host: some may have been heard by it.
    unanswered: Cell<usize>,
    restarts: Cell<usize>,
}

/// One client's requests, one after the other.
async fn ask(running: &Running, seen: &Seen, at: usize, requests: usize) {
    let mut client = running.client().await;
    for number in 0..requests {
        let target = format!("/{at}/{number}");
        let is_post = number % POSTS == 0;
        let request = match is_post {
            true => post(&target, "order"),
            false => get(&target),
        };
        let answer = client.ask(request).await;
        match answer.said() {
            (200, text) if text == target => {}
            (502, _) if is_post => seen.unanswered.set(seen.unanswered.get() + 1),
            other => seen.wrong.borrow_mut().push(format!("{target}: {other:?}")),
        }
        if answer.field("connection") == Some("close") {
            client = running.client().await;
        }
        seen.answered[at].set(number + 1);
        seen.progress.notify_waiters();
    }
}

impl Seen {
    /// Waits until each client has been answered once more, or has done; so no request sees more
    /// than two turns of hosts, and finds one that is up, however slow this machine is.
    async fn turn(&self, requests: usize) {
        let before: Vec<_> = self.answered.iter().map(Cell::get).collect();
        let is_over = || {
            let mut pairs = self.answered.iter().map(Cell::get).zip(&before);
            pairs.all(|(now, &before)| now > before || now == requests)
        };
        while !is_over() {
            self.progress.notified().await;
        }
    }

    fn is_done(&self, requests: usize) -> bool {
        self.answered
            .iter()
            .all(|answered| answered.get() == requests)
    }
}

async fn restart(hosts: &[Host], seen: &Seen, requests: usize) {
    let mut rng = SmallRng::seed_from_u64(1);
    while !seen.is_done(requests) {
        let host = &hosts[rng.random_range(0..HOSTS)];
        let end = match rng.random_bool(0.5) {
            true => End::Reset,
            false => End::Closed,
        };
        // Somewhere between two answers, or within one.
        for _ in 0..rng.random_range(0..4) {
            tokio::task::yield_now().await;
        }
        host.fall(end).await;
        seen.turn(requests).await;
        host.rise();
        seen.restarts.set(seen.restarts.get() + 1);
        seen.turn(requests).await;
    }
}

#[actix::test]
async fn restarts_of_upstreams_cost_no_get_and_send_no_post_twice() {
    let requests = std::env::var("RESTARTING_REQUESTS").ok();
    let requests = requests.map_or(2_000, |requests| requests.parse().unwrap());
    let each = requests / CLIENTS;
    let hosts: Vec<_> = (0..HOSTS).map(|_| Host::new()).collect();
    let addresses: Vec<_> = hosts.iter().map(|host| host.address).collect();
    let retry = json!({ "retry_policy": { "retry_on": true, "num_retries": 3 } });
    let running = Site::forwarding(&addresses, retry).start().await;
    let seen = Seen::default();

    let asking = join_all((0..CLIENTS).map(|at| ask(&running, &seen, at, each)));
    tokio::join!(asking, restart(&hosts, &seen, each));

    let mut heard: HashMap<String, usize> = HashMap::new();
    for host in &hosts {
        for (target, times) in &*host.life.posts.borrow() {
            *heard.entry(target.clone()).or_default() += times;
        }
    }
    let twice: Vec<_> = heard.iter().filter(|&(_, &times)| times > 1).collect();
    let (restarts, unanswered) = (seen.restarts.get(), seen.unanswered.get());
    println!("{requests} requests, {restarts} restarts, {unanswered} POSTs without answer");
    assert_eq!(*seen.wrong.borrow(), [""; 0]);
    assert!(twice.is_empty(), "{twice:?}");
    assert!(restarts > each / 10, "only {restarts} restarts");
    running.end().await;
}
