//! Requests that are answered: routes, kinds of frames, headers.

use banyan::protocol::bolt::{Answer, V1, Version};
use banyan::protocol::rpc::{Codec, Kind};
use serde_json::json;

use crate::peers::{Host, content, header, request, response, written};
use crate::site::Site;
use crate::support::until;

#[actix::test]
async fn a_request_comes_back_under_its_own_id() {
    let host = Host::new().await;
    let running = Site::forwarding(&[&host], json!({})).start().await;
    let mut caller = running.caller().await;

    let sent = request(4711, "s", b"hello");
    caller.says(&sent).await;
    let came = host.hears().await;
    came.answer(b"answer");
    let answer = caller.hears().await;

    // Nothing but the id was changed on the way.
    let mut seen = came.message.bytes.clone();
    seen[5..9].copy_from_slice(&sent[5..9]);
    assert_eq!(*seen, sent[..]);
    assert_ne!(came.message.frame.asker.id, 4711);
    let mut expected = response(&came.message, b"answer");
    expected[5..9].copy_from_slice(&sent[5..9]);
    assert_eq!(*answer.bytes, expected[..]);
}

#[actix::test]
async fn every_spelling_of_the_protocol_is_served() {
    let host = Host::echoing("h").await;
    for proxy in [
        json!({ "downstream_protocol": "bolt", "upstream_protocol": "bolt" }),
        json!({ "downstream_protocol": "boltv2" }),
        json!({ "downstream_protocol": "bolt,boltv2" }),
        json!({ "downstream_protocol": "X", "extend_config": { "sub_protocol": "bolt" } }),
        json!({ "downstream_protocol": "X", "extend_config": { "sub_protocol": "bolt,boltv2" } }),
    ] {
        let mut site = Site::forwarding(&[&host], json!({}));
        site.proxy = proxy;
        site = site.proxy("router_config_name", json!("r"));
        let running = site.start().await;
        let mut caller = running.caller().await;
        for (id, version) in [(1, Version::V1), (2, Version::V2)] {
            let sent = written(version, Answer::Wanted, id, "s", b"x", None);
            let answer = caller.asks(&sent).await;
            assert_eq!(answer.frame.asker.id, u64::from(id));
            assert_eq!(answer.bytes[0], version as u8);
            assert_eq!(content(&answer), "h:x");
        }
        running.proxy.stop().await;
    }
}

#[actix::test]
async fn services_have_routes_of_their_own() {
    let (green, blue) = (Host::echoing("green").await, Host::echoing("blue").await);
    let of = |service: &str, cluster: &str| {
        json!({
            "match": { "headers": [{ "name": "service", "value": service }] },
            "route": { "cluster_name": cluster },
        })
    };
    let says = json!({
        "match": { "headers": [{ "name": "service", "value": "direct" }] },
        "direct_response": { "status": 200, "body": "said" },
    });
    let site = Site::routes(json!([of("green", "green"), of("blue", "blue"), says]));
    let site = site.cluster("green", &[&green]).cluster("blue", &[&blue]);
    let running = site.start().await;
    let mut caller = running.caller().await;
    for (service, status, expected) in [
        ("green", 0, "green:x"),
        ("blue", 0, "blue:x"),
        ("direct", 0, "said"),
        ("red", 6, ""),
    ] {
        let answer = caller.asks(&request(9, service, b"x")).await;
        assert_eq!(
            (answer.frame.status, &*content(&answer)),
            (status, expected)
        );
    }
}

#[actix::test]
async fn a_request_that_wants_no_answer_gets_none() {
    let host = Host::new().await;
    let running = Site::forwarding(&[&host], json!({})).start().await;
    let mut caller = running.caller().await;
    caller
        .says(&written(
            Version::V1,
            Answer::Unwanted,
            1,
            "s",
            b"one way",
            None,
        ))
        .await;
    caller.says(&request(2, "s", b"two ways")).await;

    let first = host.hears().await;
    assert_eq!(first.message.frame.kind, Kind::OneWay);
    // Whatever a host says to it goes nowhere.
    first.answer(b"nobody asked");
    host.hears().await.answer(b"answer");

    let answer = caller.hears().await;
    assert_eq!((answer.frame.asker.id, &*content(&answer)), (2, "answer"));
    running.rests().await;
}

#[actix::test]
async fn a_heartbeat_is_answered_here() {
    let host = Host::new().await;
    let running = Site::forwarding(&[&host], json!({})).start().await;
    let mut caller = running.caller().await;
    let answer = caller.asks(&V1.heartbeat(77).unwrap()).await;
    assert_eq!(answer.frame.kind, Kind::HeartbeatAck);
    assert_eq!((answer.frame.asker.id, host.lines.get()), (77, 0));
    assert_eq!(running.app().await.requests.request_total, 0);
}

#[actix::test]
async fn a_heartbeat_of_a_host_is_answered_too() {
    let host = Host::new().await;
    let running = Site::forwarding(&[&host], json!({})).start().await;
    let mut caller = running.caller().await;
    caller.says(&request(1, "s", b"")).await;
    let came = host.hears().await;
    came.by.says(V1.heartbeat(5).unwrap());
    let answer = host.hears().await.message.frame;
    assert_eq!((answer.kind, answer.asker.id), (Kind::HeartbeatAck, 5));
}

#[actix::test]
async fn routes_change_headers_both_ways() {
    let host = Host::new().await;
    let route = json!({ "match": {}, "route": {
        "cluster_name": "main",
        "request_headers_to_add": [
            { "header": { "key": "x-of", "value": "%upstream_cluster%" } },
            { "header": { "key": "service", "value": "more" }, "append": true },
        ],
        "response_headers_to_add": [{ "header": { "key": "x-by", "value": "banyan" } }],
    } });
    let site = Site::routes(json!([route])).cluster("main", &[&host]);
    let running = site.start().await;
    let mut caller = running.caller().await;
    caller
        .says(&written(Version::V2, Answer::Wanted, 3, "s", b"body", None))
        .await;
    let came = host.hears().await;
    assert_eq!(header(&came.message, "service").as_deref(), Some("s,more"));
    assert_eq!(header(&came.message, "x-of").as_deref(), Some("main"));
    assert_eq!(content(&came.message), "body");
    came.answer(b"answer");
    // The checksum of version 2 was made anew, or this were no frame.
    let answer = caller.hears().await;
    assert_eq!(header(&answer, "x-by").as_deref(), Some("banyan"));
    assert_eq!(content(&answer), "answer");
}

#[actix::test]
async fn a_connection_is_shared_by_callers_and_kept() {
    let host = Host::echoing("h").await;
    let running = Site::forwarding(&[&host], json!({})).start().await;
    for id in 1..=20 {
        let mut caller = running.caller().await;
        let answer = caller.asks(&request(id, "s", b"x")).await;
        assert_eq!(answer.frame.status, 0);
    }
    assert_eq!((host.lines.get(), host.ended.get()), (1, 0));
}

#[actix::test]
async fn there_are_as_many_connections_as_the_cluster_says() {
    let host = Host::echoing("h").await;
    let limits = json!([{ "max_connections": 3 }]);
    let site = Site::forwarding(&[&host], json!({})).main("circuit_breakers", limits);
    let running = site.start().await;
    let mut callers = Vec::new();
    for id in 1..=9 {
        let mut caller = running.caller().await;
        caller.asks(&request(id, "s", b"x")).await;
        callers.push(caller);
    }
    assert_eq!(host.lines.get(), 3);
}

#[actix::test]
async fn a_caller_that_has_said_all_is_still_answered() {
    let host = Host::new().await;
    let running = Site::forwarding(&[&host], json!({})).start().await;
    let mut caller = running.caller().await;
    caller.says(&request(1, "s", b"last")).await;
    tokio::io::AsyncWriteExt::shutdown(&mut caller.writer)
        .await
        .unwrap();
    host.hears().await.answer(b"answer");
    assert_eq!(content(&caller.hears().await), "answer");
    caller.ends().await;
}

#[actix::test]
async fn frames_may_come_a_byte_at_a_time_and_be_large() {
    let host = Host::echoing("h").await;
    let running = Site::forwarding(&[&host], json!({})).start().await;
    let mut caller = running.caller().await;
    for byte in request(1, "s", b"slow") {
        caller.says(&[byte]).await;
    }
    assert_eq!(content(&caller.hears().await), "h:slow");
    let large = vec![b'x'; 3 << 20];
    let answer = caller.asks(&request(2, "s", &large)).await;
    assert_eq!(answer.frame.content.len(), large.len() + 2);
}

#[actix::test]
async fn each_request_has_a_line_in_the_access_log() {
    let host = Host::echoing("h").await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let format = "%protocol% %response_code% %bytes_received% %bytes_sent% %upstream_cluster% \
                  %request_header_service% %path% %response_flag%";
    let logs = json!([{ "log_path": path, "log_format": format }]);
    let site = Site::routes(json!([{
        "match": { "headers": [{ "name": "service", "value": "s" }] },
        "route": { "cluster_name": "main" },
    }]));
    let site = site.cluster("main", &[&host]).listener("access_logs", logs);
    let running = site.start().await;
    let mut caller = running.caller().await;
    caller.asks(&request(1, "s", b"12345")).await;
    caller.asks(&request(2, "other", b"")).await;
    until("two lines are written", || async {
        let log = std::fs::read_to_string(&path).unwrap_or_default();
        log == "bolt 200 5 7 main s - false\nbolt 404 0 0 - other - true\n"
    })
    .await;
}
