//! What is no frame, or none that may come.

use banyan::protocol::bolt::V1;
use banyan::protocol::rpc::Codec;
use serde_json::json;

use crate::peers::{Host, content, request, response};
use crate::site::Site;
use crate::support::{soon, until};

#[actix::test]
async fn garbage_ends_its_own_connection_only() {
    let host = Host::echoing("h").await;
    let running = Site::forwarding(&[&host], json!({})).start().await;
    let mut good = running.caller().await;
    let answer = good.asks(&request(1, "s", b"x")).await;
    for garbage in [
        b"GET / HTTP/1.1\r\n\r\n".as_slice(),
        &[0],
        &[1, 9],
        &[2, 7],
        &answer.bytes,
    ] {
        let mut bad = running.caller().await;
        bad.says(garbage).await;
        bad.ends().await;
        assert_eq!(content(&good.asks(&request(2, "s", b"y")).await), "h:y");
    }
}

#[actix::test]
async fn a_frame_beyond_the_limit_is_answered_and_ends_the_connection() {
    let host = Host::echoing("h").await;
    let limit = json!({ "sub_protocol": "bolt", "max_frame_size": 2048 });
    let site = Site::forwarding(&[&host], json!({})).proxy("extend_config", limit);
    let running = site.start().await;
    let mut caller = running.caller().await;
    assert_eq!(
        caller
            .asks(&request(1, "s", &[b'x'; 1024]))
            .await
            .frame
            .status,
        0
    );
    let giant = request(2, "s", &[b'x'; 4096]);
    // Its head is enough.
    let answer = caller.asks(&giant[..22]).await;
    assert_eq!((answer.frame.asker.id, answer.frame.status), (2, 9));
    caller.ends().await;
}

#[actix::test]
async fn headers_that_cannot_be_read_are_answered() {
    let host = Host::echoing("h").await;
    let running = Site::forwarding(&[&host], json!({})).start().await;
    let mut caller = running.caller().await;
    let mut bad = request(1, "s", b"x");
    // The length of the first name.
    let at = 22 + banyan::protocol::bolt::REQUEST_CLASS.len();
    bad[at..at + 4].copy_from_slice(&[0, 0, 1, 0]);
    assert_eq!(caller.asks(&bad).await.frame.status, 9);
    // Where the next frame begins is known all the same.
    assert_eq!(content(&caller.asks(&request(2, "s", b"x")).await), "h:x");
}

#[actix::test]
async fn a_host_that_asks_or_talks_nonsense_is_left() {
    let host = Host::new().await;
    let running = Site::forwarding(&[&host], json!({})).start().await;
    for (id, nonsense) in [(1, request(9, "s", b"x")), (2, b"nonsense".to_vec())] {
        let mut caller = running.caller().await;
        caller.says(&request(id, "s", b"x")).await;
        host.hears().await.by.says(nonsense);
        assert_eq!(caller.hears().await.frame.status, 3);
        caller.says(&request(id + 10, "s", b"x")).await;
        let came = host.hears().await;
        came.by.says(response(&came.message, b"sense"));
        assert_eq!(content(&caller.hears().await), "sense");
    }
    assert_eq!(host.lines.get(), 3);
}

#[actix::test]
async fn a_goodbye_of_a_caller_changes_nothing() {
    let host = Host::echoing("h").await;
    let running = Site::forwarding(&[&host], json!({})).start().await;
    let mut caller = running.caller().await;
    caller.says(&V1.goaway(1).unwrap()).await;
    assert_eq!(content(&caller.asks(&request(2, "s", b"x")).await), "h:x");
}

#[actix::test]
async fn what_is_refused_has_a_line_in_the_access_log() {
    let host = Host::echoing("h").await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let format = "%protocol% %response_code% %upstream_cluster% %request_header_service%";
    let logs = json!([{ "log_path": path, "log_format": format }]);
    let limit = json!({ "sub_protocol": "bolt", "max_frame_size": 2048 });
    let site = Site::forwarding(&[&host], json!({}))
        .proxy("extend_config", limit)
        .listener("access_logs", logs);
    let running = site.start().await;
    let too_long = request(2, "s", &[b'x'; 4096]);
    for refused in [&b"GET / HTTP/1.1\r\n\r\n"[..], &too_long] {
        let mut caller = running.caller().await;
        caller.asks(&request(1, "s", b"x")).await;
        caller.says(refused).await;
        let answer = soon("the end", caller.reader.next()).await;
        assert!(answer.is_none_or(|answer| answer.frame.status == 9));
    }
    until("each has its line", || async {
        let log = std::fs::read_to_string(&path).unwrap_or_default();
        log == "bolt 200 main s\nbolt 0 - -\n".repeat(2)
    })
    .await;
    let requests = running.app().await.requests;
    assert_eq!((requests.request_total, requests.request_active), (4, 0));
}
