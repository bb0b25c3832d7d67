//! Counters that go on in the process that takes over.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::home::{Home, PATIENCE, until};
use crate::moves::{KeptAlive, connected, home};
use crate::peers::echo;
use crate::upgrade::{free_address, running};
use crate::upgrade_doors::over_tcp;

/// Every counter of a page, by name and labels; a histogram or summary by its count and sum.
type Counters = BTreeMap<String, f64>;

fn scrape(sink: SocketAddr) -> Counters {
    let scrape = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let page = over_tcp(sink, scrape).expect("it is served").body;
    let mut kinds = BTreeMap::new();
    let mut counters = Counters::new();
    for line in page.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a name has a type");
            kinds.insert(name, kind);
            continue;
        }
        if line.starts_with('#') || line.starts_with("process_") {
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a series has a value");
        let name = series.split('{').next().unwrap_or_default();
        let counts = ["_count", "_sum"].iter().any(|end| name.ends_with(end));
        if counts || kinds.get(name) == Some(&"counter") {
            counters.insert(series.to_owned(), value.parse().expect("it is a number"));
        }
    }
    counters
}

fn count(counters: &Counters, series: &str) -> f64 {
    let found = counters.get(series);
    *found.unwrap_or_else(|| panic!("no series {series} in {counters:#?}"))
}

/// Waits until these series are so. Some is counted a moment after it was seen; more than that would
/// stay.
fn comes_to(sink: SocketAddr, expected: &[(&str, f64)]) {
    let differs = || -> Vec<String> {
        let now = scrape(sink);
        let wrong = expected
            .iter()
            .filter(|(series, is)| count(&now, series) != *is);
        wrong
            .map(|(series, is)| format!("{series} is {} and not {is}", count(&now, series)))
            .collect()
    };
    let deadline = Instant::now() + PATIENCE;
    while !differs().is_empty() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(differs(), Vec::<String>::new());
}

/// Scrapes again and again; nothing ever falls.
struct Watch {
    stop: Arc<AtomicBool>,
    scrapes: JoinHandle<u32>,
}

impl Watch {
    fn over(sink: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let scrapes = thread::spawn(move || {
            let (mut before, mut scrapes) = (Counters::new(), 0);
            while !stopped.load(Relaxed) {
                let now = scrape(sink);
                for (series, value) in &before {
                    match now.get(series) {
                        Some(now) => assert!(now >= value, "{series} fell from {value} to {now}"),
                        // A host that has gone takes its own series along.
                        None => assert!(series.contains("host="), "{series} is missing"),
                    }
                }
                (before, scrapes) = (now, scrapes + 1);
            }
            scrapes
        });
        Self { stop, scrapes }
    }

    fn ends(self) {
        self.stop.store(true, Relaxed);
        let scrapes = self.scrapes.join().expect("nothing fell");
        assert!(scrapes > 10, "it was scraped {scrapes} times");
    }
}

/// The home of moving connections with a sink, and a third cluster that is checked.
fn watched() -> (Home, [SocketAddr; 3], SocketAddr) {
    let (home, addresses) = home(echo());
    let sink = free_address();
    let text = fs::read_to_string(home.path("conf/mosn.json")).expect("it is ours");
    let mut document: Value = serde_json::from_str(&text).expect("it is JSON");
    document["metrics"] =
        json!({ "sinks": [{ "type": "prometheus", "config": { "port": sink.port() } }] });
    document["cluster_manager"]["clusters"][2]["health_check"] = json!({
        "service_name": "s", "timeout": "1s", "interval": "50ms", "initial_delay_seconds": "10ms",
    });
    fs::write(home.path("conf/mosn.json"), document.to_string()).expect("it is ours");
    (home, addresses, sink)
}

/// A client that sends bytes and gets them back.
struct Echoed(TcpStream);

impl Echoed {
    fn exchange(&mut self, bytes: usize) {
        let sent = vec![7; bytes];
        self.0.write_all(&sent).expect("it takes bytes");
        let mut came = vec![0; bytes];
        self.0.read_exact(&mut came).expect("it gives them back");
        assert_eq!(came, sent);
    }

    fn finish(mut self) {
        self.0.shutdown(Shutdown::Write).expect("it is open");
        let rest = self.0.read_to_end(&mut Vec::new());
        assert_eq!(rest.expect("it ends well"), 0);
    }
}

/// What comes of the test below.
fn sums() -> [(&'static str, f64); 16] {
    let (asked, accepted) = (5.0 + 1.0 + 2.0 * 4.0 + 1.0, 4.0);
    [
        ("downstream_request_total{listener=\"web\"}", asked),
        ("downstream_request_200_total{listener=\"web\"}", asked),
        ("downstream_connection_total{listener=\"web\"}", accepted),
        ("downstream_connection_destroy{listener=\"web\"}", accepted),
        ("downstream_connection_total{listener=\"app\"}", 1.0),
        ("downstream_connection_destroy{listener=\"app\"}", 1.0),
        ("downstream_bytes_read_total{listener=\"app\"}", 2000.0),
        ("downstream_bytes_write_total{listener=\"app\"}", 2000.0),
        ("downstream_request_total{proxy=\"global\"}", asked),
        (
            "downstream_connection_total{proxy=\"global\"}",
            accepted + 1.0,
        ),
        ("upstream_request_total{cluster=\"web\"}", asked),
        ("upstream_response_success{cluster=\"web\"}", asked),
        ("upstream_connection_total{cluster=\"c\"}", 1.0),
        ("upstream_connection_close{cluster=\"c\"}", 1.0),
        (
            "upstream_connection_bytes_read_total{cluster=\"c\"}",
            2000.0,
        ),
        ("upstream_connection_bytes_write{cluster=\"c\"}", 2000.0),
    ]
}

#[test]
fn what_was_counted_goes_on_over_two_upgrades_and_nothing_is_counted_twice() {
    let (home, [http, bytes, _], sink) = watched();
    let mut old = running(&home);
    let mut kept = KeptAlive::on(http);
    let mut pair = Echoed(connected(bytes));
    for _ in 0..5 {
        kept.ask();
    }
    pair.exchange(1000);
    let mut short = KeptAlive::on(http);
    short.ask();
    drop(short);
    let watch = Watch::over(sink);

    for _ in 0..2 {
        // Its answer comes from the process that is replaced, while or after it is.
        let mut slow = KeptAlive::on(http);
        slow.send("/slow");
        let new = running(&home);
        slow.hear("/slow");
        for _ in 0..3 {
            kept.ask();
        }
        pair.exchange(500);
        let (code, said) = old.ends();
        assert_eq!(code, Some(0), "{said}");
        drop(slow);
        old = new;
    }
    kept.ask();
    pair.finish();
    drop(kept);

    comes_to(sink, &sums());
    watch.ends();
}

#[test]
fn a_predecessor_that_stays_tells_what_it_counts_and_that_stands_when_it_is_killed() {
    let (home, [_, bytes, _], sink) = watched();
    let mut old = running(&home);
    let mut pair = Echoed(connected(bytes));
    pair.exchange(1000);
    // Its host is not in the new configuration.
    let text = fs::read_to_string(home.path("conf/mosn.json")).expect("it is ours");
    let mut document: Value = serde_json::from_str(&text).expect("it is JSON");
    document["cluster_manager"]["clusters"][0]["hosts"][0]["address"] = json!("127.0.0.1:9");
    fs::write(home.path("conf/mosn.json"), document.to_string()).expect("it is ours");
    let watch = Watch::over(sink);

    let _new = running(&home);
    pair.exchange(500);
    let read = "downstream_bytes_read_total{listener=\"app\"}";
    until("it is told what the old one counts", || {
        count(&scrape(sink), read) == 1500.0
    });
    assert!(!old.has_ended());
    let closed = "downstream_connection_destroy{listener=\"app\"}";
    assert_eq!(count(&scrape(sink), closed), 0.0);
    old.signal(Signal::SIGKILL);
    assert_eq!(old.code(), None);

    until("its connection is known to have ended", || {
        count(&scrape(sink), closed) == 1.0
    });
    let now = scrape(sink);
    for series in [
        "downstream_connection_total{listener=\"app\"}",
        "upstream_connection_total{cluster=\"c\"}",
    ] {
        assert_eq!(count(&now, series), 1.0, "{series}");
    }
    watch.ends();
}
