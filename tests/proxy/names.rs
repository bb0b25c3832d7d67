//! Clusters whose hosts are names that a DNS server is asked for.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::mpsc;

use banyan::config::{Dns, DnsServers, HostAddress};
use banyan::upstream::look_up;
use banyan::{Health, HostView, Proxy, ProxyHandle};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::dns::{DnsServer, Reply, found};
use crate::support::{
    Origin, address, cluster, exchange, listener, plan, soon, start, until, visit,
};

async fn hosts(proxy: &ProxyHandle) -> Vec<HostView> {
    let mut overview = proxy.snapshot().await.unwrap();
    overview.clusters.remove(0).hosts
}

async fn addresses(proxy: &ProxyHandle) -> Vec<String> {
    hosts(proxy).await.into_iter().map(|h| h.address).collect()
}

async fn become_hosts(proxy: &ProxyHandle, expected: &[&str]) {
    until(&format!("hosts {expected:?}"), async || {
        addresses(proxy).await == expected
    })
    .await;
}

/// Two origins on one port of two addresses, and that port.
async fn two_origins() -> (Origin, Origin, u16) {
    loop {
        let first = Origin::greeting().await;
        let port = first.address.port();
        let other = SocketAddr::from(([127, 0, 0, 2], port));
        // The port may be taken there.
        if TcpListener::bind(other).await.is_ok() {
            return (first, Origin::greeting_on(other).await, port);
        }
    }
}

#[actix::test]
async fn each_address_of_a_name_is_a_host_with_counts_of_its_own() {
    let (one, two, port) = two_origins().await;
    let dns = DnsServer::start().await;
    dns.says("origin.test", found(&["127.0.0.2", "127.0.0.1"]));
    let cluster = dns.cluster(&[format!("origin.test:{port}")]);

    let proxy = start(plan(&[listener("app")], &[cluster])).await;

    // Whoever starts a proxy finds the names resolved.
    assert_eq!(visit(address(&proxy, "app").await, 8, 1).await, 0);
    let hosts = hosts(&proxy).await;
    let expected = [format!("127.0.0.1:{port}"), format!("127.0.0.2:{port}")];
    let found: Vec<_> = hosts.iter().map(|host| host.address.clone()).collect();
    assert_eq!(found, expected);
    assert!(
        hosts
            .iter()
            .all(|h| h.hostname.as_deref() == Some("origin.test"))
    );
    let total: u64 = hosts.iter().map(|host| host.connections_total).sum();
    assert_eq!((total, one.visits() + two.visits()), (8, 8));
    assert!(hosts.iter().all(|host| host.connections_total > 0));
}

#[actix::test]
async fn a_proxy_starts_with_a_name_that_does_not_resolve_and_says_why_nothing_works() {
    let origin = Origin::greeting().await;
    let dns = DnsServer::start().await;
    let cluster = dns.cluster(&[format!("origin.test:{}", origin.address.port())]);
    let (lines, written) = mpsc::channel();
    let log = slog::Logger::root(Lines(lines), slog::o!());
    let proxy = Proxy::default().workers(1).logger(log);
    let proxy = proxy.run(plan(&[listener("app")], &[cluster])).await;
    let proxy = proxy.unwrap();
    let to = address(&proxy, "app").await;

    assert_eq!(exchange(to, b"").await.unwrap_or_default(), b"");

    let said = RefCell::new(String::new());
    until("the reason in the log", async || {
        said.borrow_mut().extend(written.try_iter());
        let reason = "no upstream in cluster `origins`: no host: name `origin.test` does not \
                      resolve: no such name";
        said.borrow().contains(reason)
    })
    .await;
    dns.says("origin.test", found(&["127.0.0.1"]));
    until("the name resolves", async || {
        !hosts(&proxy).await.is_empty()
    })
    .await;
    assert_eq!(exchange(to, b"").await.unwrap(), b"welcome");
}

struct Lines(mpsc::Sender<String>);

impl slog::Drain for Lines {
    type Ok = ();
    type Err = slog::Never;

    fn log(&self, record: &slog::Record<'_>, _: &slog::OwnedKVList) -> Result<(), slog::Never> {
        let _ = self.0.send(format!("{}\n", record.msg()));
        Ok(())
    }
}

#[actix::test]
async fn a_host_that_stays_keeps_its_health_its_counts_and_its_connection() {
    let origin = Origin::echoing().await;
    let port = origin.address.port();
    let dns = DnsServer::start().await;
    dns.says("origin.test", found(&["127.0.0.1"]));
    let cluster = dns.cluster(&[format!("origin.test:{port}")]);
    let proxy = start(plan(&[listener("app")], &[cluster])).await;
    let mut stream = TcpStream::connect(address(&proxy, "app").await)
        .await
        .unwrap();
    stream.write_all(b"x").await.unwrap();
    stream.read_exact(&mut [0]).await.unwrap();
    let host = HostAddress::from(origin.address);
    proxy
        .set_health("origins", host, Health::Unhealthy)
        .await
        .unwrap();

    dns.says(
        "origin.test",
        found(&["127.0.0.3", "127.0.0.1", "127.0.0.2"]),
    );
    let expected = [1, 2, 3].map(|n| format!("127.0.0.{n}:{port}"));
    let expected: Vec<_> = expected.iter().map(String::as_str).collect();
    become_hosts(&proxy, &expected).await;

    let hosts = hosts(&proxy).await;
    let healthy: Vec<_> = hosts.iter().map(|host| host.healthy).collect();
    assert_eq!(healthy, [false, true, true]);
    assert_eq!(hosts[0].connections_active, 1);
    dns.says("origin.test", found(&["127.0.0.2"]));
    become_hosts(&proxy, &expected[1..2]).await;
    // The host is gone, and what it carries goes on.
    stream.write_all(b"y").await.unwrap();
    soon("the echo", stream.read_exact(&mut [0])).await.unwrap();
}

#[actix::test]
async fn whatever_goes_wrong_the_addresses_of_before_stay() {
    let origin = Origin::greeting().await;
    let dns = DnsServer::start().await;
    dns.says("origin.test", found(&["127.0.0.1"]));
    let cluster = dns.cluster(&[format!("origin.test:{}", origin.address.port())]);
    let proxy = start(plan(&[listener("app")], &[cluster])).await;
    let before = addresses(&proxy).await;
    for reply in [
        Reply::NoName,
        Reply::Failure,
        Reply::Garbage,
        Reply::Silence,
        found(&["::1"]),
    ] {
        dns.says("origin.test", reply.clone());
        let asked = dns.asked("origin.test");
        until("it is asked again", async || {
            dns.asked("origin.test") > asked + 1
        })
        .await;

        assert_eq!(addresses(&proxy).await, before, "{reply:?}");
        let to = address(&proxy, "app").await;
        assert_eq!(exchange(to, b"").await.unwrap(), b"welcome", "{reply:?}");
    }
}

#[actix::test]
async fn an_answer_too_long_for_a_datagram_is_fetched_over_tcp() {
    let dns = DnsServer::start().await;
    let many: Vec<_> = (1..=100).map(|n| [127, 0, 1, n].into()).collect();
    dns.says("origin.test", Reply::Truncated(many));

    let proxy = start(plan(&[], &[dns.cluster(&["origin.test".to_owned()])])).await;

    until("all hosts", async || hosts(&proxy).await.len() == 100).await;
    // The port is that of HTTP where none is written.
    assert_eq!(addresses(&proxy).await[0], "127.0.1.1:80");
}

#[actix::test]
async fn the_family_says_which_addresses_are_hosts() {
    let dns = DnsServer::start().await;
    let both = found(&["2001:db8::7", "192.0.2.7", "::1"]);
    dns.says("origin.test", both);
    for (family, expected) in [
        ("V4_ONLY", &["192.0.2.7:9090"][..]),
        ("V6_ONLY", &["[::1]:9090", "[2001:db8::7]:9090"]),
    ] {
        let mut cluster = dns.cluster(&["origin.test:9090".to_owned()]);
        cluster["dns_lookup_family"] = json!(family);
        let proxy = start(plan(&[], &[cluster])).await;
        become_hosts(&proxy, expected).await;
    }
}

#[actix::test]
async fn two_names_of_one_address_are_one_host_and_literals_stand_beside_them() {
    let dns = DnsServer::start().await;
    dns.says("one.test", found(&["192.0.2.1"]));
    dns.says("two.test", found(&["192.0.2.2", "192.0.2.1"]));
    let hosts = ["192.0.2.9:80", "one.test", "two.test", "[2001:db8::1]:80"];

    let proxy = start(plan(&[], &[dns.cluster(&hosts.map(str::to_owned))])).await;

    let expected = [
        "192.0.2.9:80",
        "192.0.2.1:80",
        "192.0.2.2:80",
        "[2001:db8::1]:80",
    ];
    become_hosts(&proxy, &expected).await;
}

#[actix::test]
async fn a_time_to_live_that_is_respected_says_when_to_ask_again() {
    let dns = DnsServer::start().await;
    dns.says("origin.test", Reply::Found(vec![[192, 0, 2, 1].into()], 1));
    dns.says("other.test", found(&["192.0.2.1"]));
    let hosts = ["origin.test", "other.test"].map(str::to_owned);
    let mut cluster = dns.cluster(&hosts);
    cluster["dns_refresh_rate"] = json!("1h");
    cluster["respect_dns_ttl"] = json!(true);
    let _proxy = start(plan(&[], &[cluster])).await;

    until("a third question", async || dns.asked("origin.test") == 3).await;

    assert_eq!(dns.asked("other.test"), 1);
}

#[actix::test]
async fn the_next_server_is_asked_where_one_is_silent() {
    let dns = DnsServer::start().await;
    dns.says("origin.test", found(&["192.0.2.1"]));
    // Nobody reads what this one is sent.
    let silent = (std::net::Ipv4Addr::new(127, 0, 0, 2), dns.port);
    let Ok(_silent) = tokio::net::UdpSocket::bind(silent).await else {
        return;
    };
    let mut cluster = dns.cluster(&["origin.test".to_owned()]);
    cluster["dns_resolvers"]["servers"] = json!(["127.0.0.2", "127.0.0.1"]);

    let proxy = start(plan(&[], &[cluster])).await;

    become_hosts(&proxy, &["192.0.2.1:80"]).await;
}

#[actix::test]
async fn servers_and_domains_are_read_from_a_file() {
    let dns = DnsServer::start().await;
    dns.says("origin.inner.test", found(&["192.0.2.1"]));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("resolv.conf");
    std::fs::write(&file, "nameserver 127.0.0.1\nsearch inner.test\n").unwrap();
    let mut cluster = dns.cluster(&["origin".to_owned()]);
    cluster.as_object_mut().unwrap().remove("dns_resolvers");
    cluster["dns_resolver_file"] = json!(file);
    cluster["dns_resolver_port"] = json!(dns.port.to_string());

    let proxy = start(plan(&[], &[cluster])).await;

    become_hosts(&proxy, &["192.0.2.1:80"]).await;
}

#[actix::test]
async fn what_was_resolved_outlives_a_change_of_something_else() {
    let dns = DnsServer::start().await;
    dns.says("origin.test", found(&["192.0.2.1"]));
    let mut cluster = dns.cluster(&["origin.test".to_owned()]);
    cluster["dns_refresh_rate"] = json!("1h");
    let proxy = start(plan(&[], std::slice::from_ref(&cluster))).await;
    become_hosts(&proxy, &["192.0.2.1:80"]).await;
    dns.says("origin.test", Reply::NoName);

    let other = json!({ "name": "other", "hosts": [{ "address": "192.0.2.9:1" }] });
    cluster["connect_timeout"] = json!("3s");
    let applied = proxy.apply(plan(&[], &[cluster.clone(), other])).await;

    assert_eq!(applied.unwrap().len(), 2);
    assert_eq!(addresses(&proxy).await, ["192.0.2.1:80"]);
    assert_eq!(dns.asked("origin.test"), 1);
}

#[actix::test]
async fn a_name_that_comes_is_asked_for_and_one_that_goes_is_not() {
    let dns = DnsServer::start().await;
    dns.says("one.test", found(&["192.0.2.1"]));
    dns.says("two.test", found(&["192.0.2.2"]));
    let proxy = start(plan(&[], &[dns.cluster(&["one.test".to_owned()])])).await;
    become_hosts(&proxy, &["192.0.2.1:80"]).await;

    let two = HostAddress::Name("two.test".into(), 81);
    let hosts = proxy.hosts("origins");
    hosts
        .append(vec![banyan::config::Host::new(two)])
        .await
        .unwrap();
    become_hosts(&proxy, &["192.0.2.2:81", "192.0.2.1:80"]).await;
    let one = HostAddress::Name("one.test".into(), 80);
    hosts.remove(vec![one]).await.unwrap();

    become_hosts(&proxy, &["192.0.2.2:81"]).await;
    let asked = dns.asked("one.test");
    let two = dns.asked("two.test");
    until("the other is asked for", async || {
        dns.asked("two.test") > two + 3
    })
    .await;
    assert!(dns.asked("one.test") <= asked + 1);
}

/// Asks a server as the system asks its own: whoever wants to know waits.
fn by(dns: &DnsServer) -> impl Fn(&str) -> std::io::Result<Vec<SocketAddr>> + Send + Sync + use<> {
    let runtime = tokio::runtime::Handle::current();
    let dns = Dns {
        servers: DnsServers::Listed {
            servers: vec![[127, 0, 0, 1].into()],
            port: dns.port,
            search: Vec::new(),
            ndots: 1,
            timeout: std::time::Duration::from_secs(1),
            attempts: 1,
        },
        ..Dns::default()
    };
    move |name| {
        let answer = runtime.block_on(look_up(name, &dns));
        let addresses = answer.map_err(std::io::Error::other)?.addresses;
        Ok(addresses.into_iter().map(|ip| (ip, 0).into()).collect())
    }
}

fn plain(name: &str, port: u16) -> serde_json::Value {
    let mut plain = cluster("LB_ROUNDROBIN", &[]);
    plain["hosts"] = json!([{ "address": format!("{name}:{port}") }]);
    plain
}

#[actix::test]
async fn the_name_of_a_plain_host_is_asked_for_once_for_all_workers_and_changes() {
    let origin = Origin::greeting().await;
    let port = origin.address.port();
    let dns = DnsServer::start().await;
    dns.says("origin.test", found(&["127.0.0.1"]));
    let with = |host| plan(&[listener("app")], &[plain(host, port)]);
    let proxy = Proxy::default().workers(2).look_up(by(&dns));
    let proxy = proxy.run(with("origin.test")).await.unwrap();
    let to = address(&proxy, "app").await;

    assert_eq!(visit(to, 20, 10).await, 0);
    dns.says("origin.test", Reply::NoName);
    proxy.apply(with("nowhere.test")).await.unwrap();
    assert_eq!(visit(to, 3, 1).await, 3);
    proxy.apply(with("origin.test")).await.unwrap();
    assert_eq!(visit(to, 20, 10).await, 0);

    assert_eq!(dns.asked("origin.test"), 1);
    assert!(dns.asked("nowhere.test") >= 1);
    let seen = hosts(&proxy).await;
    assert_eq!(seen[0].address, format!("origin.test:{port}"));
}
