//! The load on a proxy that is replaced again and again, and what it has lost by that.

mod clients;
mod origin;
mod tally;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Instant;

pub(crate) use tally::Tally;

/// The wish that a client ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn now(&self) {
        self.0.store(true, Relaxed);
    }

    fn is_asked(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// Where the origins of the proxy are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origins {
    pub(crate) http: SocketAddr,
    pub(crate) numbers: SocketAddr,
}

impl Origins {
    pub(crate) fn start() -> Self {
        Self {
            http: origin::http(),
            numbers: origin::numbers(),
        }
    }
}

/// Where the proxy listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Front {
    pub(crate) http: SocketAddr,
    pub(crate) tcp: SocketAddr,
    /// And a path at which it answers 200, if it has such a door.
    pub(crate) admin: Option<(SocketAddr, &'static str)>,
}

/// Clients that run.
pub(crate) struct Load {
    stop: Stop,
    clients: Vec<(&'static str, JoinHandle<Tally>)>,
}

impl Load {
    pub(crate) fn on(front: Front) -> Self {
        let stop = Stop::default();
        let mut clients = vec![];
        let mut start = |kind: &'static str, count, client: fn(Front, &Stop) -> Tally| {
            for _ in 0..count {
                let stop = stop.clone();
                clients.push((kind, thread::spawn(move || client(front, &stop))));
            }
        };
        start("HTTP kept alive", 4, |front, stop| {
            clients::kept_alive(front.http, stop)
        });
        start("HTTP fresh", 4, |front, stop| {
            clients::fresh(front.http, stop)
        });
        start("HTTP kept, slow readers", 3, |front, stop| {
            clients::slow_reader(front.http, stop)
        });
        start("WebSocket", 2, |front, stop| {
            clients::websocket(front.http, stop)
        });
        start("TCP pairs", 4, |front, stop| clients::pair(front.tcp, stop));
        if front.admin.is_some() {
            start("admin", 1, |front, stop| {
                let (to, path) = front.admin.expect("there is one");
                clients::looks(to, path, stop)
            });
        }
        Self { stop, clients }
    }

    /// Ends every client at its own end, and adds up by kind.
    pub(crate) fn ends(self) -> Vec<(&'static str, Tally)> {
        self.stop.now();
        let mut sums: Vec<(&'static str, Tally)> = vec![];
        for (kind, client) in self.clients {
            let tally = client.join().expect("it does not panic");
            match sums.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, sum)) => sum.add(tally),
                None => sums.push((kind, tally)),
            }
        }
        sums
    }
}

/// A table of what was counted; `spans` are those in which the proxy was being replaced.
pub(crate) fn table(sums: &[(&'static str, Tally)], spans: &[(Instant, Instant)]) -> String {
    let mut table = String::from(
        "| load | done | failed | refused | cut | wrong | reconnected | p99 ms replaced | p99 ms between |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for (kind, tally) in sums {
        let Tally {
            done,
            failed,
            refused,
            reset,
            wrong,
            reconnected,
            ..
        } = tally;
        let times = match tally.times.is_empty() {
            true => ["–".to_owned(), "–".to_owned()],
            false => tally
                .p99(spans)
                .map(|time| format!("{:.1}", time.as_secs_f64() * 1e3)),
        };
        let [during, between] = times;
        table += &format!(
            "| {kind} | {done} | {failed} | {refused} | {reset} | {wrong} | {reconnected} | {during} | {between} |\n"
        );
    }
    table
}
