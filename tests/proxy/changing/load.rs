//! Requests from a thread of their own, and origins on others: what steers the proxy does not slow
//! them down.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep_until, timeout};

const REQUEST: &[u8] = b"GET /path HTTP/1.1\r\nhost: app.example\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A response that takes longer is a failure.
const PATIENCE: Duration = Duration::from_secs(20);

/// Connections that ask as fast as they are answered.
const CLIENTS: u32 = 8;

/// Connections that share a rate.
const PACED_CLIENTS: u32 = 64;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Answers every request that ends with an empty line, for as long as the peer stays.
pub(super) struct Origin {
    pub(super) address: SocketAddr,
    visits: Arc<AtomicU64>,
}

impl Origin {
    pub(super) fn answering() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let visits = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&visits);
        // It ends with the process of the test.
        thread::spawn(move || {
            let serve = async {
                let listener = TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    counted.fetch_add(1, Relaxed);
                    spawn_local(answer(stream));
                }
            };
            LocalSet::new().block_on(&runtime(), serve);
        });
        Self { address, visits }
    }

    /// How many connections came.
    pub(super) fn visits(&self) -> u64 {
        self.visits.load(Relaxed)
    }
}

async fn answer(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    let mut held = 0;
    while let Ok(count @ 1..) = stream.read(&mut buffer[held..]).await {
        held += count;
        if buffer[..held].ends_with(b"\r\n\r\n") {
            held = 0;
            if stream.write_all(RESPONSE).await.is_err() {
                return;
            }
        }
    }
}

/// Clients that ask again and again, each over one connection.
pub(super) struct Load {
    shared: Arc<Shared>,
    thread: JoinHandle<Report>,
}

#[derive(Default)]
struct Shared {
    answered: AtomicU64,
    counts: AtomicBool,
    changes: AtomicBool,
    stop: AtomicBool,
}

/// What the clients saw.
#[derive(Default)]
pub(super) struct Report {
    pub(super) clients: u64,
    pub(super) failed: Vec<String>,
    before: Phase,
    meanwhile: Phase,
}

/// Requests of one part of the run.
#[derive(Default)]
struct Phase {
    took: Vec<Duration>,
    /// From the first request that was due to the last answer.
    span: Option<(Instant, Instant)>,
}

impl Load {
    /// At so many requests a second, or as many as are answered.
    pub(super) fn on(to: SocketAddr, rate: Option<u64>) -> Self {
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let clients = rate.map_or(CLIENTS, |_| PACED_CLIENTS);
            let pace =
                rate.map(|rate| Duration::from_secs(1) * clients / u32::try_from(rate).unwrap());
            let begun = Instant::now();
            let ask = |client: u32| {
                let first = pace.map(|pace| begun + pace * client / clients);
                client_of(to, first.zip(pace), &seen)
            };
            let reports = runtime().block_on(join_all((0..clients).map(ask)));
            reports.into_iter().fold(Report::default(), Report::and)
        });
        Self { shared, thread }
    }

    pub(super) fn answered(&self) -> u64 {
        assert!(!self.thread.is_finished(), "every client has given up");
        self.shared.answered.load(Relaxed)
    }

    pub(super) fn count_from_now(&self) {
        self.shared.counts.store(true, Relaxed);
    }

    pub(super) fn changes_begin(&self) {
        self.shared.changes.store(true, Relaxed);
    }

    pub(super) fn end(self) -> Report {
        self.shared.stop.store(true, Relaxed);
        self.thread.join().unwrap()
    }
}

/// Whatever ends the connection but the end of the run is a failure.
async fn client_of(to: SocketAddr, paced: Option<(Instant, Duration)>, seen: &Shared) -> Report {
    let mut report = Report {
        clients: 1,
        ..Report::default()
    };
    if let Err(why) = asks(to, paced, seen, &mut report).await {
        report.failed.push(why);
    }
    report
}

async fn asks(
    to: SocketAddr,
    paced: Option<(Instant, Duration)>,
    seen: &Shared,
    report: &mut Report,
) -> Result<(), String> {
    let mut stream = TcpStream::connect(to).await.map_err(|e| e.to_string())?;
    stream.set_nodelay(true).map_err(|e| e.to_string())?;
    let mut due = paced.map(|(first, _)| first);
    while !seen.stop.load(Relaxed) {
        let asked = match due {
            Some(due) => {
                sleep_until(due).await;
                due
            }
            None => Instant::now(),
        };
        let answered = timeout(PATIENCE, exchange(&mut stream)).await;
        answered.map_err(|_| "no answer in time".to_owned())??;
        seen.answered.fetch_add(1, Relaxed);
        let phase = match seen.changes.load(Relaxed) {
            true => &mut report.meanwhile,
            false => &mut report.before,
        };
        if seen.counts.load(Relaxed) {
            phase.note(asked, Instant::now());
        }
        due = due.zip(paced).map(|(due, (_, pace))| due + pace);
    }
    Ok(())
}

async fn exchange(stream: &mut TcpStream) -> Result<(), String> {
    let words = |error: std::io::Error| error.to_string();
    stream.write_all(REQUEST).await.map_err(words)?;
    let mut answer = Vec::with_capacity(256);
    while !answer.ends_with(b"\r\n\r\nok") {
        if stream.read_buf(&mut answer).await.map_err(words)? == 0 {
            return Err("the connection was closed".to_owned());
        }
    }
    match answer.starts_with(b"HTTP/1.1 200 ") {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&answer).into_owned()),
    }
}

impl Report {
    fn and(mut self, other: Self) -> Self {
        self.clients += other.clients;
        self.failed.extend(other.failed);
        self.before.add(other.before);
        self.meanwhile.add(other.meanwhile);
        self
    }
}

impl Phase {
    fn note(&mut self, due: Instant, answered: Instant) {
        self.took.push(answered - due);
        let first = self.span.map_or(due, |(first, _)| first);
        self.span = Some((first, answered));
    }

    fn add(&mut self, other: Self) {
        self.took.extend(other.took);
        let both = self.span.into_iter().chain(other.span);
        self.span = both.reduce(|(a, b), (c, d)| (a.min(c), b.max(d)));
    }

    fn rate(&self) -> f64 {
        let span = self
            .span
            .map_or(Duration::ZERO, |(first, last)| last - first);
        self.took.len() as f64 / span.as_secs_f64().max(f64::EPSILON)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut took = self.took.clone();
        took.sort_unstable();
        let at = |share: f64| {
            let index = (took.len() as f64 * share) as usize;
            took.get(index).copied().unwrap_or_default()
        };
        let (count, rate) = (took.len(), self.rate());
        write!(f, "{count} requests, {rate:.0}/s, ")?;
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(at);
        write!(f, "p50 {p50:.2?}, p99 {p99:.2?}, p99.9 {p999:.2?}")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            clients,
            failed,
            before,
            meanwhile,
        } = self;
        writeln!(f, "{} of {clients} connections failed", failed.len())?;
        writeln!(f, "  before:    {before}")?;
        write!(f, "  meanwhile: {meanwhile}")
    }
}
