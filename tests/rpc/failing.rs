//! Requests that no host answers.

use std::time::Duration;

use banyan::protocol::bolt::{Answer, V1, Version};
use banyan::protocol::rpc::Codec;
use serde_json::json;

use crate::counts::upstream_count;
use crate::peers::{Host, content, request, request_within, response_of, written};
use crate::site::Site;
use crate::support::{refusing, until};

#[actix::test]
async fn a_host_that_closes_fails_what_it_had_and_nothing_else() {
    let host = Host::new().await;
    let running = Site::forwarding(&[&host], json!({})).start().await;
    let mut caller = running.caller().await;
    for id in 1..=3 {
        caller.says(&request(id, "s", b"x")).await;
    }
    let mut came = Vec::new();
    for _ in 0..3 {
        came.push(host.hears().await);
    }
    came[0].answer(b"done");
    assert_eq!(caller.hears().await.frame.status, 0);
    came[1].by.closes();
    for _ in 0..2 {
        // MOSN: the connection ended with the request under way.
        assert_eq!(caller.hears().await.frame.status, 3);
    }
    caller.says(&request(4, "s", b"x")).await;
    let again = host.hears().await;
    again.answer(b"done");
    assert_eq!(caller.hears().await.frame.status, 0);
    assert_eq!(host.lines.get(), 2);
    running.rests().await;
}

#[actix::test]
async fn a_policy_of_retries_has_another_host_asked() {
    let (bad, good) = (Host::new().await, Host::echoing("good").await);
    let policy = json!({ "retry_policy": { "retry_on": true, "num_retries": 2 } });
    let running = Site::forwarding(&[&bad, &good], policy).start().await;
    let mut caller = running.caller().await;
    // Two in a row: whoever is first, one of them comes to the bad host.
    caller.says(&request(1, "s", b"x")).await;
    caller.says(&request(2, "s", b"x")).await;
    let came = bad.hears().await;
    came.by.says(response_of(&came.message, 1, b"no"));
    for _ in 0..2 {
        assert_eq!(content(&caller.hears().await), "good:x");
    }
    caller.says(&request(3, "s", b"x")).await;
    caller.says(&request(4, "s", b"x")).await;
    bad.hears().await.by.closes();
    for _ in 0..2 {
        assert_eq!(content(&caller.hears().await), "good:x");
    }
}

#[actix::test]
async fn a_host_that_refuses_costs_no_request() {
    let good = Host::echoing("good").await;
    let dead = Host::new().await;
    dead.refuses();
    let running = Site::forwarding(&[&dead, &good], json!({})).start().await;
    let mut caller = running.caller().await;
    for id in 1..=6 {
        assert_eq!(
            content(&caller.asks(&request(id, "s", b"x")).await),
            "good:x"
        );
    }
}

#[actix::test]
async fn what_cannot_be_forwarded_is_answered_with_mosn_s_status() {
    let gone = refusing().await;
    let host = Host::new().await;
    let to = |service: &str, cluster: &str| {
        json!({
            "match": { "headers": [{ "name": "service", "value": service }] },
            "route": { "cluster_name": cluster, "timeout": "200ms" },
        })
    };
    let site = Site::routes(
        json!([to("dead", "dead"), to("slow", "slow"), to("empty", "empty"),
            to("full", "full"),
            { "match": { "headers": [{ "name": "service", "value": "no" }] },
              "direct_response": { "status": 403 } },
            { "match": { "headers": [{ "name": "service", "value": "elsewhere" }] },
              "redirect": { "path_redirect": "/" } },
        ]),
    );
    let mut site = site
        .cluster("slow", &[&host])
        .cluster("empty", &[])
        .cluster("full", &[&host])
        .cluster("dead", &[]);
    site.clusters[2]["circuit_breakers"] = json!([{ "max_requests": 1 }]);
    site.clusters[3]["hosts"] = json!([{ "address": gone.to_string() }]);
    let running = site.start().await;
    let mut caller = running.caller().await;
    for (service, first, second) in [
        ("nothing", 6, 6),
        ("dead", 6, 6),
        ("empty", 6, 6),
        ("slow", 7, 7),
        ("no", 2, 3),
        ("elsewhere", 3, 3),
    ] {
        for (version, status) in [(Version::V1, first), (Version::V2, second)] {
            let sent = written(version, Answer::Wanted, 5, service, b"x", None);
            let answer = caller.asks(&sent).await;
            let seen = (answer.frame.status, answer.bytes[0], answer.frame.asker.id);
            assert_eq!(seen, (status, version as u8, 5), "{service}");
        }
    }
    // One is under way, so there is no room for another.
    caller
        .says(&request_within(
            6,
            "full",
            b"x",
            Some(Duration::from_secs(600)),
        ))
        .await;
    let under_way = loop {
        let came = host.hears().await;
        if came.message.frame.timeout != banyan::protocol::rpc::Timeout::Unsaid {
            break came;
        }
    };
    assert_eq!(caller.asks(&request(7, "full", b"x")).await.frame.status, 4);
    under_way.answer(b"done");
    assert_eq!(caller.hears().await.frame.asker.id, 6);
    running.rests().await;
}

#[actix::test]
async fn an_answer_that_nobody_waits_for_is_dropped_and_counted() {
    let host = Host::new().await;
    let running = Site::forwarding(&[&host], json!({})).start().await;
    let mut caller = running.caller().await;
    let sent = request_within(1, "s", b"x", Some(Duration::from_millis(100)));
    assert_eq!(caller.asks(&sent).await.frame.status, 7);
    let late = host.hears().await;
    late.answer(b"late");
    late.answer(b"later");
    let mut unknown = late.message.clone();
    V1.set_id(&mut unknown.frame, &mut unknown.bytes, 4_000_000_000);
    late.by.says(response_of(&unknown, 0, b"to whom"));
    late.by.says(V1.heartbeat(1).unwrap());

    caller.says(&request(2, "s", b"x")).await;
    let came = loop {
        let came = host.hears().await;
        if content(&came.message) == "x" {
            break came;
        }
    };
    came.answer(b"in time");
    assert_eq!(content(&caller.hears().await), "in time");
    until("what nobody waited for is counted", || async {
        let overview = running.proxy.snapshot().await.unwrap();
        overview.clusters[0].hosts[0].responses_stray == 3
    })
    .await;
    for labels in [1, 2] {
        assert_eq!(
            upstream_count(&running.proxy, "main", labels, "response_stray"),
            3
        );
    }
    assert_eq!(host.lines.get(), 1);
}

#[actix::test]
async fn a_caller_that_leaves_takes_its_requests_along() {
    let host = Host::new().await;
    let running = Site::forwarding(&[&host], json!({})).start().await;
    let mut caller = running.caller().await;
    caller.says(&request(1, "s", b"x")).await;
    let came = host.hears().await;
    let stream = caller.reader.reunite(caller.writer);
    stream.set_zero_linger().unwrap();
    drop(stream);
    running.rests().await;
    came.answer(b"too late");
    let mut other = running.caller().await;
    other.says(&request(2, "s", b"x")).await;
    host.hears().await.answer(b"yours");
    assert_eq!(content(&other.hears().await), "yours");
    assert_eq!(running.app().await.requests.request_reset, 1);
}

#[actix::test]
async fn a_caller_that_does_not_read_is_not_read_further() {
    let host = Host::echoing("h").await;
    let running = Site::forwarding(&[&host], json!({})).start().await;
    let mut caller = running.caller().await;
    let large = vec![b'x'; 256 * 1024];
    let mut sent = 0_u32;
    // Until nothing more is taken: what is under way, and what waits to be written, is bounded.
    let stuffs = async {
        loop {
            caller.says(&request(sent + 1, "s", &large)).await;
            sent += 1;
        }
    };
    let stuffed = tokio::time::timeout(Duration::from_secs(1), stuffs).await;
    assert!(stuffed.is_err());
    let total = running.app().await.requests.request_total;
    assert!(
        total < 400,
        "{total} requests were taken from a caller that does not read"
    );
    // Another one is served meanwhile.
    let mut other = running.caller().await;
    assert_eq!(content(&other.asks(&request(1, "s", b"x")).await), "h:x");
}

#[actix::test]
async fn a_host_that_takes_nothing_costs_its_own_requests_only() {
    let (deaf, good) = (Host::deaf().await, Host::echoing("good").await);
    let to = |service: &str, cluster: &str| {
        json!({
            "match": { "headers": [{ "name": "service", "value": service }] },
            "route": { "cluster_name": cluster },
        })
    };
    let site = Site::routes(json!([to("deaf", "deaf"), to("good", "good")]));
    let site = site.cluster("deaf", &[&deaf]).cluster("good", &[&good]);
    let running = site.start().await;
    // Far more than the socket takes, and than may wait for it.
    let large = vec![b'x'; 512 * 1024];
    let mut callers = Vec::new();
    for id in 1..=24 {
        let mut caller = running.caller().await;
        let timeout = Some(Duration::from_millis(500));
        caller
            .says(&request_within(id, "deaf", &large, timeout))
            .await;
        callers.push(caller);
    }
    let mut other = running.caller().await;
    assert_eq!(
        content(&other.asks(&request(1, "good", b"x")).await),
        "good:x"
    );
    for caller in &mut callers {
        assert_eq!(caller.hears().await.frame.status, 7);
    }
    running.rests().await;
}
