//! The far end: answers whatever is asked, on one thread.

mod bolt;
mod echo;
mod http;
mod waiting;

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use self::waiting::Waiting;
use super::target::Protocol;

/// What one connection reads at once.
const INPUT: usize = 16 << 10;

/// Answers that wait on a connection before no more is read from it.
const MOST_WAITING: usize = 4096;

/// Out of descriptors: accepting faster frees none.
const PAUSE: Duration = Duration::from_millis(100);

/// How an origin answers.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    pub(crate) protocol: Protocol,
    /// How long each answer waits.
    pub(crate) delay: Duration,
    pub(crate) order: Order,
    /// The share of answers that are errors, from 0 to 1.
    pub(crate) error_rate: f64,
    /// Bytes of a body; none means what the protocol has by default.
    pub(crate) body: Option<usize>,
}

/// In which order a connection's answers come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// In that of the requests.
    Kept,
    /// In any: each waits a random part of the delay. Only where answers say what they answer.
    Any,
}

/// A socket that is answered on.
pub(crate) struct Origin {
    listener: TcpListener,
    answers: Answers,
    requests: Rc<Cell<u64>>,
    connections: u64,
}

impl Origin {
    /// Listens on `address`.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub(crate) async fn bind(address: SocketAddr, answers: Answers) -> io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(address).await?,
            answers,
            requests: Rc::default(),
            connections: 0,
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Requests read so far, and connections taken.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.requests.get(), self.connections)
    }

    /// Serves for ever; dropped, it ends all connections. It runs in a `LocalSet`.
    pub(crate) async fn serve(&mut self) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        self.connections += 1;
                        let (answers, requests) = (self.answers.clone(), Rc::clone(&self.requests));
                        connections.spawn_local(connection(stream, answers, requests));
                    }
                    Err(_) => sleep(PAUSE).await,
                },
                // How one ended is its client's business.
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

/// The origin's side of one connection. No sockets below here.
enum Speech {
    Bolt(bolt::Speech),
    Echo(echo::Speech),
    Http(http::Speech),
}

/// What is to become of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    GoOn,
    /// It ends when all that waits is written.
    Close,
}

impl Speech {
    fn new(answers: &Answers) -> Self {
        match answers.protocol {
            Protocol::Sofarpc => Self::Bolt(bolt::Speech::new(answers)),
            Protocol::Http => Self::Http(http::Speech::new(answers)),
            Protocol::Tcp => Self::Echo(echo::Speech::new(answers)),
        }
    }

    /// Takes what came, puts the answers where they wait, and says how many requests these are.
    fn hear(&mut self, input: &[u8], answers: &mut Waiting) -> (u64, Then) {
        match self {
            Self::Bolt(speech) => speech.hear(input, answers),
            Self::Echo(speech) => speech.hear(input, answers),
            Self::Http(speech) => speech.hear(input, answers),
        }
    }
}

async fn connection(
    mut stream: TcpStream,
    answers: Answers,
    requests: Rc<Cell<u64>>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut speech = Speech::new(&answers);
    let mut waiting = Waiting::new(answers.delay);
    let mut input = vec![0; INPUT];
    let mut then = Then::GoOn;
    loop {
        let out = waiting.ready(Instant::now());
        if !out.is_empty() {
            // Nothing is read meanwhile: who does not take answers may not ask more.
            stream.write_all(out).await?;
        }
        let next = waiting.next();
        if then == Then::Close && next.is_none() {
            return stream.shutdown().await;
        }
        let reads = then == Then::GoOn && waiting.len() < MOST_WAITING;
        tokio::select! {
            read = stream.read(&mut input), if reads => match read? {
                0 => then = Then::Close,
                bytes => {
                    let (count, after) = speech.hear(&input[..bytes], &mut waiting);
                    requests.set(requests.get() + count);
                    then = after;
                }
            },
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
        }
    }
}
