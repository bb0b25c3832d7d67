//! What is tried again, and what is given up.

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

use crate::site::Site;
use crate::support::{refusing, soon, until};
use crate::talk::{Web, get, post, reply};

/// Reads requests and answers none.
async fn silent() -> Web {
    Web::scripted(|mut peer| async move { while peer.request().await.is_ok() {} }).await
}

/// Answers each request with 503.
async fn failing() -> Web {
    Web::answering(|_| reply(503, "", "no")).await
}

/// Answers the first request of a connection, and closes it when it has read the second one.
async fn leaving_after_one() -> Web {
    Web::scripted(|mut peer| async move {
        if peer.request().await.is_ok() {
            peer.send(reply(200, "", "one")).await;
            let _ = peer.request().await;
        }
    })
    .await
}

#[actix::test]
async fn a_response_that_does_not_come_in_time_is_a_504() {
    let web = silent().await;
    let running = Site::forwarding(&[web.address], json!({ "timeout": "80ms" }))
        .start()
        .await;

    let answer = running.ask(get("/")).await;

    assert_eq!(answer.status(), 504);
    assert_eq!(web.count(), 1);
    running.rests().await;
}

#[actix::test]
async fn a_request_may_say_how_long_it_waits() {
    let web = silent().await;
    let running = Site::forwarding(&[web.address], json!({ "timeout": "600s" }))
        .start()
        .await;

    let request = "GET / HTTP/1.1\r\nHost: a\r\nx-mosn-global-timeout: 60\r\n\r\n";

    assert_eq!(running.ask(request).await.status(), 504);
}

#[actix::test]
async fn a_503_is_tried_again_on_another_host() {
    let (bad, good) = (failing().await, Web::named("good").await);
    let retry = json!({ "retry_policy": { "retry_on": true, "num_retries": 1 } });
    let running = Site::forwarding(&[bad.address, good.address], retry)
        .start()
        .await;
    let mut client = running.client().await;

    for _ in 0..10 {
        assert_eq!(client.fetch("/").await.said(), (200, "good".to_owned()));
    }

    assert!(bad.count() >= 4, "{}", bad.count());
    assert_eq!(good.count(), 10);
}

#[actix::test]
async fn a_post_is_not_sent_twice_for_a_status_that_no_policy_names() {
    let (bad, good) = (failing().await, Web::named("good").await);
    let retry = json!({ "retry_policy": { "retry_on": true, "num_retries": 3 } });
    let running = Site::forwarding(&[bad.address, good.address], retry)
        .start()
        .await;
    let mut client = running.client().await;

    for _ in 0..4 {
        client.ask(&post("/l", "abcde")).await;
    }

    assert_eq!(bad.count() + good.count(), 4);
    assert!(bad.count() > 0);
}

#[actix::test]
async fn a_body_is_sent_again_with_its_request() {
    let (bad, good) = (failing().await, Web::named("good").await);
    // Of a method that is not idempotent only for statuses that are named.
    let policy = json!({ "retry_on": true, "num_retries": 1, "status_codes": [503] });
    let retry = json!({ "retry_policy": policy });
    let running = Site::forwarding(&[bad.address, good.address], retry)
        .start()
        .await;
    let mut client = running.client().await;
    let chunked = "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-T: 1\r\n\r\n";

    for request in [post("/l", "abcde"), chunked.to_owned()] {
        for _ in 0..4 {
            assert_eq!(client.ask(&request).await.said(), (200, "good".to_owned()));
            assert_eq!(good.heard().pop().unwrap().text(), "abcde");
        }
    }

    assert!(bad.count() >= 2);
    assert!(bad.heard().iter().all(|heard| heard.text() == "abcde"));
}

#[actix::test]
async fn with_no_retries_the_failure_is_passed_on() {
    let bad = failing().await;
    let retry = json!({ "retry_policy": { "retry_on": true, "num_retries": 0 } });
    let running = Site::forwarding(&[bad.address], retry).start().await;

    assert_eq!(running.ask(get("/")).await.said(), (503, "no".to_owned()));
    assert_eq!(bad.count(), 1);
}

#[actix::test]
async fn only_the_statuses_that_are_named_are_tried_again() {
    let (bad, good) = (failing().await, Web::named("good").await);
    let retry = json!({ "retry_policy": { "retry_on": true, "num_retries": 3,
        "status_codes": [404, 500] } });
    let running = Site::forwarding(&[bad.address, good.address], retry)
        .start()
        .await;
    let mut client = running.client().await;
    let mut refused = 0;

    for _ in 0..10 {
        refused += usize::from(client.fetch("/").await.status() == 503);
    }

    assert_eq!((refused, good.count()), (bad.count(), 10 - bad.count()));
    assert!(refused >= 4, "{refused}");
}

#[actix::test]
async fn a_post_that_was_sent_is_not_sent_twice() {
    let breaking = || Web::scripted(|mut peer| async move { drop(peer.request().await) });
    let (one, two) = (breaking().await, breaking().await);
    let retry = json!({ "retry_policy": { "retry_on": true, "num_retries": 3 } });
    let running = Site::forwarding(&[one.address, two.address], retry)
        .start()
        .await;

    let answer = running.ask(post("/", "order")).await;

    assert_eq!((answer.status(), one.count() + two.count()), (502, 1));
}

#[actix::test]
async fn a_post_on_a_reused_connection_is_not_sent_twice_either() {
    let web = leaving_after_one().await;
    let retry = json!({ "retry_policy": { "retry_on": true, "num_retries": 3 } });
    let running = Site::forwarding(&[web.address], retry).start().await;
    let mut client = running.client().await;

    assert_eq!(client.fetch("/").await.status(), 200);
    let answer = client.ask(post("/", "order")).await;

    assert_eq!(answer.status(), 502);
    assert_eq!((web.count(), web.visits()), (2, 1));
}

#[actix::test]
async fn a_get_on_a_connection_that_went_stale_goes_over_a_fresh_one() {
    let web = leaving_after_one().await;
    let none = json!({ "retry_policy": { "num_retries": 0 } });
    let running = Site::forwarding(&[web.address], none).start().await;
    let mut client = running.client().await;

    for at in 0..5 {
        assert_eq!(
            client.fetch("/").await.said(),
            (200, "one".to_owned()),
            "{at}"
        );
    }

    // Each but the first went first over the connection of the one before.
    assert_eq!((web.count(), web.visits()), (9, 5));
}

#[actix::test]
async fn a_try_that_takes_too_long_is_made_on_the_next_host() {
    let (slow, good) = (silent().await, Web::named("good").await);
    let retry = json!({ "timeout": "600s", "retry_policy": { "retry_on": true,
        "num_retries": 1, "retry_timeout": "150ms" } });
    let running = Site::forwarding(&[slow.address, good.address], retry)
        .start()
        .await;
    let mut client = running.client().await;

    for _ in 0..4 {
        assert_eq!(client.fetch("/").await.said(), (200, "good".to_owned()));
    }

    assert!(slow.count() >= 1);
    assert_eq!(good.count(), 4);
}

#[actix::test]
async fn a_host_that_refuses_costs_no_request() {
    let good = Web::named("good").await;
    let hosts = [refusing().await, good.address, refusing().await];
    let running = Site::forwarding(&hosts, json!({})).start().await;

    for _ in 0..20 {
        let mut client = running.client().await;
        assert_eq!(client.fetch("/").await.status(), 200);
        assert_eq!(client.ask(post("/", "order")).await.status(), 200);
    }

    assert_eq!(good.count(), 40);
    let overview = running.proxy.snapshot().await.unwrap();
    let hosts = &overview.clusters[0].hosts;
    let failed: u64 = hosts.iter().map(|host| host.connections_failed).sum();
    assert!(failed > 0);
    assert_eq!(hosts[1].connections_failed, 0);
}

#[actix::test]
async fn without_any_host_that_listens_a_request_is_a_502() {
    let hosts = [refusing().await, refusing().await];
    let running = Site::forwarding(&hosts, json!({})).start().await;
    let mut client = running.client().await;

    let answer = client.fetch("/").await;

    assert_eq!(answer.status(), 502);
    let cause = answer.field("x-banyan-cause").unwrap();
    assert!(cause.contains("main"), "{cause}");
    assert_eq!(
        client.fetch("/").await.status(),
        502,
        "the connection goes on"
    );
}

#[actix::test]
async fn a_client_that_leaves_takes_its_try_along() {
    let gone = Rc::new(Cell::new(false));
    let told = gone.clone();
    let web = Web::scripted(move |mut peer| {
        let told = told.clone();
        async move {
            let _ = peer.request().await;
            peer.rest().await;
            told.set(true);
            pending::<()>().await;
        }
    })
    .await;
    let running = Site::forwarding(&[web.address], json!({ "timeout": "600s" }))
        .start()
        .await;
    let mut client = running.client().await;
    client.send(get("/")).await;
    let arrives = async {
        while web.count() == 0 {
            tokio::task::yield_now().await;
        }
    };
    soon("the request arrives", arrives).await;

    client.stream.set_zero_linger().unwrap();
    drop(client);

    let ends = async {
        while !gone.get() {
            tokio::task::yield_now().await;
        }
    };
    soon("the upstream connection ends", ends).await;
    running.rests().await;
    assert_eq!(running.app().await.requests.request_reset, 1);
}

#[actix::test]
async fn a_503_of_the_only_host_is_what_the_client_gets() {
    let bad = failing().await;
    let retry = json!({ "retry_policy": { "retry_on": true, "num_retries": 2 } });
    let running = Site::forwarding(&[bad.address], retry).start().await;

    assert_eq!(running.ask(get("/")).await.said(), (503, "no".to_owned()));
}

#[actix::test]
async fn a_body_that_is_not_kept_any_more_is_not_sent_again() {
    let (bad, good) = (failing().await, Web::named("good").await);
    let retry = json!({ "retry_policy": { "retry_on": true, "num_retries": 1 } });
    let running = Site::forwarding(&[bad.address, good.address], retry)
        .start()
        .await;
    let mut client = running.client().await;
    let body = "x".repeat(300_000);

    for _ in 0..4 {
        let answer = client.ask(post("/", &body)).await;
        assert!(matches!(answer.status(), 200 | 503), "{answer:?}");
    }

    assert_eq!(good.count() + bad.count(), 4);
}

#[actix::test]
async fn no_request_is_ever_sent_as_the_body_of_another() {
    let (bad, good) = (failing().await, Web::named("good").await);
    let retry = json!({ "retry_policy": { "retry_on": true, "num_retries": 1 } });
    let running = Site::forwarding(&[bad.address, good.address], retry)
        .start()
        .await;
    let (mut reading, mut writing) = running.client().await.halves();
    let body = "x".repeat(300_000);
    let requests = post("/", &body).repeat(6);

    let read = async {
        for _ in 0..6 {
            let status = reading.answer().await.map(|answer| answer.status());
            assert!(matches!(status, Ok(200 | 503)), "{status:?}");
        }
    };
    // The proxy may close before all is sent: that shows in the answers.
    let (_, ()) = tokio::join!(writing.write_all(requests.as_bytes()), read);

    for heard in [good.heard(), bad.heard()].concat() {
        assert!(heard.text() == body, "a body that nobody sent");
    }
}

#[actix::test]
async fn a_503_that_there_is_no_room_to_try_again_is_what_the_client_gets() {
    const CLIENTS: usize = 60;
    let told = Rc::new(Notify::new());
    let waiting = told.clone();
    let bad = failing().await;
    let good = Web::scripted(move |mut peer| {
        let told = waiting.clone();
        async move {
            while peer.request().await.is_ok() {
                told.notified().await;
                peer.send(reply(200, "", "good")).await;
            }
        }
    })
    .await;
    let retry = json!({ "retry_policy": { "retry_on": true, "num_retries": 1 } });
    let running = Site::forwarding(&[bad.address, good.address], retry)
        .start()
        .await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = running.client().await;
        client.send(get("/")).await;
        clients.push(client);
    }
    // Those that are held have all the retries that there are.
    until("every request is held or answered", || async {
        let answered = running.app().await.requests;
        good.count() as u64 + answered.request_total - answered.request_active == CLIENTS as u64
    })
    .await;
    for _ in 0..CLIENTS {
        told.notify_waiters();
        tokio::task::yield_now().await;
    }

    let mut statuses = Vec::new();
    for client in &mut clients {
        statuses.push(client.answer().await.unwrap().status());
    }

    statuses.sort_unstable();
    statuses.dedup();
    assert_eq!(statuses, [200, 503]);
}
