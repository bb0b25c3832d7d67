//! Hosts that fail, and what the others get.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use banyan::{Health, HostAddress, HostView, Proxy, ProxyHandle};
use serde_json::{Value, json};
use slog::{Drain, Logger, Never, OwnedKVList, Record};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::spawn_local;

use crate::support::{Origin, address, cluster, listener, plan, refusing, start, until, visit};

const COUNT: usize = 3_000;
const AT_ONCE: usize = 50;

/// The hosts of the only cluster.
async fn hosts(proxy: &ProxyHandle) -> Vec<HostView> {
    proxy.snapshot().await.unwrap().clusters.remove(0).hosts
}

fn with(mut cluster: Value, keys: Value) -> Value {
    for (key, value) in keys.as_object().unwrap() {
        cluster[key] = value.clone();
    }
    cluster
}

/// Lines of the log as they are written.
struct Lines(Sender<String>);

impl Drain for Lines {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, _: &OwnedKVList) -> Result<(), Never> {
        // Nobody may be listening any more.
        let _ = self.0.send(record.msg().to_string());
        Ok(())
    }
}

/// A proxy before this cluster, and what it logs.
async fn logged(cluster: Value) -> (ProxyHandle, Receiver<String>) {
    let (lines, log) = channel();
    let proxy = Proxy::default()
        .workers(2)
        .logger(Logger::root(Lines(lines), slog::o!()));
    let running = proxy.run(plan(&[listener("app")], &[cluster])).await;
    (running.unwrap(), log)
}

/// The lines so far that have `word` in them.
fn heard(log: &Receiver<String>, word: &str) -> Vec<String> {
    log.try_iter().filter(|line| line.contains(word)).collect()
}

#[actix::test]
async fn a_host_that_refuses_at_once_beside_two_good_ones_fails_few_first_attempts() {
    for lb_type in ["LB_LEAST_CONNECTION", "LB_LEAST_REQUEST"] {
        for choices in [2, 0] {
            let good = [Origin::greeting().await, Origin::greeting().await];
            let bad = refusing().await;
            let hosts_of = [good[0].address, bad, good[1].address];
            let lbconfig = json!({ "lbconfig": { "choice_count": choices } });
            let cluster = with(cluster(lb_type, &hosts_of), lbconfig);
            let proxy = start(plan(&[listener("app")], &[cluster])).await;

            let failed = visit(address(&proxy, "app").await, COUNT, AT_ONCE).await;

            // A connection tries no host twice, and no other host fails.
            let missed = hosts(&proxy).await[1].connections_failed as usize;
            println!("{lb_type}, choices {choices}: {missed} of {COUNT} first attempts failed");
            assert_eq!(failed, 0);
            assert!(
                missed > 0 && missed * 20 < COUNT,
                "{lb_type}, {choices}: {missed} of {COUNT}"
            );
            let shares = good.each_ref().map(|origin| origin.visits() as f64);
            assert!((shares[0] / shares[1]).ln().abs() < 0.3, "{shares:?}");
            proxy.stop().await;
        }
    }
}

#[actix::test]
async fn a_host_that_fails_too_often_is_ejected_and_the_log_says_why() {
    let good = Origin::greeting().await;
    let bad = refusing().await;
    let outliers = json!({ "outlier_detection": { "consecutive_local_origin_failure": 3 } });
    let cluster = with(cluster("LB_ROUNDROBIN", &[good.address, bad]), outliers);
    let (proxy, log) = logged(cluster).await;
    let to = address(&proxy, "app").await;

    until("the host is ejected", || async {
        visit(to, 2, 1).await;
        hosts(&proxy).await[1].ejected
    })
    .await;

    let before = hosts(&proxy).await;
    assert_eq!(visit(to, 200, 20).await, 0);
    let after = hosts(&proxy).await;
    // One on the way at the time of the ejection may come late.
    assert!(after[1].connections_failed <= before[1].connections_failed + 2);
    assert_eq!((after[0].ejections, after[1].ejections), (0, 1));
    assert_eq!((after[0].healthy, after[1].healthy), (true, false));
    let said = heard(&log, "ejected");
    let begins = format!("host {bad} of cluster `origins` ejected for 3");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with(&begins), "{said:?}");
    assert!(
        said[0].ends_with(" s: 3 consecutive connect failures"),
        "{said:?}"
    );
    proxy.stop().await;
}

#[actix::test]
async fn an_ejected_host_returns_when_its_time_is_up() {
    let good = Origin::greeting().await;
    let bad = refusing().await;
    let outliers = json!({ "outlier_detection": {
        "consecutive_local_origin_failure": 2, "base_ejection_time": "200ms" } });
    let cluster = with(cluster("LB_ROUNDROBIN", &[good.address, bad]), outliers);
    let (proxy, log) = logged(cluster).await;
    let to = address(&proxy, "app").await;
    until("the host is ejected more than once", || async {
        visit(to, 2, 1).await;
        hosts(&proxy).await[1].ejections > 1
    })
    .await;

    let recovered = TcpListener::bind(bad).await.unwrap();
    let served = spawn_local(async move {
        let (mut stream, _) = recovered.accept().await.unwrap();
        let _ = stream.write_all(b"back").await;
    });

    until("the host is served from again", || async {
        visit(to, 2, 1).await;
        served.is_finished()
    })
    .await;
    assert!(!heard(&log, "returns from its ejection").is_empty());
    proxy.stop().await;
}

#[actix::test]
async fn a_host_that_resets_what_it_accepts_is_ejected_under_tcp() {
    let good = Origin::greeting().await;
    let bad = Origin::scripted(|stream| async move {
        let socket = socket2::SockRef::from(&stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    })
    .await;
    let outliers = json!({ "outlier_detection": { "consecutive_local_origin_failure": 3 } });
    let cluster = with(
        cluster("LB_ROUNDROBIN", &[good.address, bad.address]),
        outliers,
    );
    let (proxy, log) = logged(cluster).await;
    let to = address(&proxy, "app").await;

    until("the host is ejected", || async {
        visit(to, 2, 1).await;
        hosts(&proxy).await[1].ejected
    })
    .await;

    // A reset that is there before the connection counts as made is a failure to connect.
    let said = heard(&log, "ejected");
    let is_told = said[0].ends_with("3 consecutive requests cut off or not answered")
        || said[0].ends_with("3 consecutive connect failures");
    assert!(is_told, "{said:?}");
    assert_eq!(visit(to, 50, 5).await, 0);
    proxy.stop().await;
}

#[actix::test]
async fn the_last_healthy_host_is_not_ejected() {
    let outliers = json!({ "outlier_detection": {
        "consecutive_local_origin_failure": 2, "max_ejection_percent": 100 } });
    let cluster = with(
        cluster("LB_ROUNDROBIN", &[refusing().await, refusing().await]),
        outliers,
    );
    let (proxy, log) = logged(cluster).await;
    let to = address(&proxy, "app").await;
    let mut spared = Vec::new();

    until("a host is spared", || {
        spared.extend(heard(&log, "no other host is healthy"));
        let done = !spared.is_empty();
        async move {
            visit(to, 4, 1).await;
            done
        }
    })
    .await;

    let ejected = hosts(&proxy).await;
    assert_eq!(ejected.iter().filter(|host| host.ejected).count(), 1);
    proxy.stop().await;
}

#[actix::test]
async fn switching_outlier_detection_off_lets_every_host_return() {
    let good = Origin::greeting().await;
    let of = cluster("LB_ROUNDROBIN", &[good.address, refusing().await]);
    let outliers = json!({ "outlier_detection": { "consecutive_local_origin_failure": 1 } });
    let (proxy, _log) = logged(with(of.clone(), outliers)).await;
    let to = address(&proxy, "app").await;
    until("the host is ejected", || async {
        visit(to, 2, 1).await;
        hosts(&proxy).await[1].ejected
    })
    .await;

    proxy.apply(plan(&[listener("app")], &[of])).await.unwrap();

    let hosts = hosts(&proxy).await;
    assert_eq!((hosts[1].ejected, hosts[1].healthy), (false, true));
    proxy.stop().await;
}

#[actix::test]
async fn below_the_panic_threshold_all_hosts_are_used_and_the_log_says_so_once() {
    let origins = [
        Origin::greeting().await,
        Origin::greeting().await,
        Origin::greeting().await,
    ];
    let addresses = origins.each_ref().map(|origin| origin.address);
    let panicking = json!({ "panic_threshold": 50 });
    let (proxy, log) = logged(with(cluster("LB_ROUNDROBIN", &addresses), panicking)).await;
    let to = address(&proxy, "app").await;
    let set = async |at: usize, health| {
        let address = HostAddress::from(addresses[at]);
        assert!(proxy.set_health("origins", address, health).await.unwrap());
    };

    set(0, Health::Unhealthy).await;
    assert_eq!(visit(to, 30, 5).await, 0);
    assert_eq!(origins[0].visits(), 0);
    set(1, Health::Unhealthy).await;
    assert!(proxy.snapshot().await.unwrap().clusters[0].panicking);
    assert_eq!(visit(to, 30, 5).await, 0);
    assert!(origins[0].visits() > 0 && origins[1].visits() > 15);
    set(2, Health::Unhealthy).await;
    set(0, Health::Healthy).await;
    assert_eq!(
        heard(&log, "panic threshold"),
        [
            "cluster `origins`: 1 of 3 hosts are healthy, below the panic threshold of 50 %: all are \
          used"
        ]
    );

    set(1, Health::Healthy).await;

    assert!(!proxy.snapshot().await.unwrap().clusters[0].panicking);
    assert_eq!(
        heard(&log, "panic is over"),
        ["cluster `origins`: 2 of 3 hosts are healthy: the panic is over"]
    );
    proxy.stop().await;
}

#[actix::test]
async fn without_a_panic_threshold_a_cluster_without_healthy_hosts_serves_nobody() {
    let origin = Origin::greeting().await;
    let proxy = start(plan(
        &[listener("app")],
        &[cluster("LB_ROUNDROBIN", &[origin.address])],
    ))
    .await;
    let address_of = HostAddress::from(origin.address);
    let set = proxy.set_health("origins", address_of, Health::Unhealthy);
    assert!(set.await.unwrap());

    assert_eq!(visit(address(&proxy, "app").await, 5, 1).await, 5);

    assert_eq!(origin.visits(), 0);
    proxy.stop().await;
}
