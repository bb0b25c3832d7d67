//! An actix application with a proxy inside: one of its actors steers the proxy by messages.
//!
//! `cargo run --example embed_in_actix` shows it; it ends by itself, and fails if anything is off.
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use actix::prelude::*;
use banyan::config::{Cluster, Host, Listener};
use banyan::{ApplyError, Change, Health, Plan, Proxy, ProxyHandle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The application's own actor: whoever wants traffic to go elsewhere asks it.
struct Steward(ProxyHandle);

impl Actor for Steward {
    type Context = Context<Self>;
}

/// Relays connections to these origins from now on.
#[derive(Message)]
#[rtype(result = "Result<Vec<Change>, ApplyError>")]
struct Relay(Vec<SocketAddr>);

impl Handler<Relay> for Steward {
    type Result = ResponseActFuture<Self, Result<Vec<Change>, ApplyError>>;

    fn handle(&mut self, Relay(origins): Relay, _: &mut Context<Self>) -> Self::Result {
        let proxy = self.0.clone();
        let hosts = origins.into_iter().map(Host::from).collect();
        Box::pin(async move { proxy.hosts("origins").set(hosts).await }.into_actor(self))
    }
}

/// Takes an origin out of the choice, or back in; `false` when it is not a host.
#[derive(Message)]
#[rtype(result = "Result<bool, ApplyError>")]
struct Judge(SocketAddr, Health);

impl Handler<Judge> for Steward {
    type Result = ResponseActFuture<Self, Result<bool, ApplyError>>;

    fn handle(&mut self, Judge(origin, health): Judge, _: &mut Context<Self>) -> Self::Result {
        let proxy = self.0.clone();
        let judge = async move { proxy.set_health("origins", origin.into(), health).await };
        Box::pin(judge.into_actor(self))
    }
}

#[actix::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tokio::time::timeout(Duration::from_secs(30), application()).await?
}

async fn application() -> Result<(), Box<dyn Error>> {
    let (a, b) = (origin("a").await?, origin("b").await?);
    let cluster = Cluster::new("origins", [Host::from(a)]);
    let listener = Listener::new("door", ([127, 0, 0, 1], 0).into(), "origins");
    let plan = Plan::of([cluster], [listener]);
    let proxy = Proxy::default().workers(1).run(plan).await?;
    let door: SocketAddr = proxy.snapshot().await?.listeners[0].address.parse()?;
    let steward = Steward(proxy.clone()).start();
    println!("the proxy listens on {door}");
    assert_eq!(visits(door).await?, "aaaa");

    for change in steward.send(Relay(vec![a, b])).await?? {
        println!("{change}");
    }
    let turns = visits(door).await?;
    assert!(["abab", "baba"].contains(&turns.as_str()), "{turns}");

    assert!(steward.send(Judge(b, Health::Unhealthy)).await??);
    assert_eq!(visits(door).await?, "aaaa");
    println!("{:#?}", proxy.snapshot().await?.clusters);

    // A connection that is open when the drain begins is let end.
    let last = TcpStream::connect(door).await?;
    let (cut, greeting) = tokio::join!(proxy.drain(Duration::from_secs(10)), greeted(last));
    assert_eq!((cut, greeting?.as_str()), (0, "a"));
    proxy.ended().await?;
    assert!(TcpStream::connect(door).await.is_err());
    println!("drained, and nothing was cut");
    Ok(())
}

/// Whom four connections, one after another, were greeted by.
async fn visits(door: SocketAddr) -> io::Result<String> {
    let mut greetings = String::new();
    for _ in 0..4 {
        greetings += &greeted(TcpStream::connect(door).await?).await?;
    }
    Ok(greetings)
}

async fn greeted(mut stream: TcpStream) -> io::Result<String> {
    let mut greeting = String::new();
    stream.read_to_string(&mut greeting).await?;
    Ok(greeting)
}

/// A server that greets everyone by its name, for as long as the application runs.
async fn origin(name: &'static str) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::task::spawn_local(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // Whoever has gone already needs no greeting.
            let _gone = stream.write_all(name.as_bytes()).await;
        }
    });
    Ok(address)
}
