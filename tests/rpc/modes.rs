//! Who shares a connection to a host.

use std::time::Duration;

use banyan::protocol::bolt::{Answer, V1, Version};
use banyan::protocol::rpc::{Codec, Kind};
use serde_json::json;

use crate::peers::{Host, content, request, request_within, response, written};
use crate::site::Site;
use crate::support::{soon, until};

fn site(hosts: &[&Host], mode: &str) -> Site {
    Site::forwarding(hosts, json!({})).pool_mode(mode)
}

#[actix::test]
async fn ping_pong_asks_one_thing_at_a_time_and_uses_a_connection_again() {
    let host = Host::new().await;
    let running = site(&[&host], "ping-pong").start().await;
    let mut caller = running.caller().await;
    caller.says(&request(1, "s", b"a")).await;
    caller.says(&request(2, "s", b"b")).await;
    let (first, second) = (host.hears().await, host.hears().await);
    assert_ne!(first.by.number, second.by.number);
    for came in [&second, &first] {
        let said = content(&came.message);
        came.answer(said.as_bytes());
        assert_eq!(content(&caller.hears().await), said);
    }
    running.rests().await;
    let mut names = vec![first.message.frame.asker.id];
    for id in 3..=6 {
        caller.says(&request(id, "s", b"again")).await;
        let came = host.hears().await;
        // The newest of both.
        assert_eq!(came.by.number, first.by.number);
        names.push(came.message.frame.asker.id);
        came.answer(b"ok");
        assert_eq!(caller.hears().await.frame.asker.id, u64::from(id));
    }
    assert_eq!(host.lines.get(), 2);
    // No two on one connection have the same id, so that no answer is taken for another's.
    assert_eq!(names, [1, 2, 3, 4, 5]);
    let one_way = written(Version::V1, Answer::Unwanted, 7, "s", b"told", None);
    caller.says(&one_way).await;
    let told = host.hears().await;
    assert_eq!(told.message.frame.kind, Kind::OneWay);
    running.rests().await;
    caller.says(&request(8, "s", b"x")).await;
    assert_eq!(host.hears().await.by.number, told.by.number);
}

#[actix::test]
async fn in_ping_pong_what_is_late_ends_its_connection() {
    let host = Host::new().await;
    let running = site(&[&host], "ping-pong").start().await;
    let mut caller = running.caller().await;
    let sent = request_within(1, "s", b"slow", Some(Duration::from_millis(100)));
    caller.says(&sent).await;
    let late = host.hears().await;
    assert_eq!(caller.hears().await.frame.status, 7);
    until("its connection is closed", || async {
        host.ended.get() == 1
    })
    .await;
    late.answer(b"late");
    caller.says(&request(2, "s", b"x")).await;
    let came = host.hears().await;
    assert_eq!((late.by.number, came.by.number), (1, 2));
    came.answer(b"in time");
    assert_eq!(content(&caller.hears().await), "in time");
    // A caller that is gone is not waited for either.
    caller.says(&request(3, "s", b"x")).await;
    host.hears().await;
    let stream = caller.reader.reunite(caller.writer);
    stream.set_zero_linger().unwrap();
    drop(stream);
    until("nobody waits for the answer", || async {
        host.ended.get() == 2
    })
    .await;
    running.rests().await;
}

#[actix::test]
async fn in_ping_pong_another_s_answer_is_dropped_and_a_goodbye_is_heeded() {
    let host = Host::new().await;
    let running = site(&[&host], "ping-pong").start().await;
    let mut caller = running.caller().await;
    caller.says(&request(1, "s", b"x")).await;
    let came = host.hears().await;
    let mut other = came.message.clone();
    V1.set_id(&mut other.frame, &mut other.bytes, 4711);
    came.by.says(response(&other, b"another's"));
    came.by.says(V1.heartbeat(9).unwrap());
    let ack = host.hears().await.message.frame;
    assert_eq!((ack.kind, ack.asker.id), (Kind::HeartbeatAck, 9));
    came.answer(b"mine");
    assert_eq!(content(&caller.hears().await), "mine");
    until("a connection that is out of step is closed", || async {
        host.ended.get() == 1
    })
    .await;
    caller.says(&request(2, "s", b"x")).await;
    let came = host.hears().await;
    came.by.says(V1.goaway(1).unwrap());
    came.answer(b"last");
    assert_eq!(content(&caller.hears().await), "last");
    until("the host is left", || async { host.ended.get() == 2 }).await;
    let overview = running.proxy.snapshot().await.unwrap();
    assert_eq!(overview.clusters[0].hosts[0].responses_stray, 1);
}

#[actix::test]
async fn max_connections_bounds_what_is_not_shared() {
    for mode in ["ping-pong", "bound"] {
        let host = Host::new().await;
        let site = site(&[&host], mode);
        let site = site.main("circuit_breakers", json!([{ "max_connections": 1 }]));
        let running = site.start().await;
        let (mut first, mut second) = (running.caller().await, running.caller().await);
        first.says(&request(1, "s", b"x")).await;
        let came = host.hears().await;
        let refused = second.asks(&request(1, "s", b"x")).await;
        assert_eq!(refused.frame.status, 4, "{mode}");
        came.answer(b"done");
        first.hears().await;
        drop(first);
        let there_is_room = async {
            loop {
                second.says(&request(2, "s", b"x")).await;
                tokio::select! {
                    came = host.hears() => break came.answer(b"ok"),
                    answer = second.hears() => assert_eq!(answer.frame.status, 4),
                }
            }
        };
        soon("room for another", there_is_room).await;
        assert_eq!(content(&second.hears().await), "ok");
    }
}

#[actix::test]
async fn a_bound_connection_is_one_caller_s_and_ends_with_it() {
    let host = Host::new().await;
    let running = site(&[&host], "bound").start().await;
    let (mut first, mut second) = (running.caller().await, running.caller().await);
    for (caller, line) in [(&mut first, 1), (&mut second, 2)] {
        caller.says(&request(1, "s", b"a")).await;
        caller.says(&request(2, "s", b"b")).await;
        let came = [host.hears().await, host.hears().await];
        assert_eq!(came.each_ref().map(|came| came.by.number), [line, line]);
        for came in came.iter().rev() {
            came.answer(content(&came.message).as_bytes());
            assert_eq!(content(&caller.hears().await), content(&came.message));
        }
    }
    drop(first);
    until("the first one's is closed", || async {
        host.ended.get() == 1
    })
    .await;
    second.says(&request(3, "s", b"x")).await;
    let came = host.hears().await;
    assert_eq!(came.by.number, 2);
    came.answer(b"still there");
    assert_eq!(content(&second.hears().await), "still there");
    assert_eq!(host.lines.get(), 2);
}

#[actix::test]
async fn a_bound_connection_that_a_host_ends_is_the_end_of_its_caller_s() {
    let host = Host::new().await;
    let running = site(&[&host], "bound").start().await;
    let (mut caller, mut other) = (running.caller().await, running.caller().await);
    other.says(&request(1, "s", b"x")).await;
    let others = host.hears().await;
    caller.says(&request(1, "s", b"a")).await;
    caller.says(&request(2, "s", b"b")).await;
    let (first, second) = (host.hears().await, host.hears().await);
    first.answer(b"done");
    assert_eq!(content(&caller.hears().await), "done");
    second.by.closes();
    // What was under way is still answered.
    assert_eq!(caller.hears().await.frame.status, 3);
    caller.ends().await;
    others.answer(b"mine");
    assert_eq!(content(&other.hears().await), "mine");

    // One that has said goodbye answers what it has, and then the caller's ends, too.
    other.says(&request(2, "s", b"x")).await;
    let last = host.hears().await;
    last.by.says(V1.goaway(1).unwrap());
    last.answer(b"last");
    assert_eq!(content(&other.hears().await), "last");
    other.ends().await;
    running.rests().await;
}

#[actix::test]
async fn a_host_that_takes_no_connection_ends_nobody_s() {
    let (gone, good) = (Host::new().await, Host::echoing("good").await);
    gone.refuses();
    for mode in ["ping-pong", "bound"] {
        let running = site(&[&gone, &good], mode).start().await;
        let mut caller = running.caller().await;
        for id in 1..=4 {
            let answer = caller.asks(&request(id, "s", b"x")).await;
            assert_eq!(content(&answer), "good:x", "{mode}");
        }
    }
}
