//! Goodbyes, of hosts and of the proxy.

use std::time::Duration;

use banyan::protocol::bolt::V1;
use banyan::protocol::rpc::{Codec, Kind};
use serde_json::json;
use tokio::task::{JoinHandle, spawn_local};

use crate::counts::upstream_count;
use crate::peers::{Host, content, request};
use crate::site::{Running, Site};
use crate::support::{soon, until};

/// Drains the proxy; how many connections had to be cut for it.
fn drains(running: &Running) -> JoinHandle<u64> {
    let proxy = running.proxy.clone();
    spawn_local(async move { proxy.drain(Duration::from_secs(60)).await })
}

#[actix::test]
async fn a_host_that_says_goodbye_answers_what_it_has() {
    let host = Host::new().await;
    let running = Site::forwarding(&[&host], json!({})).start().await;
    let mut caller = running.caller().await;
    caller.says(&request(1, "s", b"first")).await;
    let first = host.hears().await;
    first.by.says(V1.goaway(1).unwrap());
    // Ordered behind the goodbye: once it is answered that has been heard.
    first.by.says(V1.heartbeat(2).unwrap());
    assert_eq!(host.hears().await.message.frame.kind, Kind::HeartbeatAck);

    caller.says(&request(2, "s", b"second")).await;
    let second = host.hears().await;
    assert_eq!((first.by.number, second.by.number), (1, 2));
    assert_eq!(host.ended.get(), 0);
    second.answer(b"new");
    first.answer(b"old");
    let mut answers = [
        content(&caller.hears().await),
        content(&caller.hears().await),
    ];
    answers.sort();
    assert_eq!(answers, ["new", "old"]);
    until("the old connection is closed", || async {
        host.ended.get() == 1
    })
    .await;
    let key = "connection_close_notify";
    assert_eq!(upstream_count(&running.proxy, "main", 2, key), 1);
}

#[actix::test]
async fn a_drain_says_goodbye_and_lets_requests_end() {
    let host = Host::new().await;
    let settings = json!({ "bolt": { "enable_bolt_goaway": true } });
    let site = Site::forwarding(&[&host], json!({}))
        .proxy("downstream_protocol", json!("bolt"))
        .proxy("extend_config", settings);
    let running = site.start().await;
    let mut caller = running.caller().await;
    caller.says(&request(1, "s", b"x")).await;
    let came = host.hears().await;
    let drained = drains(&running);
    let goodbye = caller.hears().await;
    assert_eq!(goodbye.frame.kind, Kind::GoAway);
    // It was on its way when the goodbye was.
    caller.says(&request(2, "s", b"y")).await;
    host.hears().await.answer(b"second");
    came.answer(b"first");
    assert_eq!(content(&caller.hears().await), "second");
    assert_eq!(content(&caller.hears().await), "first");
    drop(caller);
    assert_eq!(soon("the end of the drain", drained).await.unwrap(), 0);
}

#[actix::test]
async fn a_drain_without_a_word_for_it_ends_at_the_next_rest() {
    let host = Host::new().await;
    let running = Site::forwarding(&[&host], json!({})).start().await;
    let mut idle = running.caller().await;
    assert_eq!(idle.asks(&V1.heartbeat(1).unwrap()).await.frame.asker.id, 1);
    let mut busy = running.caller().await;
    busy.says(&request(1, "s", b"x")).await;
    let came = host.hears().await;
    let drained = drains(&running);
    idle.ends().await;
    came.answer(b"done");
    assert_eq!(content(&busy.hears().await), "done");
    busy.ends().await;
    assert_eq!(soon("the end of the drain", drained).await.unwrap(), 0);
}
