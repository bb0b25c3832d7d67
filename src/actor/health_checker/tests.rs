use std::cell::Cell;
use std::collections::HashMap;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

use super::*;
use crate::actor::checks::Means;
use crate::actor::clusters::Shelf;
use crate::actor::slot::Slot;
use crate::actor::subscribers::Subscribers;
use crate::config::{Cluster, HealthCheck, Host, HttpProbe, Probe};
use crate::telemetry::access_log::AccessLogs;
use crate::telemetry::checks::CheckTotals;
use crate::telemetry::log::Roller;
use crate::upstream::Book;

/// Probes of the test that may be under way at once.
const AT_ONCE: usize = 3;

/// The parts of a tree that checks need.
struct Tree {
    shelf: Shelf,
    checks: Checks,
    clusters: Slot<clusters::Handle>,
    _lives: Vec<Life>,
}

impl Tree {
    fn start() -> Self {
        let (shelf, clusters, logger) = (Shelf::default(), Slot::default(), Slot::default());
        let log = slog::Logger::root(slog::Discard, slog::o!());
        let access = AccessLogs::new(Roller::default(), jiff::tz::TimeZone::UTC);
        let means = Means {
            clusters: clusters.clone(),
            logger: logger.clone(),
            book: Book::default(),
            log: log.clone(),
        };
        let checks = Checks::with_probes(means, AT_ONCE);
        let lives = vec![
            logger::start(log.clone(), access, &logger),
            clusters::start(
                shelf.clone(),
                Subscribers::default(),
                log.clone(),
                logger.clone(),
                &clusters,
            ),
            checks.start().1,
        ];
        Self {
            shelf,
            checks,
            clusters,
            _lives: lives,
        }
    }

    async fn apply(&self, cluster: Cluster) {
        let put = clusters::put(&self.clusters, vec![Arc::new(cluster)]).await;
        put.unwrap();
        self.checks
            .follow(&self.shelf, HashMap::new())
            .await
            .unwrap();
    }

    fn totals(&self) -> CheckTotals {
        let current = self.shelf.find(&"origins".into()).unwrap();
        current.load().checks.totals(0)
    }

    async fn until(&self, holds: impl Fn(CheckTotals) -> bool) {
        let look = async {
            while !holds(self.totals()) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let looked = tokio::time::timeout(Duration::from_secs(60), look).await;
        assert!(looked.is_ok(), "waited in vain: {:?}", self.totals());
    }
}

/// Hosts of one server, each with an address of its own.
fn checked(port: u16, hosts: u8, check: HealthCheck) -> Cluster {
    let hosts = (1..=hosts).map(|host| Host::from(SocketAddr::from(([127, 0, 0, host], port))));
    let mut cluster = Cluster::new("origins", hosts);
    cluster.health_check = Some(check);
    cluster
}

fn http() -> HealthCheck {
    HealthCheck {
        probe: Probe::Http(HttpProbe::default()),
        timeout: Duration::from_secs(60),
        interval: Duration::from_secs(3600),
        initial_delay: Duration::from_millis(1),
        ..HealthCheck::new("s")
    }
}

/// Answers each request after a while, and counts how many wait at most.
async fn slow_server(most: Rc<Cell<usize>>) -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let open = Rc::new(Cell::new(0));
    spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            open.set(open.get() + 1);
            most.set(most.get().max(open.get()));
            spawn_local(answer(stream, Rc::clone(&open)));
        }
    });
    port
}

async fn answer(mut stream: TcpStream, open: Rc<Cell<usize>>) {
    let _head = stream.read(&mut [0; 1024]).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    // Before the answer: who has it makes room for the next one.
    open.set(open.get() - 1);
    let _ = stream
        .write_all(b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n")
        .await;
}

#[actix::test]
async fn no_more_probes_are_under_way_than_may_be_and_all_have_their_turn() {
    let most = Rc::<Cell<usize>>::default();
    let port = slow_server(Rc::clone(&most)).await;
    let tree = Tree::start();

    tree.apply(checked(port, 20, http())).await;

    tree.until(|totals| totals.success == 20).await;
    assert_eq!(most.get(), AT_ONCE);
    let totals = tree.totals();
    assert_eq!((totals.attempt, totals.failure), (20, 0));
    assert!(totals.waited >= 10, "{totals:?}");
}

#[actix::test]
async fn a_host_that_goes_and_comes_back_is_a_new_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let check = HealthCheck {
        probe: Probe::Tcp { port: None },
        ..http()
    };
    let tree = Tree::start();
    let is_out = || {
        let current = tree.shelf.find(&"origins".into()).unwrap();
        let snapshot = current.load();
        snapshot.hosts.hosts()[0].health() == Health::Unhealthy
    };
    tree.apply(checked(port, 1, check.clone())).await;
    tree.until(|totals| totals.failure == 1 && is_out()).await;

    tree.apply(checked(port, 0, check.clone())).await;
    tree.apply(checked(port, 1, check)).await;

    assert!(!is_out());
    tree.until(|totals| totals.failure == 2 && is_out()).await;
}

#[actix::test]
async fn what_is_found_is_said_before_the_hosts_are_left_and_whoever_takes_them_back_probes_on() {
    let port = slow_server(Rc::default()).await;
    let check = HealthCheck {
        interval: Duration::from_millis(1),
        ..http()
    };
    let tree = Tree::start();
    tree.apply(checked(port, 1, check)).await;
    tree.until(|totals| totals.success > 0).await;

    let conclusion = tree.checks.conclusion();
    let mut handed_over = Box::pin(tree.checks.hand_over());
    assert!(futures::poll!(&mut handed_over).is_pending());
    assert!(!tree.checks.are_ours());
    drop(conclusion);
    handed_over.await;
    let before = tree.totals();

    tree.checks.take_back();
    tree.until(|totals| totals.success > before.success + 1)
        .await;
}

#[actix::test]
async fn a_silent_host_is_a_failure_of_the_network() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let check = HealthCheck {
        timeout: Duration::from_millis(50),
        ..http()
    };
    let tree = Tree::start();

    tree.apply(checked(port, 1, check)).await;

    tree.until(|totals| totals.failure == 1).await;
    let totals = tree.totals();
    assert_eq!((totals.network_failure, totals.active_failure), (1, 0));
}
