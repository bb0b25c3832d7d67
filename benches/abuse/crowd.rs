//! Those who abuse: each connection that ends is opened anew, as long as the crowd is there.

use std::io::{BufRead, stdin};
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use tokio::time::{interval, sleep};

use crate::Result;
use crate::process::Role;

/// How much a member of a crowd says or takes at a time, once a second.
const SECOND: Duration = Duration::from_secs(1);

/// What comes at once: more would be a storm.
const BATCH: usize = 50;

/// Connections of a storm that are under way at the same time.
const STORMING: usize = 64;

/// What a crowd does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Nobody,
    /// So many send their heads a byte a second.
    SlowHeads(usize),
    /// So many send bodies at two bytes a second.
    SlowBodies(usize),
    /// So many take a kilobyte a second of much.
    SlowReaders(usize),
    /// So many ask once and stay.
    Idle(usize),
    /// So many connect, and leave at once.
    Storm(usize),
}

impl Kind {
    /// Starts the crowd, and waits until it is there. A storm is there when it begins.
    pub(crate) fn start(self, to: SocketAddr) -> Result<Option<Role>> {
        let (word, count) = match self {
            Self::Nobody => return Ok(None),
            Self::SlowHeads(count) => ("heads", count),
            Self::SlowBodies(count) => ("bodies", count),
            Self::SlowReaders(count) => ("readers", count),
            Self::Idle(count) => ("idle", count),
            Self::Storm(count) => ("storm", count),
        };
        let arguments = [word.to_owned(), count.to_string(), to.to_string()];
        let mut role = Role::start("crowd", &arguments)?;
        role.line()?;
        Ok(Some(role))
    }

    fn parse(word: &str, count: usize) -> Result<Self> {
        Ok(match word {
            "heads" => Self::SlowHeads(count),
            "bodies" => Self::SlowBodies(count),
            "readers" => Self::SlowReaders(count),
            "idle" => Self::Idle(count),
            "storm" => Self::Storm(count),
            _ => return Err(format!("no crowd is called {word}").into()),
        })
    }
}

/// Is the crowd until it is told to go.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let [word, count, to] = arguments else {
        return Err("a crowd, its size and an address are wanted".into());
    };
    let kind = Kind::parse(word, count.parse()?)?;
    let to = to.parse()?;
    // Whoever is measured goes first.
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, 20_000, 20_000)?;
    yield_to_others();
    let (told, leave) = oneshot::channel();
    std::thread::spawn(move || {
        let line = stdin().lock().lines().next();
        let _ = told.send(line);
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, async {
        gather(kind, to).await;
        println!("there");
        let _ = leave.await;
    });
    println!("gone");
    Ok(())
}

fn yield_to_others() {
    let pid = std::process::id().to_string();
    let renice = std::process::Command::new("renice")
        .args(["-n", "10", "-p", &pid])
        .stdout(std::process::Stdio::null())
        .status();
    if renice.is_err() {
        eprintln!("the crowd has the priority of all others: `renice` is not there");
    }
}

async fn gather(kind: Kind, to: SocketAddr) {
    let (Kind::SlowHeads(count)
    | Kind::SlowBodies(count)
    | Kind::SlowReaders(count)
    | Kind::Idle(count)) = kind
    else {
        if let Kind::Storm(count) = kind {
            for _ in 0..STORMING {
                tokio::task::spawn_local(storm(to, count / STORMING));
            }
        }
        return;
    };
    for at in 0..count {
        tokio::task::spawn_local(async move {
            loop {
                let _ = member(kind, to).await;
                sleep(SECOND).await;
            }
        });
        if at % BATCH == BATCH - 1 {
            sleep(Duration::from_millis(10)).await;
        }
    }
    sleep(SECOND).await;
}

async fn storm(to: SocketAddr, count: usize) {
    for _ in 0..count {
        if let Ok(stream) = TcpStream::connect(to).await {
            // Or else the ports would be used up before the storm is over.
            let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
    }
}

async fn member(kind: Kind, to: SocketAddr) -> std::io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    if matches!(kind, Kind::SlowReaders(_)) {
        socket.set_recv_buffer_size(4096)?;
    }
    let mut stream = socket.connect(to).await?;
    match kind {
        Kind::SlowHeads(_) => dribble(&mut stream, b"GET / HTTP/1.1\r\nX: ", b"x").await,
        Kind::SlowBodies(_) => {
            let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";
            dribble(&mut stream, head, b"xx").await
        }
        Kind::SlowReaders(_) => {
            stream
                .write_all(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
                .await?;
            let mut turns = interval(SECOND);
            loop {
                turns.tick().await;
                stream.read_exact(&mut [0; 1024]).await?;
            }
        }
        Kind::Idle(_) => {
            stream
                .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                .await?;
            while stream.read(&mut [0; 256]).await? > 0 {}
            Ok(())
        }
        Kind::Storm(_) | Kind::Nobody => Ok(()),
    }
}

/// Says something, and then a little once a second until nobody listens.
async fn dribble(stream: &mut TcpStream, first: &[u8], then: &[u8]) -> std::io::Result<()> {
    stream.write_all(first).await?;
    let mut turns = interval(SECOND);
    loop {
        let mut answer = [0; 256];
        tokio::select! {
            read = stream.read(&mut answer) => {
                read?;
                return Ok(());
            }
            _ = turns.tick() => {}
        }
        stream.write_all(then).await?;
    }
}
