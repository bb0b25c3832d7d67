//! Health checks of an embedded proxy.

use std::net::SocketAddr;
use std::time::Duration;

use actix::prelude::*;
use banyan::actor::view::{CheckView, HostView};
use banyan::cluster::Reason;
use banyan::{Health, HealthTurned, Plan, Proxy, ProxyHandle, Upgrades, inherit};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::{
    Origin, address, cluster, exchange, listener, plan, proxy, refusing, soon, start, until, visit,
};

/// Hands on what it hears.
struct Listener(mpsc::UnboundedSender<HealthTurned>);

impl Actor for Listener {
    type Context = Context<Self>;
}

impl Handler<HealthTurned> for Listener {
    type Result = ();

    fn handle(&mut self, turned: HealthTurned, _: &mut Context<Self>) {
        let _ = self.0.send(turned);
    }
}

async fn listens(proxy: &ProxyHandle) -> mpsc::UnboundedReceiver<HealthTurned> {
    let (sender, heard) = mpsc::unbounded_channel();
    let listener = Listener(sender).start();
    proxy.subscribe_health(listener.recipient()).await.unwrap();
    heard
}

fn checked(hosts: &[SocketAddr], check: Value) -> Plan {
    let mut cluster = cluster("LB_LEAST_CONNECTION", hosts);
    cluster["health_check"] = check;
    plan(&[listener("app")], &[cluster])
}

fn often() -> Value {
    json!({ "service_name": "s", "interval": "10ms", "initial_delay_seconds": "1ms",
            "timeout": "10s" })
}

async fn check_of(proxy: &ProxyHandle) -> Option<CheckView> {
    let overview = proxy.snapshot().await.unwrap();
    overview.clusters[0].health_check.clone()
}

async fn host(proxy: &ProxyHandle, address: SocketAddr) -> HostView {
    let overview = proxy.snapshot().await.unwrap();
    let mut hosts = overview.clusters[0].hosts.iter();
    let found = hosts.find(|host| host.address == address.to_string());
    found.unwrap().clone()
}

async fn turns(proxy: &ProxyHandle, address: SocketAddr, healthy: bool) {
    until("its health turns", || async {
        host(proxy, address).await.healthy == healthy
    })
    .await;
}

#[actix::test]
async fn a_host_that_fails_its_check_is_not_chosen_and_subscribers_hear_of_it() {
    let good = Origin::echoing().await;
    let dead = refusing().await;
    let both = [dead, good.address];
    let proxy = start(checked(&both, json!({}))).await;
    let mut heard = listens(&proxy).await;

    proxy.apply(checked(&both, often())).await.unwrap();

    let turned = soon("the turn", heard.recv()).await.unwrap();
    assert_eq!(
        (turned.address, turned.reason),
        (dead.into(), Reason::FailedCheck)
    );
    assert_eq!(
        (turned.says, turned.health),
        (Health::Unhealthy, Health::Unhealthy)
    );
    let view = host(&proxy, dead).await;
    assert_eq!(
        (view.healthy, view.reasons),
        (false, vec![Reason::FailedCheck])
    );
    let to = address(&proxy, "app").await;
    for _ in 0..50 {
        soon("an echo", exchange(to, b"x")).await.unwrap();
    }
    assert_eq!(host(&proxy, dead).await.connections_total, 0);
    let check = check_of(&proxy).await.unwrap();
    assert_eq!((&*check.service_name, check.totals.healty), ("s", 1));
    let totals = check.totals;
    assert!(totals.attempt >= 2 && totals.success >= 1, "{totals:?}");
    assert!(
        totals.active_failure >= 1 && totals.network_failure == 0,
        "{totals:?}"
    );
}

#[actix::test]
async fn a_check_that_goes_takes_back_what_it_said() {
    let dead = refusing().await;
    let proxy = start(checked(&[dead], often())).await;
    turns(&proxy, dead, false).await;

    proxy.apply(checked(&[dead], json!({}))).await.unwrap();

    let view = host(&proxy, dead).await;
    assert_eq!((view.healthy, view.reasons), (true, vec![]));
    assert!(check_of(&proxy).await.is_none());
}

#[actix::test]
async fn subscribers_hear_what_is_taken_back_with_a_check() {
    let dead = refusing().await;
    let proxy = start(checked(&[dead], often())).await;
    turns(&proxy, dead, false).await;
    let mut heard = listens(&proxy).await;

    proxy.apply(checked(&[dead], json!({}))).await.unwrap();

    let turned = soon("the turn", heard.recv()).await.unwrap();
    assert_eq!(turned.reason, Reason::FailedCheck);
    assert_eq!(
        (turned.says, turned.health),
        (Health::Healthy, Health::Healthy)
    );
}

#[actix::test]
async fn subscribers_hear_of_an_ejection_and_of_its_end() {
    let (good, dead) = (Origin::greeting().await, refusing().await);
    let mut cluster = cluster("LB_ROUNDROBIN", &[good.address, dead]);
    cluster["outlier_detection"] = json!({ "consecutive_local_origin_failure": 2,
                                           "base_ejection_time": "100ms" });
    let proxy = start(plan(&[listener("app")], &[cluster])).await;
    let mut heard = listens(&proxy).await;
    let to = address(&proxy, "app").await;
    let visits = async {
        loop {
            visit(to, 2, 1).await;
        }
    };
    let both = async { (heard.recv().await.unwrap(), heard.recv().await.unwrap()) };

    let (out, back) = tokio::select! {
        both = soon("both turns", both) => both,
        () = visits => unreachable!(),
    };

    for (turned, says) in [(out, Health::Unhealthy), (back, Health::Healthy)] {
        assert_eq!(
            (turned.address, turned.reason),
            (dead.into(), Reason::Ejected)
        );
        assert_eq!((turned.says, turned.health), (says, says));
    }
}

#[actix::test]
async fn a_host_that_was_taken_out_by_command_is_not_let_in_by_its_check() {
    let origin = Origin::greeting().await;
    let proxy = start(checked(&[origin.address], often())).await;
    let command = async |health| {
        let host = origin.address.into();
        assert!(proxy.set_health("origins", host, health).await.unwrap());
    };

    command(Health::Unhealthy).await;

    let (before, visits) = (
        check_of(&proxy).await.unwrap().totals.success,
        origin.visits(),
    );
    until("more probes pass", || async {
        check_of(&proxy).await.unwrap().totals.success > before + 2
    })
    .await;
    assert!(origin.visits() > visits);
    let view = host(&proxy, origin.address).await;
    assert_eq!(
        (view.healthy, view.reasons),
        (false, vec![Reason::Commanded])
    );
    command(Health::Healthy).await;
    assert!(host(&proxy, origin.address).await.healthy);
}

#[actix::test]
async fn a_change_that_does_not_touch_a_host_leaves_its_health_and_its_counts() {
    let (first, second) = (Origin::greeting().await, Origin::greeting().await);
    let dead = refusing().await;
    let mut rare = often();
    rare["interval"] = json!("1h");
    let proxy = start(checked(&[dead, first.address], rare.clone())).await;
    turns(&proxy, dead, false).await;
    until("both are probed", || async { first.visits() == 1 }).await;
    let before = check_of(&proxy).await.unwrap().totals;

    let hosts = [dead, first.address, second.address];
    proxy.apply(checked(&hosts, rare)).await.unwrap();

    until("the new one is probed", || async { second.visits() == 1 }).await;
    assert!(!host(&proxy, dead).await.healthy);
    // Those that stay are not due for an hour.
    assert_eq!(first.visits(), 1);
    assert_eq!(
        check_of(&proxy).await.unwrap().totals.attempt,
        before.attempt + 1
    );
}

#[actix::test]
async fn a_host_that_was_removed_is_probed_no_more() {
    let (stays, goes) = (Origin::greeting().await, Origin::greeting().await);
    let both = [stays.address, goes.address];
    let proxy = start(checked(&both, often())).await;
    until("both are probed", || async {
        stays.visits() > 1 && goes.visits() > 1
    })
    .await;

    proxy
        .hosts("origins")
        .remove(vec![goes.address.into()])
        .await
        .unwrap();

    // One may have been under way.
    let attempts = check_of(&proxy).await.unwrap().totals.attempt;
    until("others go on", || async {
        check_of(&proxy).await.unwrap().totals.attempt > attempts + 10
    })
    .await;
    let (visits, others) = (goes.visits(), stays.visits());
    until("others go on", || async { stays.visits() > others + 10 }).await;
    assert_eq!(goes.visits(), visits);
}

#[actix::test]
async fn other_settings_of_a_check_are_those_that_count() {
    let dead = refusing().await;
    let mut check = often();
    check["unhealthy_threshold"] = json!(1_000_000);
    let proxy = start(checked(&[dead], check.clone())).await;
    until("some have failed", || async {
        check_of(&proxy).await.unwrap().totals.failure > 3
    })
    .await;
    assert!(host(&proxy, dead).await.healthy);

    check["unhealthy_threshold"] = json!(2);
    proxy.apply(checked(&[dead], check)).await.unwrap();

    turns(&proxy, dead, false).await;
}

#[actix::test]
async fn a_cluster_that_is_removed_is_probed_no_more() {
    let origin = Origin::greeting().await;
    let mut second = cluster("LB_RANDOM", &[origin.address]);
    second["name"] = json!("second");
    second["health_check"] = often();
    let first = cluster("LB_RANDOM", &[]);
    let proxy = start(plan(&[listener("app")], &[first.clone(), second])).await;
    until("it is probed", || async { origin.visits() > 1 }).await;

    proxy
        .apply(plan(&[listener("app")], &[first]))
        .await
        .unwrap();

    let health = |tree: &banyan::actor::supervisor::Node| {
        let mut children = tree.children.iter();
        children
            .find(|child| &*child.id == "health")
            .unwrap()
            .children
            .len()
    };
    let tree = proxy.snapshot().await.unwrap().tree;
    assert_eq!(health(&tree), 0, "{tree:?}");
}

#[actix::test]
async fn without_a_check_nobody_is_probed() {
    let origin = Origin::echoing().await;
    let proxy = proxy("LB_RANDOM", &[origin.address]).await;
    let to = address(&proxy, "app").await;
    soon("an echo", exchange(to, b"x")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(origin.visits(), 1);
}

#[actix::test]
async fn what_was_commanded_of_a_host_holds_in_the_process_that_takes_over() {
    let directory = tempfile::tempdir().unwrap();
    let hosts = [refusing().await, refusing().await];
    let plan = || plan(&[listener("app")], &[cluster("LB_ROUNDROBIN", &hosts)]);
    let mut upgrades = Upgrades::new(directory.path());
    upgrades.probation = Duration::from_millis(50);
    let old = Proxy::default().workers(1).upgrades(upgrades.clone(), None);
    let old = old.run(plan()).await.unwrap();
    let set = old.set_health("origins", hosts[0].into(), Health::Unhealthy);
    assert!(set.await.unwrap());

    let inheritance = inherit(directory.path(), Duration::from_secs(10)).await;
    let new = Proxy::default()
        .workers(1)
        .upgrades(upgrades, inheritance.unwrap());
    let new = new.run(plan()).await.unwrap();

    soon("the old one leaves", old.ended()).await.unwrap();
    let out = host(&new, hosts[0]).await;
    assert_eq!((out.healthy, out.reasons), (false, vec![Reason::Commanded]));
    assert!(host(&new, hosts[1]).await.healthy);
    let set = new.set_health("origins", hosts[0].into(), Health::Healthy);
    assert!(set.await.unwrap());
    assert!(host(&new, hosts[0]).await.healthy);
}
