//! The load: a process of one thread that keeps connections busy in closed loops and counts.
//!
//! It speaks with the comparison in lines. It warms up and prints `ready`; at each line it reads it
//! drives one measured phase and prints an [`Outcome`]; at the end of its input it ends, and only then
//! do its connections.

use std::cell::RefCell;
use std::io::{BufRead, Result, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

use crate::exchange::Exchange;
use crate::pace::{Pace, Turns};
use crate::{bolt, http};

/// Longest time for the warm-up and for the measured phase, each.
const LIMIT: Duration = Duration::from_secs(60);

/// Connections being opened at the same time in the warm-up.
const OPENING: usize = 64;

/// What to do.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Load {
    pub(crate) speech: Speech,
    /// Connections, each with one exchange at a time.
    pub(crate) connections: u64,
    /// When an exchange begins.
    pub(crate) pace: Pace,
    pub(crate) reuse: Reuse,
    pub(crate) exchange: Exchange,
    /// Exchanges of the measured phase; at least one for each connection.
    pub(crate) exchanges: u64,
    /// Exchanges before it; at least one for each connection.
    pub(crate) warm_up: u64,
}

/// What load and origin speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Speech {
    /// The lengths and bytes of [`Exchange`].
    Lengths,
    /// HTTP/1.1; of the exchange, only the length of the response counts.
    Http,
    /// SOFA Bolt; the lengths are those of the contents, and the response's is always the same.
    Bolt,
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
    /// Time an exchange took, from when it was to begin (with the connect, if the connection is
    /// fresh): half took at most …
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
    let warm_up = phase(&mut clients, load.warm_up, load.pace);
    let warmed = local.block_on(&runtime, warm_up)?;
    if let Some(failure) = warmed.first_failure {
        return say(&format!(
            "warm-up: {} exchanges failed: {failure}",
            warmed.failed
        ));
    }
    say("ready")?;
    for line in std::io::stdin().lock().lines() {
        line?;
        let measured = phase(&mut clients, load.exchanges, load.pace);
        let outcome = local.block_on(&runtime, measured)?;
        say(&serde_json::to_string(&outcome)?)?;
    }
    Ok(())
}

fn say(line: &str) -> Result<()> {
    let mut output = std::io::stdout();
    writeln!(output, "{line}")?;
    output.flush()
}

/// One loop of exchanges.
struct Client {
    address: SocketAddr,
    load: Load,
    opening: Rc<[u8]>,
    http: http::Client,
    bolt: bolt::Peer,
    /// The connection it keeps, if it keeps one.
    stream: Option<TcpStream>,
}

/// What the loops of a phase share.
struct Tally {
    turns: Turns,
    took: RefCell<Vec<Duration>>,
    first_failure: RefCell<Option<String>>,
}

async fn open(address: SocketAddr, load: Load) -> Result<Vec<Client>> {
    let opening: Rc<[u8]> = match load.speech {
        Speech::Lengths => load.exchange.opening(),
        Speech::Http => http::request(load.exchange.response_bytes, load.reuse),
        Speech::Bolt => bolt::request(load.exchange)?,
    }
    .into();
    let client = async |_| {
        let stream = match load.reuse {
            Reuse::Kept => Some(connect(address).await?),
            Reuse::Fresh => None,
        };
        Ok(Client {
            address,
            load,
            opening: Rc::clone(&opening),
            http: http::Client::default(),
            bolt: bolt::Peer::default(),
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
async fn phase(clients: &mut Vec<Client>, exchanges: u64, pace: Pace) -> Result<Outcome> {
    let exchanges = exchanges.max(clients.len() as u64);
    let tally = Rc::new(Tally {
        turns: Turns::new(exchanges, clients.len(), pace)?,
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
    let both = async { tokio::join!(loops.join_all(), tally.turns.give()) };
    let ended = tokio::time::timeout(LIMIT, both);
    match ended.await {
        Ok((ended, given)) => {
            given?;
            *clients = ended;
        }
        Err(_) => tally.fail(&format!("not done after {} s", LIMIT.as_secs())),
    }
    Ok(tally.outcome(exchanges, begin.elapsed()))
}

impl Client {
    /// Makes one exchange, then as many as are left to anyone. Ends early with its connection.
    async fn exchanges(mut self, tally: Rc<Tally>) -> Self {
        let mut first = true;
        while let Some(turn) = tally.turns.take(first).await {
            first = false;
            match self.one().await {
                Ok(()) => tally.took.borrow_mut().push(turn.begin().elapsed()),
                Err(error) => {
                    tally.fail(&error.to_string());
                    if self.load.reuse == Reuse::Kept {
                        return self;
                    }
                }
            }
        }
        self
    }

    async fn one(&mut self) -> Result<()> {
        let mut fresh;
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                fresh = connect(self.address).await?;
                &mut fresh
            }
        };
        let Load {
            speech,
            exchange,
            reuse,
            ..
        } = self.load;
        match speech {
            Speech::Lengths => exchange.run(stream, &self.opening).await,
            Speech::Http => {
                let length = exchange.response_bytes;
                self.http.run(stream, &self.opening, length, reuse).await
            }
            Speech::Bolt => self.bolt.run(stream, &self.opening).await,
        }
    }
}

impl Tally {
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
