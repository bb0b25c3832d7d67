//! Hosts that fail and return at random under load, and who marks them: the test, as a check would
//! that looks once in a while, or the cluster's own check.
//!
//! A run takes a few seconds; `FALLING_SECONDS=60` makes it longer.
#![expect(clippy::print_stdout, reason = "a run says what it counted")]

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use banyan::{Health, HealthTurned, HostAddress};
use futures::future::join_all;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tokio::sync::Notify;

use crate::site::{Running, Site, cluster, to};
use crate::support::soon;
use crate::talk::{Peer, Web, reply};

const HOSTS: usize = 6;
const CLIENTS: usize = 6;

/// From one look of the check at the hosts to the next.
const CHECK: Duration = Duration::from_millis(200);

/// What the cluster's own check asks for.
const PROBED: &str = "/probe";

/// When each request was begun, by the number in its path.
type Begun = Rc<RefCell<Vec<Instant>>>;

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
    /// How many requests came.
    arrivals: Cell<usize>,
    begun: Begun,
    /// Since when it is known to be marked down, while it is down.
    marked: Cell<Option<Instant>>,
    /// How many of the requests were begun after that.
    late: Cell<usize>,
}

impl Falling {
    async fn start(begun: Begun) -> Self {
        let state = Rc::new(State {
            begun,
            ..State::default()
        });
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
        } else {
            self.state.marked.set(None);
        }
    }
}

async fn serve(mut peer: Peer, state: Rc<State>) {
    loop {
        let request = tokio::select! {
            request = peer.request() => request,
            () = state.falls.notified() => return,
        };
        let Ok(request) = request else { return };
        if request.target() != PROBED {
            state.arrivals.set(state.arrivals.get() + 1);
            let number: usize = request.target()[1..].parse().unwrap();
            let begun = state.begun.borrow()[number];
            let is_late = state.marked.get().is_some_and(|marked| begun > marked);
            state.late.set(state.late.get() + usize::from(is_late));
        }
        if state.is_down.get() {
            return;
        }
        peer.send(reply(200, "", "")).await;
    }
}

/// Who marks the hosts that have turned.
enum Marks {
    /// The test.
    Commands,
    /// The cluster's check; what is heard of it.
    Probes(Rc<Heard>),
}

/// What a subscriber hears of the hosts' health.
struct Heard {
    states: Vec<(HostAddress, Rc<State>)>,
    /// Those that are marked down.
    down: RefCell<HashSet<usize>>,
    turned: Notify,
    turns: Cell<usize>,
}

struct Subscriber(Rc<Heard>);

impl Actor for Subscriber {
    type Context = Context<Self>;
}

impl Handler<HealthTurned> for Subscriber {
    type Result = ();

    fn handle(&mut self, turned: HealthTurned, _: &mut Context<Self>) {
        let heard = &self.0;
        let mut states = heard.states.iter();
        let at = states.position(|(address, _)| *address == turned.address);
        let (at, is_marked) = (at.unwrap(), turned.health == Health::Unhealthy);
        match is_marked {
            true => heard.down.borrow_mut().insert(at),
            false => heard.down.borrow_mut().remove(&at),
        };
        let state = &heard.states[at].1;
        if is_marked && state.is_down.get() {
            state.marked.set(Some(Instant::now()));
        }
        heard.turns.set(heard.turns.get() + 1);
        heard.turned.notify_waiters();
    }
}

impl Marks {
    async fn heard(running: &Running, hosts: &[Falling]) -> Self {
        let state = |host: &Falling| (host.address.into(), host.state.clone());
        let heard = Rc::new(Heard {
            states: hosts.iter().map(state).collect(),
            down: RefCell::default(),
            turned: Notify::new(),
            turns: Cell::default(),
        });
        let subscriber = Subscriber(heard.clone()).start().recipient();
        running.proxy.subscribe_health(subscriber).await.unwrap();
        Self::Probes(heard)
    }

    /// Whether it is known of a host that it is up.
    fn knows(&self, at: usize) -> bool {
        match self {
            Self::Commands => true,
            Self::Probes(heard) => !heard.down.borrow().contains(&at),
        }
    }

    /// Marks those that have turned, or awaits that all are marked.
    async fn follow(
        &self,
        running: &Running,
        hosts: &[Falling],
        turned: &[usize],
        down: &HashSet<usize>,
    ) {
        match self {
            Self::Commands => {
                tokio::time::sleep(CHECK / 2).await;
                for &at in turned {
                    let health = match down.contains(&at) {
                        true => Health::Unhealthy,
                        false => Health::Healthy,
                    };
                    let address = HostAddress::from(hosts[at].address);
                    let set = running.proxy.set_health("main", address, health).await;
                    assert!(set.unwrap());
                    let marked = down.contains(&at).then(Instant::now);
                    hosts[at].state.marked.set(marked);
                }
            }
            Self::Probes(heard) => {
                let all = async {
                    loop {
                        let turn = heard.turned.notified();
                        if *heard.down.borrow() == *down {
                            return;
                        }
                        turn.await;
                    }
                };
                soon("all are marked", all).await;
            }
        }
    }
}

/// What was seen of a whole run.
#[derive(Debug, Default)]
struct Seen {
    requests: usize,
    failed: usize,
    turns: usize,
    marks: usize,
    /// Requests that came to a host although they were begun after it was marked down.
    late: usize,
    /// Of each host while all that failed were marked: requests, and how many they would be if all
    /// healthy hosts had the same, with the variance of that.
    shares: Vec<(f64, f64, f64)>,
}

/// Clients that ask one request after the other until they are stopped.
async fn load(running: &Running, begun: &Begun, going: &Cell<bool>) -> (usize, usize) {
    let clients = (0..CLIENTS).map(|_| async {
        let mut client = running.client().await;
        let (mut requests, mut failed) = (0, 0);
        while going.get() {
            let number = begun.borrow().len();
            begun.borrow_mut().push(Instant::now());
            requests += 1;
            let answer = client.fetch(&format!("/{number}")).await;
            failed += usize::from(answer.status() != 200);
        }
        (requests, failed)
    });
    let counts = join_all(clients).await;
    counts
        .into_iter()
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

/// Lets hosts fail and return, and has them marked.
async fn fall(
    running: &Running,
    hosts: &[Falling],
    marks: &Marks,
    seed: u64,
    lasts: Duration,
) -> Seen {
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
        let may_fall = others.any(|at| !down.contains(&at) && marks.knows(at));
        for &at in &turned {
            if !down.remove(&at) && may_fall {
                down.insert(at);
            }
            hosts[at].turn(down.contains(&at));
        }
        seen.turns += turned.len();
        if matches!(marks, Marks::Probes(_)) && rng.random_bool(0.5) {
            // Some turn again before they, or others, are marked.
            tokio::time::sleep(CHECK.mul_f64(rng.random())).await;
            continue;
        }
        marks.follow(running, hosts, &turned, &down).await;
        // What was on its way has arrived.
        tokio::time::sleep(CHECK).await;
        settled(hosts, &down, &mut seen).await;
    }
    seen.marks = match marks {
        Marks::Commands => seen.turns,
        Marks::Probes(heard) => heard.turns.get(),
    };
    seen.late = hosts.iter().map(|host| host.state.late.get()).sum();
    seen
}

/// A while in which no host turns and every failed one is marked.
async fn settled(hosts: &[Falling], down: &HashSet<usize>, seen: &mut Seen) {
    let count = |host: &Falling| host.state.arrivals.get();
    let before: Vec<_> = hosts.iter().map(count).collect();
    tokio::time::sleep(CHECK).await;
    let after = hosts.iter().map(count);
    let came: Vec<_> = after
        .zip(before)
        .map(|(after, before)| after - before)
        .collect();
    let all: usize = came.iter().sum();
    let share = 1.0 / (HOSTS - down.len()) as f64;
    let up = came
        .into_iter()
        .enumerate()
        .filter(|(at, _)| !down.contains(at));
    for (at, came) in up {
        let (requests, fair, variance) = &mut seen.shares[at];
        *requests += came as f64;
        *fair += all as f64 * share;
        *variance += all as f64 * share * (1.0 - share);
    }
}

/// Who marks the hosts of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Marked {
    ByCommand,
    ByProbe,
}

fn site(lb_type: &str, marked: Marked, hosts: &[Falling]) -> Site {
    let addresses: Vec<_> = hosts.iter().map(|host| host.address).collect();
    let mut main = cluster("main", &addresses);
    main["lb_type"] = json!(lb_type);
    if marked == Marked::ByProbe {
        main["health_check"] = json!({
            "service_name": "falling", "protocol": "Http1", "interval": "200ms", "timeout": "10s", "initial_delay_seconds": "1ms",
            "check_config": { "http_check_config": { "path": PROBED, "timeout": "10s" } },
        });
    }
    let retry = json!({ "retry_policy": { "retry_on": true, "num_retries": 5 } });
    Site::routes(json!([to("main", retry)])).with_cluster(main)
}

async fn hosts_fall(lb_type: &str, marked: Marked, seed: u64) {
    let seconds = std::env::var("FALLING_SECONDS").ok();
    let seconds = seconds.map_or(2, |seconds| seconds.parse().unwrap());
    let begun = Begun::default();
    let hosts = join_all((0..HOSTS).map(|_| Falling::start(begun.clone()))).await;
    let running = site(lb_type, marked, &hosts).start().await;
    let marks = match marked {
        Marked::ByCommand => Marks::Commands,
        Marked::ByProbe => Marks::heard(&running, &hosts).await,
    };
    let going = Cell::new(true);

    let falling = async {
        let lasts = Duration::from_secs(seconds);
        let seen = fall(&running, &hosts, &marks, seed, lasts).await;
        going.set(false);
        seen
    };
    let ((requests, failed), mut seen) = tokio::join!(load(&running, &begun, &going), falling);
    (seen.requests, seen.failed) = (requests, failed);

    println!("{lb_type}: {seen:?}");
    assert!(seen.requests > 0 && seen.turns > 0, "{seen:?}");
    assert!(seen.marks > 0, "{seen:?}");
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
    hosts_fall("LB_ROUNDROBIN", Marked::ByCommand, 1).await;
}

#[actix::test]
async fn hosts_that_fall_at_random_cost_no_request_by_chance() {
    hosts_fall("LB_RANDOM", Marked::ByCommand, 2).await;
}

#[actix::test]
async fn hosts_that_fall_at_random_cost_no_request_where_the_least_loaded_is_chosen() {
    hosts_fall("LB_LEAST_REQUEST", Marked::ByCommand, 3).await;
}

#[actix::test]
async fn hosts_that_fall_and_are_probed_cost_no_request_in_turn() {
    hosts_fall("LB_ROUNDROBIN", Marked::ByProbe, 4).await;
}

#[actix::test]
async fn hosts_that_fall_and_are_probed_cost_no_request_where_the_least_loaded_is_chosen() {
    hosts_fall("LB_LEAST_REQUEST", Marked::ByProbe, 5).await;
}
