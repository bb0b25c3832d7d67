//! Hosts that fail requests, and what the others get.

use banyan::{HostView, ProxyHandle};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::site::{Running, Site, cluster, to};
use crate::support::refusing;
use crate::talk::{Peer, Web, get, reply};

/// The hosts of the cluster `main`.
async fn hosts(proxy: &ProxyHandle) -> Vec<HostView> {
    let clusters = proxy.snapshot().await.unwrap().clusters;
    let main = clusters.into_iter().find(|one| one.name.as_str() == "main");
    main.unwrap().hosts
}

/// A site whose cluster `main` has these keys.
fn site(mut main: Value, keys: Value, how: Value) -> Site {
    for (key, value) in keys.as_object().unwrap() {
        main[key] = value.clone();
    }
    Site::routes(json!([to("main", how)])).with_cluster(main)
}

/// Answers each request with this status.
async fn answering(status: u16) -> Web {
    Web::answering(move |_| reply(status, "", "no")).await
}

#[actix::test]
async fn a_host_that_refuses_at_once_beside_two_good_ones_fails_few_first_attempts() {
    const CLIENTS: usize = 8;
    const EACH: usize = 200;
    for lb_type in ["LB_LEAST_CONNECTION", "LB_LEAST_REQUEST"] {
        let good = [Web::named("a").await, Web::named("b").await];
        let hosts_of = [good[0].address, refusing().await, good[1].address];
        let keys = json!({ "lb_type": lb_type });
        let running = site(cluster("main", &hosts_of), keys, json!({}))
            .start()
            .await;

        let clients = (0..CLIENTS).map(|_| async {
            let mut client = running.client().await;
            for _ in 0..EACH {
                assert_eq!(client.fetch("/").await.status(), 200);
            }
        });
        join_all(clients).await;

        // A request tries no host twice, and no other host fails.
        let missed = hosts(&running.proxy).await[1].connections_failed as usize;
        println!(
            "{lb_type}: {missed} of {} first attempts failed",
            CLIENTS * EACH
        );
        assert!(
            missed > 0 && missed * 20 < CLIENTS * EACH,
            "{lb_type}: {missed} of {}",
            CLIENTS * EACH
        );
        running.end().await;
    }
}

/// Asks until the second host of `main` is ejected.
async fn ejected(running: &Running, client: &mut Peer, request: &str) {
    for _ in 0..1000 {
        client.ask(request).await;
        if hosts(&running.proxy).await[1].ejected {
            return;
        }
    }
    panic!("the host is not ejected: {:?}", hosts(&running.proxy).await);
}

#[actix::test]
async fn a_host_that_answers_errors_in_a_row_is_ejected() {
    for (status, keys) in [
        (500, json!({ "consecutive_5xx": 4 })),
        (
            503,
            json!({ "consecutive_5xx": 0, "consecutive_gateway_failure": 4 }),
        ),
    ] {
        let (good, bad) = (Web::named("good").await, answering(status).await);
        let main = cluster("main", &[good.address, bad.address]);
        let outliers = json!({ "outlier_detection": keys });
        let running = site(main, outliers, json!({})).start().await;
        let mut client = running.client().await;

        ejected(&running, &mut client, &get("/")).await;

        assert!(bad.count() >= 4, "{}", bad.count());
        let before = bad.count();
        for _ in 0..20 {
            assert_eq!(client.fetch("/").await.said(), (200, "good".to_owned()));
        }
        assert_eq!(bad.count(), before);
        running.end().await;
    }
}

#[actix::test]
async fn errors_that_are_tried_elsewhere_speak_against_their_host_too() {
    let (good, bad) = (Web::named("good").await, answering(503).await);
    let main = cluster("main", &[good.address, bad.address]);
    let retry = json!({ "retry_policy": { "retry_on": true, "num_retries": 1 } });
    let running = site(main, json!({ "outlier_detection": {} }), retry)
        .start()
        .await;
    let mut client = running.client().await;

    ejected(&running, &mut client, &get("/")).await;

    assert_eq!(bad.count(), 5);
    running.end().await;
}

#[actix::test]
async fn a_good_answer_between_the_errors_keeps_a_host_in() {
    let answers = std::cell::Cell::new(0);
    let fair = Web::answering(move |_| {
        answers.set(answers.get() + 1);
        reply(if answers.get() % 3 == 0 { 200 } else { 500 }, "", "")
    })
    .await;
    let main = cluster("main", &[Web::named("good").await.address, fair.address]);
    let outliers = json!({ "outlier_detection": { "consecutive_5xx": 3 } });
    let running = site(main, outliers, json!({})).start().await;
    let mut client = running.client().await;

    for _ in 0..60 {
        client.fetch("/").await;
    }

    assert_eq!(hosts(&running.proxy).await[1].ejections, 0);
    assert_eq!(fair.count(), 30);
    running.end().await;
}

#[actix::test]
async fn a_host_that_cuts_requests_off_is_ejected() {
    let bad = Web::scripted(|mut peer| async move {
        let _ = peer.request().await;
    })
    .await;
    let main = cluster("main", &[Web::named("good").await.address, bad.address]);
    let outliers = json!({ "outlier_detection": { "consecutive_local_origin_failure": 4 } });
    let running = site(main, outliers, json!({})).start().await;
    let mut client = running.client().await;

    ejected(&running, &mut client, &get("/")).await;

    assert_eq!(bad.count(), 4);
    assert_eq!(hosts(&running.proxy).await[1].requests_lost, 4);
    running.end().await;
}

#[actix::test]
async fn a_host_that_closes_kept_connections_is_not_to_blame() {
    // It answers one request of each connection and closes at the second.
    let closing = Web::scripted(|mut peer| async move {
        if peer.request().await.is_ok() {
            peer.send(reply(200, "", "one")).await;
            let _ = peer.request().await;
        }
    })
    .await;
    let main = cluster("main", &[Web::named("good").await.address, closing.address]);
    let outliers = json!({ "outlier_detection": { "consecutive_local_origin_failure": 1 } });
    let running = site(main, outliers, json!({})).start().await;
    let mut client = running.client().await;

    for _ in 0..40 {
        assert_eq!(client.fetch("/").await.status(), 200);
    }

    assert_eq!(hosts(&running.proxy).await[1].ejections, 0);
    running.end().await;
}

#[actix::test]
async fn slowness_ejects_a_host_by_the_routes_measure_and_not_by_a_clients() {
    let silent = Web::scripted(|mut peer| async move { while peer.request().await.is_ok() {} });
    let silent = silent.await;
    let main = cluster("main", &[Web::named("good").await.address, silent.address]);
    let outliers = json!({ "outlier_detection": { "consecutive_local_origin_failure": 2 } });
    let running = site(main, outliers, json!({ "timeout": "250ms" }))
        .start()
        .await;
    let mut client = running.client().await;

    let hasty = "GET / HTTP/1.1\r\nHost: a\r\nx-mosn-global-timeout: 20\r\n\r\n";
    for _ in 0..12 {
        client.ask(hasty).await;
    }
    assert!(silent.count() >= 6);
    assert_eq!(hosts(&running.proxy).await[1].ejections, 0);

    ejected(&running, &mut client, &get("/")).await;
    running.end().await;
}
