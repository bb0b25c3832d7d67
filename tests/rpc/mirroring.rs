//! Copies of requests, for another cluster.

use banyan::protocol::bolt::{Answer, Version};
use banyan::protocol::rpc::Kind;
use serde_json::{Value, json};

use crate::peers::{Host, content, header, request, response_of, written};
use crate::site::{Running, Site};
use crate::support::until;

fn copying() -> Value {
    json!([{
        "match": {},
        "route": {
            "cluster_name": "main",
            "request_headers_to_add": [{ "header": { "key": "by", "value": "us" } }],
        },
        "request_mirror_policies": { "cluster": "shadow", "percent": 100 },
    }])
}

fn site(main: &Host, shadow: &Host) -> Site {
    Site::routes(copying())
        .cluster("main", &[main])
        .cluster("shadow", &[shadow])
}

async fn strays(running: &Running) -> u64 {
    let overview = running.proxy.snapshot().await.unwrap();
    let hosts = overview.clusters.iter().flat_map(|cluster| &cluster.hosts);
    hosts.map(|host| host.responses_stray).sum()
}

#[actix::test]
async fn a_copy_goes_along_and_its_answer_nowhere() {
    for mode in ["multiplex", "ping-pong", "bound"] {
        let (main, shadow) = (Host::new().await, Host::new().await);
        let running = site(&main, &shadow).pool_mode(mode).start().await;
        let mut caller = running.caller().await;
        for (id, status) in [(1, 0), (2, 2), (3, 0)] {
            caller.says(&request(id, "s", b"x")).await;
            let (came, copy) = (main.hears().await, shadow.hears().await);
            for one in [&came, &copy] {
                assert_eq!(content(&one.message), "x");
                assert_eq!(header(&one.message, "service").as_deref(), Some("s"));
                assert_eq!(header(&one.message, "by").as_deref(), Some("us"));
            }
            // Whether it answers before the other one, and what, makes no difference.
            let says = response_of(&copy.message, status, b"from the shadow");
            copy.by.says(says);
            came.answer(b"from the main one");
            let answer = caller.hears().await;
            let heard = (answer.frame.asker.id, answer.frame.status);
            assert_eq!(
                (heard, content(&answer)),
                ((u64::from(id), 0), "from the main one".into())
            );
            running.rests().await;
        }
        let one_way = written(Version::V2, Answer::Unwanted, 4, "s", b"told", None);
        caller.says(&one_way).await;
        for host in [&main, &shadow] {
            assert_eq!(host.hears().await.message.frame.kind, Kind::OneWay);
        }
        running.rests().await;
        assert_eq!(strays(&running).await, 0, "{mode}");
    }
}

#[actix::test]
async fn what_becomes_of_a_copy_is_nobody_s_trouble() {
    for mode in ["multiplex", "ping-pong", "bound"] {
        let (main, shadow) = (Host::echoing("main").await, Host::new().await);
        let running = site(&main, &shadow).pool_mode(mode).start().await;
        let mut caller = running.caller().await;
        // Never answered.
        assert_eq!(
            content(&caller.asks(&request(1, "s", b"a")).await),
            "main:a"
        );
        let unanswered = shadow.hears().await;
        assert_eq!(
            content(&caller.asks(&request(2, "s", b"b")).await),
            "main:b"
        );
        let cut = shadow.hears().await;
        cut.by.closes();
        unanswered.by.closes();
        until("the connections of copies are over", || async {
            shadow.ended.get() == shadow.lines.get()
        })
        .await;
        running.rests().await;
        // Nobody there.
        shadow.refuses();
        for id in 3..=6 {
            assert_eq!(
                content(&caller.asks(&request(id, "s", b"c")).await),
                "main:c"
            );
        }
        running.rests().await;
        assert_eq!(main.lines.get(), 1, "{mode}");
        let requests = running.app().await.requests;
        assert_eq!((requests.statuses.of(200), requests.request_failed), (6, 0));
    }
}

#[actix::test]
async fn copies_that_are_too_many_are_counted_and_not_sent() {
    let (main, shadow) = (Host::echoing("main").await, Host::new().await);
    let running = site(&main, &shadow).start().await;
    let mut caller = running.caller().await;
    for id in 1..=130 {
        assert_eq!(
            content(&caller.asks(&request(id, "s", b"x")).await),
            "main:x"
        );
    }
    assert_eq!(running.app().await.requests.request_mirror_dropped, 2);
}
