//! `banyan demo`: the embedded default. Three origins, one of them slow, behind one
//! least-connection listener; nothing to configure.

use std::cell::Cell;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep, timeout};

use crate::config::Plan;
use crate::{Proxy, ProxyHandle};

/// How late the slow origin answers: long beside the others' microseconds, short for a person.
const SLOW: Duration = Duration::from_millis(200);

/// What `--once` drives through the proxy, as the run that MOSN's least-connection balancer is
/// known by: 100 at once, of which one in nine meets the slow origin.
const CONNECTIONS: u32 = 5_000;
const IN_FLIGHT: usize = 100;

/// How long one connection of `--once` may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(10);

const CLUSTER: &str = "origins";

/// What the demo does once it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It runs until it is interrupted.
    Serve,
    /// It drives connections through itself, says where they went, and ends.
    Once,
}

/// Runs the demo in the current actix system.
///
/// # Errors
///
/// When the loopback cannot be listened on, output cannot be written, or a connection failed.
pub async fn run(mode: Mode, out: &mut impl Write) -> io::Result<()> {
    let delays = [Duration::ZERO, Duration::ZERO, SLOW];
    let mut origins = Vec::new();
    for (letter, delay) in ["a", "b", "c"].into_iter().zip(delays) {
        origins.push(Origin::start(letter, delay).await?);
    }
    let proxy = Proxy::start(plan(&origins)?)
        .await
        .map_err(io::Error::other)?;
    let overview = proxy.snapshot().await.map_err(io::Error::other)?;
    let listener = overview
        .listeners
        .first()
        .map(|listener| listener.address.parse());
    let listener = listener
        .and_then(Result::ok)
        .ok_or_else(|| io::Error::other("no listener"))?;
    introduce(out, listener, &origins)?;
    let done = match mode {
        Mode::Once => drive(out, listener, &origins, &proxy).await,
        Mode::Serve => serve(out, listener).await,
    };
    proxy.stop().await;
    proxy.ended().await.map_err(io::Error::other)?;
    done
}

fn plan(origins: &[Origin]) -> io::Result<Plan> {
    let hosts: Vec<_> = origins
        .iter()
        .map(|origin| serde_json::json!({ "address": origin.address.to_string() }))
        .collect();
    let document = serde_json::json!({
        "servers": [{ "listeners": [{
            "name": "demo", "address": "127.0.0.1:0", "bind_port": true,
            "filter_chains": [{ "filters": [{ "type": "tcp_proxy", "config": { "cluster": CLUSTER } }] }],
        }] }],
        "cluster_manager": { "clusters": [{
            "name": CLUSTER, "type": "SIMPLE", "lb_type": "LB_LEAST_CONNECTION", "hosts": hosts,
        }] },
    });
    Plan::from_json(&document.to_string()).map_err(io::Error::other)
}

fn introduce(out: &mut impl Write, listener: SocketAddr, origins: &[Origin]) -> io::Result<()> {
    writeln!(
        out,
        "banyan demo: three origins behind one least-connection listener\n"
    )?;
    writeln!(out, "  listener  {listener}")?;
    for Origin {
        letter,
        address,
        delay,
        ..
    } in origins
    {
        let pace = if delay.is_zero() {
            "at once".to_owned()
        } else {
            format!("after {delay:?}")
        };
        writeln!(out, "  origin {letter}  {address}  answers {pace}")?;
    }
    writeln!(out)
}

async fn serve(out: &mut impl Write, listener: SocketAddr) -> io::Result<()> {
    writeln!(out, "Try it:  curl http://{listener}/\n\nCtrl-C ends it.")?;
    out.flush()?;
    tokio::signal::ctrl_c().await
}

async fn drive(
    out: &mut impl Write,
    listener: SocketAddr,
    origins: &[Origin],
    proxy: &ProxyHandle,
) -> io::Result<()> {
    let mut flights = FuturesUnordered::new();
    let (mut started, mut failed) = (0, 0);
    while started < CONNECTIONS || !flights.is_empty() {
        while started < CONNECTIONS && flights.len() < IN_FLIGHT {
            flights.push(timeout(PATIENCE, visit(listener)));
            started += 1;
        }
        match flights.next().await {
            Some(Ok(Ok(()))) | None => {}
            Some(_) => failed += 1,
        }
        show_progress(started - flights.len() as u32);
    }
    report(out, origins, failed)?;
    let active = settled(proxy).await?;
    writeln!(
        out,
        "connections failed: {failed}; still counted as active: {active}"
    )?;
    if failed == 0 && active == 0 {
        Ok(())
    } else {
        Err(io::Error::other("not every connection came and went"))
    }
}

/// Connections that the hosts still count as active once the last ones had time to end.
async fn settled(proxy: &ProxyHandle) -> io::Result<u64> {
    let deadline = Instant::now() + Duration::from_secs(1);
    loop {
        let overview = proxy.snapshot().await.map_err(io::Error::other)?;
        let hosts = overview.clusters.iter().flat_map(|cluster| &cluster.hosts);
        let active = hosts.map(|host| host.connections_active).sum();
        if active == 0 || Instant::now() >= deadline {
            return Ok(active);
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// One connection: reads what the origin says until it closes.
async fn visit(listener: SocketAddr) -> io::Result<()> {
    let mut answer = Vec::new();
    TcpStream::connect(listener)
        .await?
        .read_to_end(&mut answer)
        .await?;
    if answer.is_empty() {
        Err(io::ErrorKind::UnexpectedEof.into())
    } else {
        Ok(())
    }
}

/// Draws a bar for people; a log or a pipe gets none.
fn show_progress(done: u32) {
    let mut terminal = io::stderr();
    if !terminal.is_terminal() || !(done.is_multiple_of(50) || done == CONNECTIONS) {
        return;
    }
    let filled = (done * 40 / CONNECTIONS) as usize;
    let end = if done == CONNECTIONS { "\n" } else { "" };
    // A terminal that went away takes only the bar with it.
    let _ = write!(
        terminal,
        "\r  [{:<40}] {done}/{CONNECTIONS}{end}",
        "#".repeat(filled)
    );
}

fn report(out: &mut impl Write, origins: &[Origin], failed: u32) -> io::Result<()> {
    writeln!(
        out,
        "{:<8} {:<22} {:>11} {:>7}",
        "origin", "address", "connections", "share"
    )?;
    for Origin {
        letter,
        address,
        visits,
        ..
    } in origins
    {
        let share = f64::from(visits.get()) * 100.0 / f64::from(CONNECTIONS - failed).max(1.0);
        let address = address.to_string();
        writeln!(
            out,
            "{letter:<8} {address:<22} {:>11} {share:>6.1}%",
            visits.get()
        )?;
    }
    writeln!(
        out,
        "\nTwo random choices: the busiest of three equal hosts gets one in nine (11.1 %)."
    )
}

/// A server that greets everyone over HTTP, sooner or later.
struct Origin {
    letter: &'static str,
    address: SocketAddr,
    delay: Duration,
    visits: Rc<Cell<u32>>,
}

impl Origin {
    async fn start(letter: &'static str, delay: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let visits = Rc::new(Cell::new(0));
        let counted = Rc::clone(&visits);
        spawn_local(async move {
            // The loop ends with the demo; what can fail here is one client's own.
            loop {
                if let Ok((stream, _)) = listener.accept().await {
                    counted.set(counted.get() + 1);
                    spawn_local(greet(stream, letter, delay));
                }
            }
        });
        Ok(Self {
            letter,
            address,
            delay,
            visits,
        })
    }
}

async fn greet(mut stream: TcpStream, letter: &'static str, delay: Duration) -> io::Result<()> {
    sleep(delay).await;
    let body = format!("answered by origin {letter}\n");
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n";
    let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    // What the client still sends is read: closing on unread bytes would reset the answer away.
    let mut nowhere = tokio::io::sink();
    let rest = tokio::io::copy(&mut stream, &mut nowhere);
    timeout(Duration::from_secs(1), rest)
        .await
        .map_or(Ok(0), |read| read)
        .map(|_| ())
}
