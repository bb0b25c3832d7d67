//! Which host of a cluster takes a request, where the request has a say in that.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::site::{Running, Site, cluster, to};
use crate::support::refusing;
use crate::talk::{Web, get};

/// Origins that answer with their names.
async fn webs(names: &[&'static str]) -> Vec<Web> {
    let mut webs = Vec::new();
    for name in names {
        webs.push(Web::named(name).await);
    }
    webs
}

/// One route to the cluster `main` of these origins; `how` goes into the route, `settings` into
/// the cluster.
fn balanced(webs: &[Web], how: Value, settings: Value) -> Site {
    let hosts: Vec<_> = webs.iter().map(|web| web.address).collect();
    let mut main = cluster("main", &hosts);
    for (key, value) in settings.as_object().unwrap() {
        main[key] = value.clone();
    }
    Site::routes(json!([to("main", how)])).with_cluster(main)
}

fn with(field: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n")
}

/// Who answers a request, each over a connection of its own.
async fn who(running: &Running, request: &str, times: usize) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for _ in 0..times {
        let (status, name) = running.ask(request).await.said();
        assert_eq!(status, 200, "{request}");
        names.insert(name);
    }
    names
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

const NAMES: [&str; 4] = ["one", "two", "three", "four"];

/// So many that a host gets none of them once in ten million runs: where they go depends on the
/// hosts' ports.
const SESSIONS: std::ops::Range<u32> = 0..64;

#[actix::test]
async fn the_same_cookie_goes_to_the_same_host_on_every_worker() {
    let webs = webs(&NAMES).await;
    let policy = json!({ "hash_policy": [{ "cookie": { "name": "session" } }] });
    let running = balanced(&webs, policy, json!({ "lb_type": "LB_MAGLEV" }))
        .start()
        .await;
    let mut reached = BTreeSet::new();
    for session in SESSIONS {
        let request = with(&format!("Cookie: theme=dark; session={session}"));
        let hosts = who(&running, &request, 3).await;
        assert_eq!(hosts.len(), 1, "session {session}: {hosts:?}");
        reached.extend(hosts);
    }
    assert_eq!(reached, names(&NAMES), "the sessions share the hosts");
}

#[actix::test]
async fn the_same_field_goes_to_the_same_host_and_requests_without_it_to_any() {
    let webs = webs(&NAMES).await;
    let policy = json!({ "hash_policy": [{ "header": { "key": "X-User" } }] });
    let running = balanced(&webs, policy, json!({ "lb_type": "LB_MAGLEV" }))
        .start()
        .await;
    let mut reached = BTreeSet::new();
    for user in SESSIONS {
        let hosts = who(&running, &with(&format!("X-User: {user}")), 3).await;
        assert_eq!(hosts.len(), 1, "user {user}: {hosts:?}");
        reached.extend(hosts);
    }
    assert_eq!(reached, names(&NAMES));
    // All 60 draws of four to one host: once in 10^35 runs.
    assert!(who(&running, &get("/"), 60).await.len() > 1);
}

#[actix::test]
async fn without_a_policy_the_address_of_the_client_counts() {
    let webs = webs(&NAMES).await;
    let settings = json!({ "lb_type": "LB_MAGLEV" });
    let running = balanced(&webs, json!({}), settings).start().await;
    assert_eq!(who(&running, &get("/"), 20).await.len(), 1);
}

#[actix::test]
async fn a_hashed_request_whose_host_is_gone_goes_to_another_one() {
    let webs = webs(&["one", "two"]).await;
    let gone = refusing().await;
    let hosts = [gone, webs[0].address, webs[1].address];
    let mut main = cluster("main", &hosts);
    main["lb_type"] = json!("LB_MAGLEV");
    let policy = json!({ "hash_policy": [{ "header": { "key": "x-user" } }] });
    let site = Site::routes(json!([to("main", policy)])).with_cluster(main);
    let running = site.start().await;
    for user in SESSIONS {
        let hosts = who(&running, &with(&format!("x-user: {user}")), 3).await;
        assert_eq!(hosts.len(), 1, "user {user}: {hosts:?}");
    }
}

/// Origins `a1` and `a2` of zone a, `b1` of zone b, `x1` of none.
async fn zoned(how: Value, fallback: Value) -> (Vec<Web>, Site) {
    let webs = webs(&["a1", "a2", "b1", "x1"]).await;
    let zones = [Some("a"), Some("a"), Some("b"), None];
    let hosts = webs.iter().zip(zones).map(|(web, zone)| {
        let mut host = json!({ "address": web.address.to_string() });
        if let Some(zone) = zone {
            host["metadata"] = wanting(zone);
        }
        host
    });
    let hosts: Vec<_> = hosts.collect();
    let mut subsets = json!({ "subset_selectors": [["zone"]] });
    for (key, value) in fallback.as_object().unwrap() {
        subsets[key] = value.clone();
    }
    let settings = json!({ "hosts": hosts, "lb_subset_config": subsets });
    let site = balanced(&webs, how, settings);
    (webs, site)
}

fn wanting(zone: &str) -> Value {
    json!({ "filter_metadata": { "mosn.lb": { "zone": zone } } })
}

#[actix::test]
async fn a_route_with_metadata_reaches_only_its_subset() {
    for (zone, expected) in [("a", &["a1", "a2"][..]), ("b", &["b1"])] {
        let how = json!({ "metadata_match": wanting(zone) });
        let (_webs, site) = zoned(how, json!({})).await;
        let running = site.start().await;
        assert_eq!(who(&running, &get("/"), 12).await, names(expected));
    }
    let (_webs, site) = zoned(json!({}), json!({})).await;
    let running = site.start().await;
    let all = names(&["a1", "a2", "b1", "x1"]);
    assert_eq!(who(&running, &get("/"), 16).await, all);
}

#[actix::test]
async fn a_weighted_cluster_brings_metadata_of_its_own() {
    let share = json!({ "name": "main", "weight": 1, "metadata_match": wanting("b") });
    let how = json!({ "weighted_clusters": [{ "cluster": share }] });
    let (_webs, mut site) = zoned(json!({}), json!({})).await;
    let routes = json!([{ "match": { "prefix": "/" }, "route": how }]);
    site.routers = Site::routes(routes).routers;
    let running = site.start().await;
    assert_eq!(who(&running, &get("/"), 8).await, names(&["b1"]));
}

#[actix::test]
async fn a_field_becomes_metadata_and_is_stronger_than_the_routes() {
    let filter = json!({ "type": "header_to_metadata", "config": { "request_rules": [
        { "header": "x-zone", "on_header_present": { "key": "zone" }, "remove": true }] } });
    let how = json!({ "metadata_match": wanting("a") });
    let (webs, site) = zoned(how, json!({})).await;
    let site = site.listener("stream_filters", json!([filter]));
    let running = site.start().await;
    let b = names(&["b1"]);
    assert_eq!(who(&running, &with("X-Zone: b"), 8).await, b);
    let a = names(&["a1", "a2"]);
    assert_eq!(who(&running, &with("X-Other: b"), 8).await, a);
    assert_eq!(webs[2].count(), 8);
}

#[actix::test]
async fn the_fallback_takes_what_no_subset_takes_and_is_counted() {
    for (fallback, expected) in [
        (json!({}), &[][..]),
        (json!({ "fall_back_policy": 1 }), &["a1", "a2", "b1", "x1"]),
        (
            json!({ "fall_back_policy": 2, "default_subset": { "zone": "b" } }),
            &["b1"],
        ),
    ] {
        let how = json!({ "metadata_match": wanting("nowhere") });
        let (_webs, site) = zoned(how, fallback).await;
        let running = site.start().await;
        let fallbacks = match expected {
            [] => {
                let answer = running.ask(get("/")).await;
                assert_eq!(answer.status(), 502);
                0
            }
            expected => {
                assert_eq!(who(&running, &get("/"), 16).await, names(expected));
                16
            }
        };
        let overview = running.proxy.snapshot().await.unwrap();
        let main = &overview.clusters[0];
        assert_eq!((main.subsets, main.subset_fallbacks), (2, fallbacks));
    }
}

#[actix::test]
async fn in_order_the_first_host_takes_all_as_long_as_it_is_there() {
    let webs = webs(&["one", "two"]).await;
    let settings = json!({ "lb_type": "LB_REQUEST_ROUNDROBIN" });
    let running = balanced(&webs, json!({}), settings).start().await;
    assert_eq!(who(&running, &get("/"), 8).await, names(&["one"]));

    let hosts = [refusing().await, webs[1].address, webs[0].address];
    let mut main = cluster("main", &hosts);
    main["lb_type"] = json!("LB_REQUEST_ROUNDROBIN");
    let site = Site::routes(json!([to("main", json!({}))])).with_cluster(main);
    let running = site.start().await;
    assert_eq!(who(&running, &get("/"), 8).await, names(&["two"]));
}

#[actix::test]
async fn a_field_names_the_original_destination() {
    let webs = webs(&["one", "two"]).await;
    let destination = json!({ "lb_type": "LB_ORIGINAL_DST", "hosts": [],
        "original_dst_lb_config": { "use_header": true, "header_name": "X-To",
            "replace_local": true } });
    let running = balanced(&webs, json!({}), destination).start().await;
    for (web, name) in webs.iter().zip(["one", "two"]) {
        // Nobody has this address; its port is ours.
        let request = with(&format!("x-to: 192.0.2.1:{}", web.address.port()));
        assert_eq!(who(&running, &request, 4).await, names(&[name]));
    }
}

#[actix::test]
async fn what_nobody_redirected_does_not_go_round_in_circles() {
    let settings = json!({ "lb_type": "LB_ORIGINAL_DST", "hosts": [] });
    let running = balanced(&[], json!({}), settings).start().await;
    assert_eq!(running.ask(get("/")).await.status(), 502);
    assert_eq!(running.app().await.requests.request_total, 1);
}

#[actix::test]
async fn the_host_that_answers_worst_is_spared() {
    let webs = webs(&["one", "two", "three"]).await;
    let gone = refusing().await;
    let hosts = [webs[0].address, gone, webs[1].address, webs[2].address];
    let mut main = cluster("main", &hosts);
    main["lb_type"] = json!("LB_PEAK_EWMA");
    main["lbconfig"] = json!({ "choice_count": 0 });
    let site = Site::routes(json!([to("main", json!({}))])).with_cluster(main);
    let running = site.start().await;
    let all = names(&["one", "two", "three"]);
    assert_eq!(who(&running, &get("/"), 60).await, all);
    let overview = running.proxy.snapshot().await.unwrap();
    let failed = overview.clusters[0].hosts[1].connections_failed;
    assert!(failed < 20, "{failed} of 60 first went where nobody is");
}
