//! Changes as administrators ask for them: by versions, on trial, until confirmed.

mod files;

use std::time::Duration;

use banyan::config::{Alone, Configuration, Edit, Format, Fragment, Loaded, Source, parse};
use banyan::{ApplyError, Proxy, ProxyHandle, Terms, Trial};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{Origin, address, cluster, exchange, listener, soon, until};

fn document(listeners: &[Value], clusters: &[Value]) -> Value {
    json!({ "servers": [{ "listeners": listeners }], "cluster_manager": { "clusters": clusters } })
}

fn loaded(document: &Value) -> Loaded {
    let text = document.to_string();
    parse(
        &Source {
            file: "f",
            format: Format::Json,
            text: text.as_bytes(),
        },
        &Alone,
    )
}

async fn started(document: &Value) -> ProxyHandle {
    let configuration = Configuration::of(loaded(document), &Alone).unwrap();
    Proxy::default()
        .workers(1)
        .run(configuration)
        .await
        .unwrap()
}

async fn proxy() -> (ProxyHandle, Origin) {
    let origin = Origin::echoing().await;
    let origins = cluster("LB_RANDOM", &[origin.address]);
    (
        started(&document(&[listener("app")], &[origins])).await,
        origin,
    )
}

fn edits(edits: &Value) -> Vec<Edit> {
    let body = json!({ "edits": edits }).to_string();
    Edit::read_all(&Fragment::read(body.as_bytes()).unwrap()).unwrap()
}

fn put_cluster(name: &str) -> Vec<Edit> {
    edits(&json!([{ "put_cluster": { "name": name } }]))
}

fn dump(proxy: &ProxyHandle) -> String {
    let running = proxy.running();
    running
        .configuration
        .document()
        .unwrap()
        .to_json()
        .to_string()
}

fn terms() -> Terms {
    Terms {
        by: "test".into(),
        ..Terms::default()
    }
}

#[actix::test]
async fn each_change_is_a_version_and_a_change_may_require_one() {
    let (proxy, _origin) = proxy().await;
    assert_eq!(proxy.running().version, 1);

    let outcome = proxy.edit(put_cluster("more"), terms()).await.unwrap();
    assert_eq!(outcome.version, 2);
    assert_eq!(
        outcome.summary.changes,
        ["cluster `more`: added, 0 hosts; 0 connections affected"]
    );

    let late = Terms {
        version: Some(1),
        ..terms()
    };
    let refused = proxy.edit(put_cluster("late"), late).await.unwrap_err();
    assert_eq!(refused.to_string(), "version 2 runs, not 1");

    let same = proxy.edit(put_cluster("more"), terms()).await.unwrap();
    assert_eq!(
        (same.version, same.changes.len()),
        (2, 0),
        "nothing changed, and nothing counts"
    );
    let in_time = Terms {
        version: Some(2),
        ..terms()
    };
    assert_eq!(
        proxy
            .edit(put_cluster("third"), in_time)
            .await
            .unwrap()
            .version,
        3
    );
}

#[actix::test]
async fn a_dry_run_says_what_it_would_do_and_does_nothing() {
    let (proxy, origin) = proxy().await;
    let app = address(&proxy, "app").await;
    let connection = tokio::net::TcpStream::connect(app).await.unwrap();
    until("it is accepted", async || {
        proxy.snapshot().await.unwrap().listeners[0]
            .totals
            .connections_active
            == 1
    })
    .await;
    let before = dump(&proxy);

    let dry = Terms {
        trial: Trial::DryRun,
        ..terms()
    };
    let edits = edits(&json!([
        { "append_hosts": { "cluster": "origins", "hosts": [{ "address": "127.0.0.1:1" }] } },
        { "remove_listener": "app" },
    ]));
    let outcome = proxy.edit(edits, dry).await.unwrap();

    assert_eq!(
        outcome.summary.changes,
        [
            "cluster `origins`: 1 host added; 0 connections affected",
            "listener `app`: removed; 1 connection affected",
        ]
    );
    assert_eq!(outcome.summary.connections_affected, 1);
    assert_eq!((outcome.version, proxy.running().version), (1, 1));
    assert_eq!(dump(&proxy), before);
    drop(connection);
    assert_eq!(exchange(app, b"x").await.unwrap(), b"x");
    assert_eq!(origin.visits(), 2);
}

#[actix::test]
async fn a_change_that_is_not_confirmed_in_time_is_rolled_back() {
    let (proxy, _origin) = proxy().await;
    let before = dump(&proxy);
    let briefly = Terms {
        confirm_within: Some(Duration::from_millis(50)),
        ..terms()
    };

    let outcome = proxy.edit(put_cluster("brief"), briefly).await.unwrap();
    assert!(outcome.confirm_until.is_some());
    until("it is rolled back", async || proxy.running().version == 3).await;

    assert_eq!(dump(&proxy), before);
    assert!(matches!(
        proxy.confirm(2).await,
        Err(ApplyError::NothingToConfirm)
    ));
    proxy.edit(put_cluster("other"), terms()).await.unwrap();
}

#[actix::test]
async fn a_change_that_waits_to_be_confirmed_is_the_only_one() {
    let (proxy, _origin) = proxy().await;
    let hour = Terms {
        confirm_within: Some(Duration::from_secs(3600)),
        ..terms()
    };
    proxy
        .edit(put_cluster("first"), hour.clone())
        .await
        .unwrap();

    let second = proxy
        .edit(put_cluster("second"), terms())
        .await
        .unwrap_err();
    assert_eq!(
        second.to_string(),
        "version 2 waits to be confirmed or rolled back"
    );
    assert!(matches!(
        proxy.confirm(7).await,
        Err(ApplyError::Conflict { .. })
    ));
    proxy.confirm(2).await.unwrap();
    proxy.edit(put_cluster("second"), hour).await.unwrap();
    proxy.revert(terms()).await.unwrap();

    assert!(dump(&proxy).contains("first") && !dump(&proxy).contains("second"));
}

#[actix::test]
async fn a_version_that_ran_can_be_gone_back_to() {
    let (proxy, _origin) = proxy().await;
    let first = dump(&proxy);
    for name in ["a", "b"] {
        proxy.edit(put_cluster(name), terms()).await.unwrap();
    }

    let outcome = proxy.rollback(1, terms()).await.unwrap();

    assert_eq!(outcome.version, 4);
    assert_eq!(dump(&proxy), first);
    let history = proxy.history().await.unwrap();
    let told: Vec<_> = history
        .iter()
        .map(|entry| (entry.version, &*entry.by))
        .collect();
    assert_eq!(told, [(1, "start"), (2, "test"), (3, "test"), (4, "test")]);
    assert_eq!(
        history[3].changes,
        ["cluster `a`: removed", "cluster `b`: removed"]
    );
    assert!(matches!(
        proxy.rollback(9, terms()).await,
        Err(ApplyError::NoSuchVersion(9))
    ));
}

#[actix::test]
async fn a_listener_that_cannot_bind_leaves_document_and_plan_as_they_were() {
    let (proxy, _origin) = proxy().await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut new = listener("new");
    new["address"] = json!(taken.local_addr().unwrap().to_string());
    let before = dump(&proxy);

    let refused = proxy.edit(
        edits(&json!([{ "put_cluster": { "name": "c" } }, { "put_listener": new }])),
        terms(),
    );
    let refused = refused.await.unwrap_err();

    assert!(matches!(refused, ApplyError::Bind(_)), "{refused}");
    assert_eq!((dump(&proxy), proxy.running().version), (before, 1));
    assert!(
        proxy
            .snapshot()
            .await
            .unwrap()
            .clusters
            .iter()
            .all(|cluster| cluster.name.as_str() != "c")
    );
}

#[actix::test]
async fn hosts_that_are_changed_by_types_are_changed_in_the_document() {
    let (proxy, origin) = proxy().await;
    let more = banyan::config::Host::from(std::net::SocketAddr::from(([127, 0, 0, 1], 1)));
    proxy.hosts("origins").append(vec![more]).await.unwrap();
    let document: Value = serde_json::from_str(&dump(&proxy)).unwrap();
    assert_eq!(
        document["cluster_manager"]["clusters"][0]["hosts"],
        json!([{ "address": "127.0.0.1:1" }, { "address": origin.address.to_string() }])
    );
}

#[actix::test]
async fn a_plan_without_a_document_is_changed_by_types_alone() {
    let origin = Origin::echoing().await;
    let plan = crate::support::plan(
        &[listener("app")],
        &[cluster("LB_RANDOM", &[origin.address])],
    );
    let proxy = crate::support::start(plan).await;
    let refused = proxy.edit(put_cluster("c"), terms()).await.unwrap_err();
    assert!(
        refused.to_string().contains("was not made of a document"),
        "{refused}"
    );
    proxy.hosts("origins").set(Vec::new()).await.unwrap();
}

#[actix::test]
async fn more_changes_than_may_wait_are_refused_and_the_others_all_happen() {
    let (proxy, _origin) = proxy().await;
    let flood = (0..100).map(|n| {
        let proxy = proxy.clone();
        async move { proxy.edit(put_cluster(&format!("c{n}")), terms()).await }
    });
    let answers = soon("every answer", futures::future::join_all(flood)).await;

    let done = answers.iter().filter(|answer| answer.is_ok()).count() as u64;
    let busy = answers
        .iter()
        .filter(|answer| matches!(answer, Err(ApplyError::Busy)))
        .count() as u64;
    assert_eq!(done + busy, 100);
    assert!(done >= 64 && busy > 0, "{done} were done");
    assert_eq!(proxy.running().version, 1 + done);
}
