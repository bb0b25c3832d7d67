//! Hosts that fail and return at random under load, with a check that sees it a moment later.
//!
//! A run takes a few seconds; `FALLING_SECONDS=60` makes it longer.
#![expect(clippy::print_stdout, reason = "a run says what it counted")]

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use banyan::{Health, HostAddress};
use futures::future::join_all;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tokio::sync::Notify;

use crate::site::{Running, Site, cluster, to};
use crate::talk::{Peer, Web, reply};

const HOSTS: usize = 6;
const CLIENTS: usize = 6;

/// From one look of the check at the hosts to the next.
const CHECK: Duration = Duration::from_millis(200);

/// A host that can be told to fail: then it closes every connection, without an answer.
struct Falling {
    address: SocketAddr,
    state: Rc<State>,
    _web: Web,
}

#[derive(Default)]
struct State {
    is_down: Cell<bool>,
    falls: Notify,
    /// When each request came.
    arrivals: RefCell<Vec<Instant>>,
}

impl Falling {
    async fn start() -> Self {
        let state = Rc::new(State::default());
        let of_peers = state.clone();
        let web = Web::scripted(move |peer| serve(peer, of_peers.clone())).await;
        Self {
            address: web.address,
            state,
            _web: web,
        }
    }

    fn turn(&self, is_down: bool) {
        self.state.is_down.set(is_down);
        if is_down {
            self.state.falls.notify_waiters();
        }
    }

    fn count(&self) -> usize {
        self.state.arrivals.borrow().len()
    }
}

async fn serve(mut peer: Peer, state: Rc<State>) {
    loop {
        let request = tokio::select! {
            request = peer.request() => request,
            () = state.falls.notified() => return,
        };
        if request.is_err() {
            return;
        }
        state.arrivals.borrow_mut().push(Instant::now());
        if state.is_down.get() {
            return;
        }
        peer.send(reply(200, "", "")).await;
    }
}

/// What was seen of a whole run.
#[derive(Debug, Default)]
struct Seen {
    requests: usize,
    failed: usize,
    turns: usize,
    /// Requests that came to a host later than one check after it was marked down.
    late: usize,
    /// Of each host while all that failed were marked: requests, and how many they would be if all
    /// healthy hosts had the same, with the variance of that.
    shares: Vec<(f64, f64, f64)>,
}

/// Clients that ask one request after the other until they are stopped.
async fn load(running: &Running, going: &Cell<bool>) -> (usize, usize) {
    let clients = (0..CLIENTS).map(|_| async {
        let mut client = running.client().await;
        let (mut requests, mut failed) = (0, 0);
        while going.get() {
            requests += 1;
            failed += usize::from(client.fetch("/").await.status() != 200);
        }
        (requests, failed)
    });
    let counts = join_all(clients).await;
    counts
        .into_iter()
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

/// Lets hosts fail and return, and marks them as a check would that looks once in a while.
async fn check(running: &Running, hosts: &[Falling], seed: u64, lasts: Duration) -> Seen {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut seen = Seen {
        shares: vec![(0.0, 0.0, 0.0); HOSTS],
        ..Seen::default()
    };
    let mut down = HashSet::new();
    let end = Instant::now() + lasts;
    while Instant::now() < end {
        let turned: Vec<_> = (0..HOSTS).filter(|_| rng.random_bool(0.3)).collect();
        // Hosts fall only where one stays that is up and known to be: nobody could serve what
        // comes before the check has seen who returns.
        let mut others = (0..HOSTS).filter(|at| !turned.contains(at));
        let may_fall = others.any(|at| !down.contains(&at));
        for &at in &turned {
            if !down.remove(&at) && may_fall {
                down.insert(at);
            }
            hosts[at].turn(down.contains(&at));
        }
        tokio::time::sleep(CHECK / 2).await;
        for &at in &turned {
            let health = match down.contains(&at) {
                true => Health::Unhealthy,
                false => Health::Healthy,
            };
            let address = HostAddress::from(hosts[at].address);
            let set = running.proxy.set_health("main", address, health).await;
            assert!(set.unwrap());
            seen.turns += 1;
        }
        // What was on its way has arrived.
        tokio::time::sleep(CHECK).await;
        settled(hosts, &down, &mut seen).await;
    }
    seen
}

/// A while in which no host turns and every failed one is marked.
async fn settled(hosts: &[Falling], down: &HashSet<usize>, seen: &mut Seen) {
    let before: Vec<_> = hosts.iter().map(Falling::count).collect();
    tokio::time::sleep(CHECK).await;
    let after = hosts.iter().map(Falling::count);
    let came: Vec<_> = after
        .zip(before)
        .map(|(after, before)| after - before)
        .collect();
    let all: usize = came.iter().sum();
    let share = 1.0 / (HOSTS - down.len()) as f64;
    for (at, came) in came.into_iter().enumerate() {
        if down.contains(&at) {
            // It was marked down one check ago.
            seen.late += came;
            continue;
        }
        let (requests, fair, variance) = &mut seen.shares[at];
        *requests += came as f64;
        *fair += all as f64 * share;
        *variance += all as f64 * share * (1.0 - share);
    }
}

async fn hosts_fall(lb_type: &str, seed: u64) {
    let seconds = std::env::var("FALLING_SECONDS").ok();
    let seconds = seconds.map_or(2, |seconds| seconds.parse().unwrap());
    let hosts = join_all((0..HOSTS).map(|_| Falling::start())).await;
    let addresses: Vec<_> = hosts.iter().map(|host| host.address).collect();
    let mut main = cluster("main", &addresses);
    main["lb_type"] = json!(lb_type);
    let retry = json!({ "retry_policy": { "retry_on": true, "num_retries": 5 } });
    let site = Site::routes(json!([to("main", retry)])).with_cluster(main);
    let running = site.start().await;
    let going = Cell::new(true);

    let checked = async {
        let seen = check(&running, &hosts, seed, Duration::from_secs(seconds)).await;
        going.set(false);
        seen
    };
    let ((requests, failed), mut seen) = tokio::join!(load(&running, &going), checked);
    (seen.requests, seen.failed) = (requests, failed);

    println!("{lb_type}: {seen:?}");
    assert!(seen.requests > 0 && seen.turns > 0, "{seen:?}");
    assert_eq!((seen.failed, seen.late), (0, 0), "{seen:?}");
    for (requests, fair, variance) in &seen.shares {
        // Requests on their way at either end of a settled while belong to no share.
        let off = (requests - fair).abs();
        assert!(off <= 4.0 * variance.sqrt() + CLIENTS as f64, "{seen:?}");
    }
    running.end().await;
}

#[actix::test]
async fn hosts_that_fall_at_random_cost_no_request_in_turn() {
    hosts_fall("LB_ROUNDROBIN", 1).await;
}

#[actix::test]
async fn hosts_that_fall_at_random_cost_no_request_by_chance() {
    hosts_fall("LB_RANDOM", 2).await;
}

#[actix::test]
async fn hosts_that_fall_at_random_cost_no_request_where_the_least_loaded_is_chosen() {
    hosts_fall("LB_LEAST_REQUEST", 3).await;
}
