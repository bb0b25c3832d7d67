//! HTTP connections at rest have no actor: whoever dies, they are served when they speak.

use std::net::SocketAddr;
use std::time::Duration;

use banyan::actor::fault;
use banyan::{ListenerView, Plan, Proxy, ProxyHandle};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::MutexGuard;

use super::support::{address, soon, until};
use super::{all, alone};

const CLIENTS: usize = 20;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A proxy that answers by itself, and clients at rest before it.
struct Scene {
    proxy: ProxyHandle,
    to: SocketAddr,
    clients: Vec<TcpStream>,
    _alone: MutexGuard<'static, ()>,
}

impl Scene {
    /// Half of the clients have been answered once, the others have said nothing yet.
    async fn new(idle_timeout: &str) -> Self {
        let alone = alone().await;
        let proxy = Proxy::default().workers(2).run(plan(idle_timeout)).await;
        let proxy = proxy.unwrap();
        let to = address(&proxy, "app").await;
        let mut clients = Vec::new();
        for at in 0..CLIENTS {
            let mut client = TcpStream::connect(to).await.unwrap();
            if at % 2 == 0 {
                assert!(is_served(&mut client).await);
            }
            clients.push(client);
        }
        let scene = Self {
            proxy,
            to,
            clients,
            _alone: alone,
        };
        until("all are accepted", || async {
            scene.app().await.totals.connections_total == CLIENTS as u64
        })
        .await;
        scene
    }

    /// Waits until no connection has an actor.
    async fn parked(self) -> Self {
        until("all rest without an actor", || async {
            fault::count("Connection") == 0
        })
        .await;
        self
    }

    async fn app(&self) -> ListenerView {
        let overview = self.proxy.snapshot().await.unwrap();
        let mut listeners = overview.listeners.into_iter();
        let app = listeners.find(|listener| listener.name.as_str() == "app");
        app.unwrap()
    }

    /// How many of the clients are answered.
    async fn served(&mut self) -> usize {
        let mut served = 0;
        for client in &mut self.clients {
            served += usize::from(is_served(client).await);
        }
        served
    }

    async fn end(self) {
        drop(self.clients);
        self.proxy.stop().await;
        self.proxy.ended().await.unwrap();
    }
}

fn plan(idle_timeout: &str) -> Plan {
    let route = json!({
        "match": { "prefix": "/" },
        "direct_response": { "status": 200, "body": "here" },
    });
    let router = json!({
        "router_config_name": "r",
        "virtual_hosts": [{ "name": "all", "domains": ["*"], "routers": [route] }],
    });
    let filter = json!({
        "type": "proxy",
        "config": { "downstream_protocol": "Http1", "router_config_name": "r" },
    });
    let listener = json!({
        "name": "app", "address": "127.0.0.1:0", "bind_port": true,
        "connection_idle_timeout": idle_timeout,
        "filter_chains": [{ "filters": [filter] }],
    });
    let document = json!({ "servers": [{ "listeners": [listener], "routers": [router] }] });
    Plan::from_json(&document.to_string()).unwrap()
}

async fn is_served(client: &mut TcpStream) -> bool {
    let exchange = async {
        client.write_all(REQUEST).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"here") {
            if client.read_buf(&mut answer).await? == 0 {
                return Ok(false);
            }
        }
        std::io::Result::Ok(answer.starts_with(b"HTTP/1.1 200 "))
    };
    soon("an answer or an end", exchange).await.unwrap_or(false)
}

/// Whether the proxy closes the connection, having said nothing more.
async fn ends(client: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    let end = client.read_to_end(&mut rest);
    soon("the end", end).await.is_ok() && rest.is_empty()
}

#[actix::test]
async fn a_connection_at_rest_has_no_actor_and_is_served_when_it_speaks() {
    let mut scene = Scene::new("600s").await.parked().await;
    assert_eq!(
        scene.app().await.totals.connections_active,
        CLIENTS as u64,
        "those at rest count as open"
    );

    assert_eq!(scene.served().await, CLIENTS);
    scene = scene.parked().await;
    assert_eq!(scene.served().await, CLIENTS, "again");

    scene.clients.clear();
    until("all have gone", || async {
        scene.app().await.totals.connections_active == 0
    })
    .await;
    assert_eq!(
        scene.app().await.totals.connections_total,
        CLIENTS as u64,
        "none counts twice"
    );
    scene.end().await;
}

#[actix::test]
async fn clients_that_leave_while_they_rest_are_let_go() {
    let mut scene = Scene::new("600s").await.parked().await;

    scene.clients.truncate(CLIENTS / 2);

    until("half are left", || async {
        scene.app().await.totals.connections_active == CLIENTS as u64 / 2
    })
    .await;
    assert_eq!(scene.served().await, CLIENTS / 2);
    scene.end().await;
}

#[actix::test]
async fn no_kill_ends_a_connection_at_rest() {
    for kind in [
        "Acceptor",
        "Connections",
        "Roster",
        "lane app #1",
        "worker 0",
        "workers",
    ] {
        let mut scene = Scene::new("600s").await.parked().await;

        assert!(fault::panic_one(kind), "no `{kind}` lives");

        assert_eq!(scene.served().await, CLIENTS, "{kind}");
        until("it was restarted", || async {
            let tree = scene.proxy.snapshot().await.map(|overview| overview.tree);
            tree.is_ok_and(|tree| all(&tree).iter().any(|node| node.restarts > 0))
        })
        .await;
        scene = scene.parked().await;
        assert_eq!(scene.served().await, CLIENTS, "{kind}, later");
        scene.end().await;
    }
}

#[actix::test]
async fn a_drain_closes_what_was_served_and_answers_what_was_not() {
    let mut scene = Scene::new("600s").await.parked().await;
    let to = scene.to;
    let mut clients = std::mem::take(&mut scene.clients);

    let draining = scene.proxy.drain(Duration::from_secs(600));
    let talk = async {
        until("it does not listen any more", || async {
            TcpStream::connect(to).await.is_err()
        })
        .await;
        for (at, client) in clients.iter_mut().enumerate() {
            let owed = at % 2 == 1;
            assert_eq!(owed && is_served(client).await, owed);
            assert!(ends(client).await);
        }
    };
    let (cut, ()) = soon("the drain", async { tokio::join!(draining, talk) }).await;

    assert_eq!(cut, 0);
}

#[actix::test]
async fn a_listener_that_goes_takes_its_connections_at_rest_along() {
    let mut scene = Scene::new("600s").await.parked().await;

    let empty = Plan::default();
    soon("the change", scene.proxy.apply(empty)).await.unwrap();

    for client in scene.clients.iter_mut().step_by(2) {
        assert!(ends(client).await);
    }
    scene.end().await;
}

#[actix::test]
async fn a_connection_that_rests_too_long_is_closed_though_it_has_no_actor() {
    let mut scene = Scene::new("4s").await.parked().await;

    for client in &mut scene.clients {
        assert!(ends(client).await);
    }

    let totals = scene.app().await.totals;
    assert_eq!(
        (totals.connections_idle_closed, totals.connections_active),
        (CLIENTS as u64, 0)
    );
    scene.end().await;
}

#[actix::test]
async fn the_end_of_the_proxy_closes_connections_at_rest() {
    let mut scene = Scene::new("600s").await.parked().await;

    scene.proxy.stop().await;
    scene.proxy.ended().await.unwrap();

    for client in &mut scene.clients {
        assert!(ends(client).await);
    }
}
