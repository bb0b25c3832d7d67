//! What a cluster carries at once.

use std::rc::Rc;

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::site::{Running, Site, cluster, to};
use crate::support::until;
use crate::talk::{Web, get, reply};

/// Answers a request for `/held` only when told.
async fn holding(told: &Rc<Notify>) -> Web {
    let told = told.clone();
    Web::scripted(move |mut peer| {
        let told = told.clone();
        async move {
            while let Ok(request) = peer.request().await {
                if request.target() == "/held" {
                    told.notified().await;
                }
                peer.send(reply(200, "", request.target())).await;
            }
        }
    })
    .await
}

async fn limited(web: &Web, breakers: Value) -> Running {
    let mut cluster = cluster("main", &[web.address]);
    cluster["circuit_breakers"] = json!([breakers]);
    Site::routes(json!([to("main", json!({}))]))
        .with_cluster(cluster)
        .start()
        .await
}

/// While one request is in flight another is refused; afterwards it is not.
async fn only_one_at_a_time(breakers: Value) {
    let told = Rc::new(Notify::new());
    let web = holding(&told).await;
    let running = limited(&web, breakers).await;
    let mut first = running.client().await;
    first.send(get("/held")).await;
    until("the first request arrives", || async { web.count() == 1 }).await;

    let mut second = running.client().await;
    let refused = second.fetch("/").await;
    assert_eq!(refused.status(), 503);
    assert!(refused.field("x-banyan-cause").unwrap().contains("limit"));
    assert_eq!(web.count(), 1);

    told.notify_one();
    assert_eq!(
        first.answer().await.unwrap().said(),
        (200, "/held".to_owned())
    );
    assert_eq!(first.fetch("/").await.status(), 200);
    running.rests_but_clients().await;
    assert_eq!(running.app().await.requests.statuses.of(503), 1);
}

#[actix::test]
async fn more_requests_than_the_cluster_takes_are_503() {
    only_one_at_a_time(json!({ "max_requests": 1 })).await;
}

#[actix::test]
async fn more_connections_than_the_cluster_takes_are_503() {
    only_one_at_a_time(json!({ "max_connections": 1 })).await;
}

#[actix::test]
async fn an_idle_connection_leaves_room_for_a_request() {
    let web = Web::named("here").await;
    let running = limited(&web, json!({ "max_connections": 1, "max_requests": 1 })).await;
    let mut client = running.client().await;

    for _ in 0..20 {
        assert_eq!(client.fetch("/").await.status(), 200);
    }

    assert_eq!(web.visits(), 1);
}

#[actix::test]
async fn an_idle_connection_of_one_worker_leaves_room_for_the_other() {
    let web = Web::named("here").await;
    let running = limited(&web, json!({ "max_connections": 1 })).await;

    // Enough clients for either worker to have some.
    for _ in 0..16 {
        let mut client = running.client().await;
        assert_eq!(client.fetch("/").await.status(), 200);
        running.rests_but_clients().await;
    }

    assert!(web.visits() > 1, "one worker had them all");
}
