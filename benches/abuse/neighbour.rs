//! A client that behaves well: small requests at a fixed rate, over connections that it keeps, and
//! now and then over a new one.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use futures::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, interval, timeout};

use crate::Result;
use crate::witness::now;

/// Connections that it keeps.
const KEPT: u32 = 10;

/// Between two requests of one connection.
const PAUSE: Duration = Duration::from_millis(25);

/// Of so many requests one goes over a new connection, where it opens any.
const NEW: u32 = 20;

/// Longer than any request may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What it saw.
pub(crate) struct Seen {
    pub(crate) requests: usize,
    pub(crate) errors: usize,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) most: Duration,
    /// When the slowest began.
    pub(crate) slowest: Duration,
}

impl FromStr for Seen {
    type Err = Box<dyn std::error::Error>;

    fn from_str(line: &str) -> Result<Self> {
        let numbers: Vec<u64> = line.split(' ').flat_map(str::parse).collect();
        let [requests, errors, p50, p99, most, slowest] = numbers[..] else {
            return Err(format!("not what a client saw: {line}").into());
        };
        Ok(Self {
            requests: requests.try_into()?,
            errors: errors.try_into()?,
            p50: Duration::from_nanos(p50),
            p99: Duration::from_nanos(p99),
            most: Duration::from_nanos(most),
            slowest: Duration::from_nanos(slowest),
        })
    }
}

/// Asks for so many seconds, then prints what it saw.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let [to, seconds, opens] = arguments else {
        return Err("an address, seconds, and `new` or `kept` are wanted".into());
    };
    let opening = match opens.as_str() {
        "new" => KEPT / 2,
        _ => 0,
    };
    let (to, seconds): (SocketAddr, u64) = (to.parse()?, seconds.parse()?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let asked = runtime.block_on(async {
        let connected = join_all((0..KEPT).map(|_| exchange(to, None))).await;
        let end = Instant::now() + Duration::from_secs(seconds);
        println!("there");
        let asking = connected.into_iter().zip(0..);
        join_all(asking.map(|(kept, at)| ask(to, kept.ok(), (at, at < opening), end))).await
    });
    let (mut times, mut errors) = (Vec::new(), 0);
    for (some, failed) in asked {
        times.extend(some);
        errors += failed;
    }
    times.sort_unstable();
    let nanos = |share: usize| {
        let at = (times.len() * share / 1000).min(times.len().saturating_sub(1));
        times.get(at).map_or(0, |(took, _)| took.as_nanos())
    };
    let slowest = times.last().map_or(0, |(_, begun)| begun.as_nanos());
    println!(
        "{} {errors} {} {} {} {slowest}",
        times.len() + errors,
        nanos(500),
        nanos(990),
        nanos(1000)
    );
    Ok(())
}

/// What each request took, and when it began; and how many failed.
async fn ask(
    to: SocketAddr,
    mut kept: Option<TcpStream>,
    (at, opens): (u32, bool),
    end: Instant,
) -> (Vec<(Duration, Duration)>, usize) {
    let (mut times, mut errors, mut count) = (Vec::new(), 0, at);
    let mut other = None;
    tokio::time::sleep(PAUSE * at / KEPT).await;
    let mut turns = interval(PAUSE);
    while Instant::now() < end {
        turns.tick().await;
        count += 1;
        // What it keeps stays, so that it is served whoever takes all other places.
        let is_new = opens && count.is_multiple_of(NEW);
        let of = if is_new { &mut other } else { &mut kept };
        let (begun, when) = (Instant::now(), now().unwrap_or_default());
        match timeout(PATIENCE, exchange(to, of.take())).await {
            Ok(Ok(stream)) => {
                times.push((begun.elapsed(), when));
                *of = (!is_new).then_some(stream);
            }
            Ok(Err(_)) | Err(_) => errors += 1,
        }
    }
    (times, errors)
}

async fn exchange(to: SocketAddr, kept: Option<TcpStream>) -> Result<TcpStream> {
    let mut stream = match kept {
        Some(stream) => stream,
        None => TcpStream::connect(to).await?,
    };
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await?;
    let mut answer = Vec::with_capacity(256);
    while !answer.ends_with(b"hello") {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err("closed".into());
        }
    }
    match answer.starts_with(b"HTTP/1.1 200 ") {
        true => Ok(stream),
        false => Err("not answered well".into()),
    }
}
