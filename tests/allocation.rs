//! A choice of a host allocates nothing, whatever the balancer; a change of hosts the same, however many
//! clusters there are: counted by an allocator of the test's own.
#![expect(
    unsafe_code,
    reason = "an allocator that counts is made of another one"
)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use banyan::cluster::{Ask, Balances, Clue, Grade, Health, HostSet, Lease, Moment, Reason, Work};
use banyan::config::{
    Alone, Balancer, Bias, Choices, Cluster, Configuration, Document, Fallback, Host, HostAddress,
    Metadata, SlowStart, Subsets,
};
use banyan::{Plan, Proxy};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use serde_json::json;
use tokio::sync::Mutex;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

/// Of all threads.
static BYTES: AtomicUsize = AtomicUsize::new(0);

/// One test at a time: each counts what it does itself.
static ALONE: Mutex<()> = Mutex::const_new(());

struct Counting;

// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.with(|allocated| allocated.set(allocated.get() + 1));
        BYTES.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller keeps what `alloc` asks of it.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocated(during: impl FnOnce()) -> usize {
    let before = ALLOCATED.get();
    during();
    ALLOCATED.get() - before
}

const EVERY_BALANCER: [Balancer; 12] = [
    Balancer::InOrder,
    Balancer::LeastConnection(Choices::All),
    Balancer::LeastConnection(Choices::Random(2)),
    Balancer::LeastRequest(Choices::All),
    Balancer::LeastRequest(Choices::Random(2)),
    Balancer::Maglev,
    Balancer::OriginalDestination,
    Balancer::PeakEwma(Choices::All),
    Balancer::PeakEwma(Choices::Random(2)),
    Balancer::Random,
    Balancer::RoundRobin,
    Balancer::WeightedRoundRobin,
];

fn address(port: u16) -> HostAddress {
    SocketAddr::from(([127, 0, 0, 1], port)).into()
}

fn metadata(zone: u16) -> Metadata {
    [("zone".to_owned(), zone.to_string())].into()
}

/// Hundred hosts in four zones, some of them unhealthy, some busy.
fn hosts(settings: &Cluster, weight: impl Fn(u16) -> u32) -> (HostSet, Vec<Lease>) {
    let host = |port| Host {
        metadata: metadata(port % 4),
        weight: weight(port),
        ..Host::new(address(port))
    };
    let hosts: Vec<_> = (1..=100).map(host).collect();
    let mut set = HostSet::default()
        .divided(settings.subsets.as_ref())
        .with_hosts(&hosts);
    for port in [7, 20, 21] {
        set = set.with_health(&address(port), Reason::FailedCheck, Health::Unhealthy);
    }
    set.note_came(Moment::of(Instant::now()));
    let busy = set.hosts().iter().step_by(3);
    let leases = busy.map(|host| Lease::new(Arc::clone(host), Work::Relay));
    let leases = leases.collect();
    (set, leases)
}

#[test]
fn no_choice_allocates() {
    let _alone = ALONE.blocking_lock();
    let mut picked = 0;
    for balancer in EVERY_BALANCER {
        for weights_differ in [false, true] {
            for slowly in [false, true] {
                picked += choices(balancer, weights_differ, slowly);
            }
        }
    }
    assert_eq!(picked, EVERY_BALANCER.len() * 4 * 4 * 1000);
    assert!(
        allocated(|| drop(vec![0_u8; 9])) > 0,
        "the allocator counts"
    );
}

/// Makes choices with and without subset and exclusion; how many.
fn choices(balancer: Balancer, weights_differ: bool, slowly: bool) -> usize {
    let mut settings = Cluster::new("c", []);
    settings.balancer = balancer;
    settings.subsets = Some(Subsets {
        selectors: vec![vec!["zone".to_owned()]],
        fallback: Fallback::Any,
    });
    settings.slow_start = slowly.then_some(SlowStart {
        window: Duration::from_secs(60),
        aggression: 1.0,
        least: 0.1,
    });
    let weight = |port: u16| match weights_differ {
        true => 1 + u32::from(port) % 5,
        false => 1,
    };
    let (set, _leases) = hosts(&settings, weight);
    let tried = [Arc::clone(&set.hosts()[3]), Arc::clone(&set.hosts()[4])];
    let form = set.hosts()[0].load().form();
    let now = Moment::of(Instant::now());
    form.note(
        now,
        Some(Duration::from_millis(3)),
        Grade::Good,
        Bias::MEMORY,
    );
    let mut rng = SmallRng::seed_from_u64(1);
    let mut balances = Balances::new(Arc::new(settings), Arc::new(set), &mut rng);
    let mut count = 0;
    for zone in [None, Some(metadata(2))] {
        for excluded in [&[][..], &tried] {
            let clue = Clue {
                hash: Some(12_345),
                metadata: zone.clone().map(Arc::new),
                destination: Some(address(9)),
            };
            let ask = Ask::at(&Instant::now).excluding(excluded).with(&clue);
            // What a subset needs is made when it is first asked for.
            balances.pick(&ask, &mut rng).unwrap();
            let allocated = allocated(|| {
                for _ in 0..1000 {
                    balances.pick(&ask, &mut rng).unwrap();
                    count += 1;
                }
            });
            assert_eq!(allocated, 0, "{balancer:?}, {weights_differ}, {slowly}");
        }
    }
    count
}

/// A plan of so many clusters.
fn planned(clusters: usize) -> Configuration {
    let hosts = (1..=10).map(|port| Host::new(address(port)));
    let cluster = |n| Cluster::new(format!("c{n}"), hosts.clone());
    Plan::of((0..clusters).map(cluster), []).into()
}

/// The same with a document, as a file is.
fn written(clusters: usize) -> Configuration {
    let host = |port| json!({ "address": format!("127.0.0.1:{port}") });
    let hosts: Vec<_> = (1..=10).map(host).collect();
    let cluster = |n| json!({ "name": format!("c{n}"), "hosts": hosts });
    let clusters: Vec<_> = (0..clusters).map(cluster).collect();
    let document = json!({ "servers": [{}], "cluster_manager": { "clusters": clusters } });
    Configuration::of_document(&Document::from_json(&document), &Alone).unwrap()
}

/// The bytes that the whole proxy allocates for one change: the least of many, in which nothing else
/// was done.
async fn one_change(configuration: Configuration) -> usize {
    let clusters = configuration.plan().clusters.len();
    let proxy = Proxy::default().workers(1);
    let proxy = proxy.run(configuration).await.unwrap();
    let of = proxy.hosts(format!("c{}", clusters / 2));
    let mut least = usize::MAX;
    for weight in 1..=100 {
        let before = BYTES.load(Relaxed);
        of.weigh(address(1), weight).await.unwrap();
        least = least.min(BYTES.load(Relaxed) - before);
    }
    proxy.stop().await;
    proxy.ended().await.unwrap();
    least
}

#[actix::test]
async fn a_change_of_hosts_allocates_the_same_however_many_clusters_there_are() {
    const FEW: usize = 10;
    const MANY: usize = 2000;
    let _alone = ALONE.lock().await;
    for made in [planned, written] {
        let few = one_change(made(FEW)).await;
        let many = one_change(made(MANY)).await;
        // A list of pointers to the others would be twice as much.
        let most = few + (MANY - FEW) * size_of::<usize>() / 2;
        assert!(
            many < most,
            "{few} bytes among {FEW} clusters, {many} among {MANY}"
        );
    }
}
