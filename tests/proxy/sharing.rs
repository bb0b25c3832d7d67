//! Which origin gets how many connections.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::{
    Origin, Release, active, address, cluster, exchange, listener, plan, proxy, refusing, start,
    until, visit,
};

const COUNT: usize = 3_000;
const AT_ONCE: usize = 100;

/// Of the connections at once, so many wait at the origin that holds them: more than the others
/// can ever have, so that it is the busiest.
const HELD: usize = 70;

async fn greeting() -> Vec<Origin> {
    vec![
        Origin::greeting().await,
        Origin::greeting().await,
        Origin::greeting().await,
    ]
}

/// Three origins, the first of which is the busiest by far.
async fn one_busy() -> (Vec<Origin>, Release) {
    let (busy, release) = Origin::holding(HELD).await;
    (
        vec![busy, Origin::greeting().await, Origin::greeting().await],
        release,
    )
}

fn addresses(origins: &[Origin]) -> Vec<SocketAddr> {
    origins.iter().map(|origin| origin.address).collect()
}

fn visits(origins: &[Origin]) -> u64 {
    origins.iter().map(Origin::visits).sum()
}

/// Sends `COUNT` connections through a proxy before `cluster`; every one must be answered, and
/// none may still count when the last has ended.
async fn drive(cluster: Value, origins: &[Origin], release: &Release) {
    let proxy = start(plan(&[listener("app")], &[cluster])).await;
    let to = address(&proxy, "app").await;

    let last = async {
        until("every connection arrives", || async {
            visits(origins) == COUNT as u64
        })
        .await;
        release.all().await;
    };
    let (failed, ()) = tokio::join!(visit(to, COUNT, AT_ONCE), last);

    assert_eq!(failed, 0);
    until("every lease is given back", || async {
        active(&proxy).await == 0
    })
    .await;
    proxy.stop().await;
    proxy.ended().await.unwrap();
}

/// Asserts that `visits` is within five standard deviations of `share`.
fn assert_share(visits: u64, share: f64) {
    let count = COUNT as f64;
    let deviation = (count * share * (1.0 - share)).sqrt();
    let off = (visits as f64 - count * share).abs();
    assert!(
        off < 5.0 * deviation,
        "{visits} of {COUNT} are not a share of {share}"
    );
}

#[actix::test]
async fn the_busiest_of_three_gets_one_in_nine_under_least_connection() {
    let (origins, release) = one_busy().await;

    drive(
        cluster("LB_LEAST_CONNECTION", &addresses(&origins)),
        &origins,
        &release,
    )
    .await;

    assert_share(origins[0].visits(), 1.0 / 9.0);
    assert_share(origins[1].visits(), 4.0 / 9.0);
    assert_share(origins[2].visits(), 4.0 / 9.0);
}

#[actix::test]
async fn looking_at_every_host_spares_the_busy_one_further() {
    let (origins, release) = one_busy().await;
    let mut cluster = cluster("LB_LEAST_CONNECTION", &addresses(&origins));
    cluster["lbconfig"] = json!({ "choice_count": 0 });

    drive(cluster, &origins, &release).await;

    let busy = origins[0].visits();
    assert!(
        (1..100).contains(&busy),
        "{busy} of {COUNT} went to the busy origin"
    );
}

#[actix::test]
async fn weights_are_exact_for_idle_hosts() {
    let origins = greeting().await;
    let mut cluster = cluster("LB_WEIGHTED_ROUNDROBIN", &addresses(&origins));
    for (host, weight) in cluster["hosts"].as_array_mut().unwrap().iter_mut().zip(1..) {
        host["weight"] = json!(weight);
    }

    drive(cluster, &origins, &Release::default()).await;

    // Two workers take turns of their own: each may be one cycle of six ahead.
    for (origin, weight) in origins.iter().zip(1..) {
        let expected = COUNT as u64 * weight / 6;
        let visits = origin.visits();
        assert!(
            visits.abs_diff(expected) <= 12,
            "{visits} is not {expected}"
        );
    }
}

#[actix::test]
async fn a_refusing_host_costs_no_connection() {
    let origins = greeting().await;
    let mut hosts = addresses(&origins);
    hosts.push(refusing().await);

    drive(
        cluster("LB_LEAST_CONNECTION", &hosts),
        &origins,
        &Release::default(),
    )
    .await;
}

#[actix::test]
async fn connections_of_one_address_go_to_one_host() {
    let (first, second) = (Origin::echoing().await, Origin::echoing().await);
    let proxy = proxy("LB_MAGLEV", &[first.address, second.address]).await;
    let to = address(&proxy, "app").await;
    for _ in 0..12 {
        assert_eq!(exchange(to, b"x").await.unwrap(), b"x");
    }
    let overview = proxy.snapshot().await.unwrap();
    let hosts = overview.clusters[0].hosts.iter();
    let mut totals: Vec<_> = hosts.map(|host| host.connections_total).collect();
    totals.sort_unstable();
    assert_eq!(totals, [0, 12]);
}

#[actix::test]
async fn a_connection_that_nobody_redirected_is_closed() {
    let proxy = proxy("LB_ORIGINAL_DST", &[]).await;
    let to = address(&proxy, "app").await;
    assert_eq!(exchange(to, b"").await.unwrap(), b"");
}
