//! What a change of the plan means for connections that live on.

use serde_json::json;

use crate::site::{Site, listener, plan, says, to};
use crate::support::address;
use crate::talk::{Peer, Web};

#[actix::test]
async fn a_changed_route_holds_for_the_next_request_of_a_connection() {
    let (one, two) = (Web::named("one").await, Web::named("two").await);
    let site = |cluster: &str| {
        Site::routes(json!([to(cluster, json!({}))]))
            .cluster("one", &[one.address])
            .cluster("two", &[two.address])
    };
    let running = site("one").start().await;
    let mut client = running.client().await;

    for name in ["one", "two", "one"] {
        running.proxy.apply(site(name).plan()).await.unwrap();
        assert_eq!(client.fetch("/").await.said(), (200, name.to_owned()));
    }

    assert_eq!(running.app().await.totals.connections_total, 1);
}

#[actix::test]
async fn listener_settings_hold_for_the_next_request_of_a_connection() {
    let web = Web::named("here").await;
    let site = Site::forwarding(&[web.address], json!({}));
    let fault = json!([{ "type": "fault", "config": {
        "abort": { "status": 418, "percentage": 100 } } }]);
    let running = site.start().await;
    let mut client = running.client().await;
    assert_eq!(client.fetch("/").await.status(), 200);

    let faulty = site.clone().listener("stream_filters", fault);
    running.proxy.apply(faulty.plan()).await.unwrap();
    assert_eq!(client.fetch("/").await.status(), 418);

    running.proxy.apply(site.plan()).await.unwrap();
    assert_eq!(client.fetch("/").await.status(), 200);
}

#[actix::test]
async fn routers_come_and_go() {
    let router = |name: &str| {
        let routes = json!([says(json!({ "prefix": "/" }), name)]);
        let host = json!([{ "name": name, "domains": ["*"], "routers": routes }]);
        json!({ "router_config_name": name, "virtual_hosts": host })
    };
    let site = |name: &str| {
        let mut site = Site::routes(json!([]));
        site.listener = listener("app", name);
        site.routers = vec![router(name)];
        site
    };
    let running = site("one").start().await;
    let mut client = running.client().await;
    assert_eq!(client.fetch("/").await.text(), "one");

    let both = [listener("app", "one"), listener("more", "two")];
    let added = plan(&both, &[router("one"), router("two")], &[]);
    running.proxy.apply(added).await.unwrap();
    let mut more = Peer::connect(address(&running.proxy, "more").await).await;
    assert_eq!(more.fetch("/").await.text(), "two");
    assert_eq!(client.fetch("/").await.text(), "one");

    running.proxy.apply(site("two").plan()).await.unwrap();
    assert_eq!(client.fetch("/").await.text(), "two");
    assert_eq!(more.rest().await, b"", "its listener is gone");
}

#[actix::test]
async fn a_plan_that_cannot_be_applied_leaves_everything_as_it_was() {
    let (one, two) = (Web::named("one").await, Web::named("two").await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let site = Site::forwarding(&[one.address], json!({}));
    let running = site.start().await;
    let mut client = running.client().await;
    assert_eq!(client.fetch("/").await.text(), "one");

    let log = json!([{ "log_path": file.join("logs/access.log") }]);
    let mut wrong = Site::forwarding(&[two.address], json!({}))
        .cluster("new", &[two.address])
        .listener("access_logs", log);
    wrong.routers[0]["response_headers_to_add"] =
        json!([{ "header": { "key": "x-new", "value": "1" } }]);
    let error = running.proxy.apply(wrong.plan()).await.unwrap_err();

    assert!(error.to_string().contains("access"), "{error}");
    let answer = client.fetch("/").await;
    assert_eq!(
        (answer.text(), answer.field("x-new")),
        ("one".to_owned(), None)
    );
    assert_eq!(
        running
            .ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .text(),
        "one"
    );
    let overview = running.proxy.snapshot().await.unwrap();
    let clusters: Vec<_> = overview
        .clusters
        .iter()
        .map(|cluster| cluster.name.as_str())
        .collect();
    assert_eq!(clusters, ["main"]);
    assert_eq!(
        overview.clusters[0].hosts[0].address,
        one.address.to_string()
    );
    assert_eq!(
        running.proxy.apply(site.plan()).await.unwrap(),
        [],
        "nothing is to be undone"
    );
    assert_eq!(two.count(), 0);
}

#[actix::test]
async fn hosts_that_are_replaced_get_no_further_request() {
    let (one, two) = (Web::named("one").await, Web::named("two").await);
    let running = Site::forwarding(&[one.address], json!({})).start().await;
    let mut client = running.client().await;
    assert_eq!(client.fetch("/").await.text(), "one");

    let next = Site::forwarding(&[two.address], json!({}));
    running.proxy.apply(next.plan()).await.unwrap();

    for _ in 0..5 {
        assert_eq!(client.fetch("/").await.text(), "two");
    }
    assert_eq!(one.count(), 1);
}
