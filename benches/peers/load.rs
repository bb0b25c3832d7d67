//! The load: a process of one thread that keeps connections busy in closed loops and counts.
//!
//! It speaks with the comparison in lines. It warms up and prints `ready`; at each line it reads it
//! drives one measured phase and prints an [`Outcome`]; at the end of its input it ends, and only then
//! do its connections.

use std::cell::{Cell, RefCell};
use std::io::{BufRead, Result, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

use crate::exchange::Exchange;

/// Longest time for the warm-up and for the measured phase, each.
const LIMIT: Duration = Duration::from_secs(60);

/// Connections being opened at the same time in the warm-up.
const OPENING: usize = 64;

/// What to do.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Load {
    /// How many exchanges are under way at any time, each on a connection of its own.
    pub(crate) connections: u64,
    pub(crate) reuse: Reuse,
    pub(crate) exchange: Exchange,
    /// Exchanges of the measured phase; at least one for each connection.
    pub(crate) exchanges: u64,
    /// Exchanges before it; at least one for each connection.
    pub(crate) warm_up: u64,
}

/// What becomes of a connection after its exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reuse {
    /// It carries the next one.
    Kept,
    /// It is closed; the next one gets another.
    Fresh,
}

/// What came of a phase.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Exchanges that ended as they should.
    pub(crate) completed: u64,
    /// Exchanges that did not. Any makes the phase invalid.
    pub(crate) failed: u64,
    pub(crate) first_failure: Option<String>,
    /// Wall time of the phase.
    pub(crate) elapsed: Duration,
    /// Time an exchange took (with the connect, if the connection is fresh): half took at most …
    pub(crate) p50: Duration,
    /// … and ninety-nine in a hundred took at most.
    pub(crate) p99: Duration,
}

/// Carries out `load` against `address`, led by standard input.
///
/// # Errors
///
/// When the runtime or a pipe fails, or a connection cannot be opened in the warm-up. A failed
/// exchange is not an error but part of the outcome.
pub(crate) fn run(address: SocketAddr, load: Load) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = LocalSet::new();
    let mut clients = local.block_on(&runtime, open(address, load))?;
    let warmed = local.block_on(&runtime, phase(&mut clients, load.warm_up));
    if let Some(failure) = warmed.first_failure {
        return say(&format!(
            "warm-up: {} exchanges failed: {failure}",
            warmed.failed
        ));
    }
    say("ready")?;
    for line in std::io::stdin().lock().lines() {
        line?;
        let outcome = local.block_on(&runtime, phase(&mut clients, load.exchanges));
        say(&serde_json::to_string(&outcome)?)?;
    }
    Ok(())
}

fn say(line: &str) -> Result<()> {
    let mut output = std::io::stdout();
    writeln!(output, "{line}")?;
    output.flush()
}

/// One closed loop.
struct Client {
    address: SocketAddr,
    exchange: Exchange,
    reuse: Reuse,
    opening: Rc<[u8]>,
    /// The connection it keeps, if it keeps one.
    stream: Option<TcpStream>,
}

/// What the loops of a phase share.
struct Tally {
    /// Exchanges nobody has begun.
    left: Cell<u64>,
    took: RefCell<Vec<Duration>>,
    first_failure: RefCell<Option<String>>,
}

async fn open(address: SocketAddr, load: Load) -> Result<Vec<Client>> {
    let opening: Rc<[u8]> = load.exchange.opening().into();
    let client = async |_| {
        let stream = match load.reuse {
            Reuse::Kept => Some(connect(address).await?),
            Reuse::Fresh => None,
        };
        let (exchange, reuse, opening) = (load.exchange, load.reuse, Rc::clone(&opening));
        Ok(Client {
            address,
            exchange,
            reuse,
            opening,
            stream,
        })
    };
    let opened = futures::stream::iter(0..load.connections)
        .map(client)
        .buffer_unordered(OPENING);
    let clients: Vec<Result<Client>> = tokio::time::timeout(LIMIT, opened.collect()).await?;
    clients.into_iter().collect()
}

async fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Lets all clients loop until `exchanges` are done.
async fn phase(clients: &mut Vec<Client>, exchanges: u64) -> Outcome {
    let exchanges = exchanges.max(clients.len() as u64);
    let tally = Rc::new(Tally {
        left: Cell::new(exchanges - clients.len() as u64),
        took: RefCell::new(Vec::with_capacity(
            usize::try_from(exchanges).unwrap_or_default(),
        )),
        first_failure: RefCell::new(None),
    });
    let begin = Instant::now();
    let mut loops = JoinSet::new();
    for client in clients.drain(..) {
        loops.spawn_local(client.exchanges(Rc::clone(&tally)));
    }
    let ended = tokio::time::timeout(LIMIT, loops.join_all()).await;
    let elapsed = begin.elapsed();
    match ended {
        Ok(ended) => *clients = ended,
        Err(_) => tally.fail(&format!("not done after {} s", LIMIT.as_secs())),
    }
    tally.outcome(exchanges, elapsed)
}

impl Client {
    /// Makes one exchange, then as many as are left to anyone. Ends early with its connection.
    async fn exchanges(mut self, tally: Rc<Tally>) -> Self {
        loop {
            let begin = Instant::now();
            match self.one().await {
                Ok(()) => tally.took.borrow_mut().push(begin.elapsed()),
                Err(error) => {
                    tally.fail(&error.to_string());
                    if self.reuse == Reuse::Kept {
                        return self;
                    }
                }
            }
            if !tally.take() {
                return self;
            }
        }
    }

    async fn one(&mut self) -> Result<()> {
        match &mut self.stream {
            Some(stream) => self.exchange.run(stream, &self.opening).await,
            None => {
                let mut stream = connect(self.address).await?;
                self.exchange.run(&mut stream, &self.opening).await
            }
        }
    }
}

impl Tally {
    fn take(&self) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        left > 0
    }

    fn fail(&self, reason: &str) {
        self.first_failure
            .borrow_mut()
            .get_or_insert_with(|| reason.to_owned());
    }

    /// Exchanges that nobody came to make, since connections broke, count as failed.
    fn outcome(&self, exchanges: u64, elapsed: Duration) -> Outcome {
        let mut took = self.took.borrow_mut();
        took.sort_unstable();
        let completed = took.len() as u64;
        let at = |share: f64| {
            let index = (took.len() as f64 * share) as usize;
            took.get(index.min(took.len().saturating_sub(1)))
                .copied()
                .unwrap_or_default()
        };
        Outcome {
            completed,
            failed: exchanges - completed,
            first_failure: self.first_failure.borrow().clone(),
            elapsed,
            p50: at(0.5),
            p99: at(0.99),
        }
    }
}
