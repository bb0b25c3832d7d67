//! What drives a connection that requests of RPC share dies under load.

use std::cell::Cell;
use std::rc::Rc;

use banyan::actor::fault;
use serde_json::{Value, json};
use tokio::task::{JoinHandle, spawn_local};

use crate::alone;
use crate::peers::{Caller, Host, content, request};
use crate::site::{Running, Site};
use crate::support::until;

/// Requests under way on the connection that dies.
const HELD: u32 = 20;

/// Calls of `held` go to the cluster of that name, others to `other`.
fn site(held: &[&Host], other: &Host, policy: &Value) -> Site {
    let service = json!({ "headers": [{ "name": "service", "value": "held" }] });
    let mut route = policy.clone();
    route["cluster_name"] = json!("held");
    Site::routes(json!([
        { "match": service, "route": route },
        { "match": {}, "route": { "cluster_name": "other" } },
    ]))
    .cluster("held", held)
    .cluster("other", &[other])
}

/// Requests of another connection, one after the other, all of which are answered.
struct Load {
    done: Rc<Cell<u32>>,
    task: JoinHandle<()>,
}

impl Load {
    async fn start(running: &Running) -> Self {
        let mut caller = running.caller().await;
        let done = Rc::new(Cell::new(0));
        let count = Rc::clone(&done);
        let task = spawn_local(async move {
            loop {
                let id = count.get() + 1;
                let answer = caller.asks(&request(id, "s", b"x")).await;
                assert_eq!(
                    (answer.frame.status, content(&answer)),
                    (0, "other:x".into())
                );
                count.set(id);
            }
        });
        Self { done, task }
    }

    /// It goes on.
    async fn goes_on(&self) {
        let goal = self.done.get() + 20;
        until("the load goes on", || async {
            assert!(
                !self.task.is_finished(),
                "a request of another connection failed"
            );
            self.done.get() > goal
        })
        .await;
    }
}

/// Has requests wait on a connection, and what drives that panic.
async fn killed(running: &Running, host: &Host) -> Caller {
    let mut caller = running.caller().await;
    for id in 1..=HELD {
        caller.says(&request(id, "held", b"x")).await;
    }
    for _ in 0..HELD {
        host.hears().await;
    }
    let load = Load::start(running).await;
    load.goes_on().await;
    // The one that has lived longest.
    assert!(fault::panic_one("Trunk"), "there are {:?}", fault::kinds());
    load.goes_on().await;
    load.task.abort();
    caller
}

#[actix::test]
async fn only_requests_on_a_connection_whose_driver_panics_fail() {
    let _alone = alone().await;
    let (host, other) = (Host::new().await, Host::echoing("other").await);
    let running = site(&[&host], &other, &json!({})).start().await;

    let mut caller = killed(&running, &host).await;

    for _ in 1..=HELD {
        assert_eq!(caller.hears().await.frame.status, 3);
    }
    until("the host sees its end", || async { host.ended.get() == 1 }).await;
    // The next ones go on, by another connection, and for the same caller.
    caller.says(&request(77, "held", b"x")).await;
    let came = host.hears().await;
    assert_eq!(came.by.number, 2);
    came.answer(b"again");
    assert_eq!(content(&caller.hears().await), "again");
    running.rests().await;
    let overview = running.proxy.snapshot().await.unwrap();
    assert!(overview.clusters.iter().all(|cluster| {
        cluster
            .hosts
            .iter()
            .all(|host| host.healthy && host.ejections == 0)
    }));
    drop(caller);
    running.proxy.stop().await;
    running.proxy.ended().await.unwrap();
}

#[actix::test]
async fn where_a_route_retries_none_of_them_fails() {
    let _alone = alone().await;
    let (host, other) = (Host::new().await, Host::echoing("other").await);
    let policy = json!({ "retry_policy": { "retry_on": true, "num_retries": 2 } });
    // At first there is one host only.
    let running = site(&[&host], &other, &policy).start().await;
    let second = Host::echoing("second").await;
    let mut caller = running.caller().await;
    for id in 1..=5 {
        caller.says(&request(id, "held", b"x")).await;
        host.hears().await;
    }
    let hosts = running.proxy.hosts("held");
    hosts.append(vec![second.address.into()]).await.unwrap();

    assert!(fault::panic_one("Trunk"), "there are {:?}", fault::kinds());

    for _ in 1..=5 {
        assert_eq!(content(&caller.hears().await), "second:x");
    }
    running.rests().await;
    drop(caller);
    running.proxy.stop().await;
    running.proxy.ended().await.unwrap();
}
