//! What a scrape costs where there are many clusters: `cargo bench --bench scrape`.
//!
//! `-- CLUSTERS HOSTS` says how many, and how many hosts each has (500 and 10). Every host has answered
//! a request, so that every distribution has something to tell.

#![expect(clippy::print_stdout, reason = "a bench reports on stdout")]
#![expect(
    unsafe_code,
    reason = "an allocator that counts is made of another one"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::error::Error;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use banyan::actor::admin::{Access, Options, Reach};
use banyan::config::{Address, StatsMatcher};
use banyan::telemetry::metrics::Page;
use banyan::{Plan, Proxy, ProxyHandle};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

const SCRAPES: usize = 15;
const PERCENTILES: [u8; 3] = [50, 90, 99];

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        let held = HELD.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST.fetch_max(held, Relaxed);
        // SAFETY: the caller keeps what `alloc` asks of it.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What something took.
struct Cost {
    time: Duration,
    allocations: usize,
    /// The most memory that it held at a time.
    held: usize,
    bytes: usize,
}

fn cost(of: impl FnOnce() -> usize) -> Cost {
    let (allocations, held) = (ALLOCATIONS.load(Relaxed), HELD.load(Relaxed));
    MOST.store(held, Relaxed);
    let begun = Instant::now();
    let bytes = of();
    Cost {
        time: begun.elapsed(),
        allocations: ALLOCATIONS.load(Relaxed) - allocations,
        held: MOST.load(Relaxed) - held,
        bytes,
    }
}

/// The one that took the median time.
fn report(what: &str, mut costs: Vec<Cost>) {
    costs.sort_by_key(|cost| cost.time);
    let last = costs.len() - 1;
    let (least, most) = (costs[0].time, costs[last].time);
    let Cost {
        time,
        allocations,
        held,
        bytes,
    } = costs[last / 2];
    println!(
        "{what}: {time:.2?} ({least:.2?} to {most:.2?}), {:.2} MB, {allocations} allocations, \
         {:.2} MB held at most",
        bytes as f64 / 1e6,
        held as f64 / 1e6,
    );
}

#[actix::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let numbers: Vec<usize> = std::env::args().filter_map(|n| n.parse().ok()).collect();
    let (clusters, hosts) = match numbers[..] {
        [clusters, hosts] => (clusters, hosts),
        _ => (500, 10),
    };
    let home = tempfile::tempdir()?;
    let socket = home.path().join("admin.sock");
    let mut door = Options::new(Access::default());
    door.listen(Reach::Private, &Address::Unix(socket.clone()))?;
    let plan = Plan::from_json(&document(clusters, hosts, origin()?).to_string());
    let plan = plan.map_err(|found| found.to_text())?;
    let proxy = Proxy::default().workers(1).admin(door).run(plan).await?;
    let web: SocketAddr = proxy.snapshot().await?.listeners[0].address.parse()?;
    spawn_blocking(move || use_all(web, clusters, hosts)).await??;

    let samples = page(&proxy, &StatsMatcher::default(), &[]).lines().count();
    println!(
        "{clusters} clusters with {hosts} hosts each: a page of {samples} lines without percentiles"
    );
    for (what, excluded, percentiles) in [
        ("made", &[][..], &[][..]),
        ("made with 3 percentiles", &[], &PERCENTILES),
        ("made without hosts", &["host"], &PERCENTILES),
    ] {
        let matcher = StatsMatcher {
            exclusion_labels: excluded.iter().map(|&label| label.to_owned()).collect(),
            ..StatsMatcher::default()
        };
        let make = || cost(|| page(&proxy, &matcher, percentiles).len());
        report(what, (0..SCRAPES).map(|_| make()).collect());
    }
    let scrapes = spawn_blocking(move || -> std::io::Result<Vec<Cost>> {
        let scrape = |_| {
            let mut bytes = Ok(0);
            let took = cost(|| {
                bytes = scraped(&socket);
                bytes.as_ref().copied().unwrap_or_default()
            });
            bytes.map(|_| took)
        };
        (0..SCRAPES).map(scrape).collect()
    });
    report("scraped over the admin socket", scrapes.await??);
    Ok(())
}

fn page(proxy: &ProxyHandle, matcher: &StatsMatcher, percentiles: &[u8]) -> String {
    let mut page = Page::new(matcher, percentiles);
    page.objects(&proxy.metrics(matcher));
    page.finish()
}

fn document(clusters: usize, hosts: usize, port: u16) -> Value {
    // All of 127/8 is this machine.
    let address = |cluster: usize, host: usize| {
        let number = u32::try_from(cluster * hosts + host + 1).unwrap_or(u32::MAX);
        let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 0)) + number);
        json!({ "address": format!("{address}:{port}") })
    };
    let name = |cluster: usize| format!("cluster-{cluster}");
    let all: Vec<_> = (0..clusters)
        .map(|cluster| {
            let hosts: Vec<_> = (0..hosts).map(|host| address(cluster, host)).collect();
            json!({ "name": name(cluster), "lb_type": "LB_ROUNDROBIN", "hosts": hosts })
        })
        .collect();
    let routes: Vec<_> = (0..clusters)
        .map(|cluster| {
            let path = format!("/{cluster}");
            json!({ "match": { "path": path }, "route": { "cluster_name": name(cluster) } })
        })
        .collect();
    let filter = json!({ "type": "proxy", "config": {
        "downstream_protocol": "Http1", "router_config_name": "routes" } });
    json!({
        "servers": [{
            "listeners": [{ "name": "web", "address": "127.0.0.1:0", "bind_port": true,
                "filter_chains": [{ "filters": [filter] }] }],
            "routers": [{ "router_config_name": "routes", "virtual_hosts": [
                { "name": "all", "domains": ["*"], "routers": routes }] }],
        }],
        "cluster_manager": { "clusters": all },
    })
}

/// Answers one request a connection, on every address; its port.
fn origin() -> std::io::Result<u16> {
    let listener = TcpListener::bind("0.0.0.0:0")?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _read = stream.read(&mut [0; 1024]);
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _gone = stream.write_all(answer);
        }
    });
    Ok(port)
}

/// Has every host answer a request.
fn use_all(web: SocketAddr, clusters: usize, hosts: usize) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(web)?;
    stream.set_nodelay(true)?;
    for number in 0..clusters * hosts {
        let path = number / hosts;
        write!(stream, "GET /{path} HTTP/1.1\r\nhost: bench\r\n\r\n")?;
        let mut answer = Vec::new();
        let mut buffer = [0; 1024];
        while !answer.ends_with(b"\r\n\r\n") {
            match stream.read(&mut buffer)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                count => answer.extend(&buffer[..count]),
            }
        }
        assert!(
            answer.starts_with(b"HTTP/1.1 200 "),
            "request {number} failed"
        );
    }
    Ok(())
}

/// The bytes of a scrape.
fn scraped(socket: &Path) -> std::io::Result<usize> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let (mut bytes, mut buffer) = (0, vec![0; 1 << 16]);
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(bytes),
            count => bytes += count,
        }
    }
}
