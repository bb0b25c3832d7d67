//! Access logs.

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use banyan::Proxy;
use banyan::telemetry::access_log::AccessLogs;
use banyan::telemetry::log::{Closed, Roller};
use jiff::tz::TimeZone;
use regex::Regex;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::site::{Running, Site};
use crate::support::{refusing, until};
use crate::talk::{Web, get, post, reply};

/// An access log in a folder of its own, that a proxy writes.
struct Logged {
    running: Running,
    web: Web,
    logs: AccessLogs,
    folder: TempDir,
}

impl Logged {
    /// What the listener's `access_logs` say, but for the path.
    async fn start(mut log: Value) -> Self {
        let web = Web::answering(|_| reply(200, "X-Up: nine\r\n", "hello")).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("logs/access.log");
        log["log_path"] = json!(file);
        let site =
            Site::forwarding(&[web.address], json!({})).listener("access_logs", json!([log]));
        let logs = AccessLogs::new(Roller::default(), TimeZone::UTC);
        let proxy = Proxy::default().access_logs(logs.clone());
        Self {
            running: site.start_as(proxy).await,
            web,
            logs,
            folder,
        }
    }

    fn lines(&self) -> Vec<String> {
        lines(&self.folder.path().join("logs/access.log"))
    }

    /// Ends the proxy and closes the log; its lines.
    async fn end(self) -> Vec<String> {
        self.running.end().await;
        assert_eq!(self.logs.close(Duration::from_secs(20)), Closed::Flushed);
        assert_eq!(self.logs.losses(), []);
        self.lines()
    }
}

fn lines(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[actix::test]
async fn a_line_of_the_default_format_is_mosn_s() {
    let logged = Logged::start(json!({})).await;
    let (web, to) = (logged.web.address, logged.running.to);
    let mut client = logged.running.client().await;
    let from = client.stream.local_addr().unwrap();

    assert_eq!(client.ask(post("/path", "123")).await.status(), 200);

    let lines = logged.end().await;
    let span = r"[0-9.]+(ns|µs|ms|s)";
    // Address, milliseconds, counter, process.
    let trace = format!(
        "([0-9a-f]{{8}}|00)[0-9]{{13}}[1-9][0-9]{{3}}{}",
        std::process::id()
    );
    let expected = format!(
        r"^\d{{4}}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{{3}} {trace}  \d+ \d+ {span} {span} 5 3 Http1 200 {span} false 200 {web} {to} {from} -$"
    );
    let line = &lines[0];
    assert!(
        Regex::new(&expected).unwrap().is_match(line),
        "{line}\n{expected}"
    );
    assert_eq!(lines.len(), 1);
}

#[actix::test]
async fn a_line_of_json_is_an_object() {
    let logged = Logged::start(json!({ "log_format": "json" })).await;
    let web = logged.web.address.to_string();
    let request = "GET /p%20q/\"x\"?a=1&b HTTP/1.1\r\nHost: a.example\r\n\r\n";
    logged.running.ask(request).await;

    let lines = logged.end().await;

    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    for (name, expected) in [
        ("listener_name", "app"),
        ("protocol", "Http1"),
        ("method", "GET"),
        ("host", "a.example"),
        ("path", "/p%20q/\"x\""),
        ("query", "a=1&b"),
        ("response_code", "200"),
        ("response_flag", "false"),
        ("bytes_received", "0"),
        ("bytes_sent", "5"),
        ("upstream_cluster", "main"),
        ("upstream_local_address", web.as_str()),
        ("upstream_host", "-"),
    ] {
        assert_eq!(line[name], expected, "{name} of {line}");
    }
    assert_eq!((line.as_object().unwrap().len(), lines.len()), (23, 1));
}

#[actix::test]
async fn a_format_may_name_fields_of_request_and_response() {
    let format = "%request_header_X-In% %response_header_x-up% %Http1_request_arg_n% \
                  %Http1_cookie_c% %Http1_request_uri% %response_header_none%|";
    let logged = Logged::start(json!({ "log_format": format })).await;
    let fields = "Host: a\r\nX-In: one\r\nx-in: two\r\nCookie: b=0; c=7\r\n";
    let request = format!("GET /p?m=1&n=2 HTTP/1.1\r\n{fields}\r\n");
    logged.running.ask(request).await;

    assert_eq!(logged.end().await, ["one, two nine 2 7 /p?m=1&n=2 -|"]);
}

#[actix::test]
async fn members_of_json_are_the_configuration_s() {
    let members = json!({ "code": "%response_code%", "text": "to %upstream_cluster%" });
    let logged = Logged::start(json!({ "json_format": members })).await;
    logged.running.ask(get("/")).await;

    assert_eq!(logged.end().await, [r#"{"code":"200","text":"to main"}"#]);
}

#[actix::test]
async fn every_request_has_its_line_once_the_log_is_closed() {
    const EACH: usize = 100;
    let format = "%Http1_request_uri% %response_code% %connection_id%";
    let logged = Logged::start(json!({ "log_format": format })).await;
    let mut clients = Vec::new();
    for client in 0..4 {
        clients.push((client, logged.running.client().await));
    }
    let asking = clients.iter_mut().map(|(client, peer)| async move {
        for at in 0..EACH {
            peer.fetch(&format!("/{client}/{at}")).await;
        }
    });
    futures::future::join_all(asking).await;

    let lines = logged.end().await;

    assert_eq!(lines.len(), 4 * EACH);
    for client in 0..4 {
        let start = format!("/{client}/");
        let own: Vec<_> = lines
            .iter()
            .filter(|line| line.starts_with(&start))
            .collect();
        let number = own[0].rsplit(' ').next().unwrap();
        for (at, line) in own.iter().enumerate() {
            assert_eq!(**line, format!("/{client}/{at} 200 {number}"));
        }
        assert_eq!(own.len(), EACH);
    }
}

#[actix::test]
async fn a_log_of_which_nobody_took_care_is_written_when_the_proxy_has_ended() {
    let web = Web::named("here").await;
    let folder = tempfile::tempdir().unwrap();
    let site = Site::forwarding(&[web.address], json!({}))
        .listener("access_logs", json!([{ "log_format": "%response_code%" }]));
    let proxy = Proxy::default().log_directory(folder.path());
    let running = site.start_as(proxy).await;
    for _ in 0..7 {
        running.ask(get("/")).await;
    }

    running.end().await;

    let file = folder.path().join("app_access.log");
    until("the lines are there", || async {
        lines(&file) == ["200"; 7]
    })
    .await;
}

#[actix::test]
async fn answers_of_the_proxy_s_own_are_logged_too() {
    let format = "%Http1_request_uri% %response_code% %upstream_transport_failure_reason% \
                  %response_flag% %proxy_direct_response%";
    let logged = Logged::start(json!({ "log_format": format })).await;
    let mut client = logged.running.client().await;
    client.fetch("/").await;
    let connect = "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n";
    assert_eq!(client.ask(connect).await.status(), 501);

    let lines = logged.end().await;

    assert_eq!(lines, ["/ 200 0x0 false -", "a:1 501 0x0 false true"]);
}

#[actix::test]
async fn a_body_that_a_status_has_not_does_not_count_as_sent() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let log = json!({ "log_path": file, "log_format": "%response_code% %bytes_sent%" });
    let answer = json!({ "match": {}, "direct_response": { "status": 204, "body": "text" } });
    let site = Site::routes(json!([answer])).listener("access_logs", json!([log]));
    let logs = AccessLogs::new(Roller::default(), TimeZone::UTC);
    let running = site
        .start_as(Proxy::default().access_logs(logs.clone()))
        .await;
    running.client().await.fetch("/").await;

    running.end().await;

    assert_eq!(logs.close(Duration::from_secs(20)), Closed::Flushed);
    assert_eq!(lines(&file), ["204 0"]);
}

#[actix::test]
async fn a_log_that_was_moved_away_is_begun_anew_on_reopening() {
    let logged = Logged::start(json!({ "log_format": "%Http1_request_uri%" })).await;
    logged.running.ask(get("/before")).await;
    until("the first line is written", || async {
        logged.lines() == ["/before"]
    })
    .await;
    let file = logged.folder.path().join("logs/access.log");
    let moved = logged.folder.path().join("moved.log");
    std::fs::rename(&file, &moved).unwrap();

    logged.logs.reopen();
    until("there is a new file", || async { file.exists() }).await;
    logged.running.ask(get("/after")).await;

    // The folder goes with the log.
    let Logged {
        running,
        logs,
        folder,
        web: _web,
    } = logged;
    running.end().await;
    assert_eq!(logs.close(Duration::from_secs(20)), Closed::Flushed);
    assert_eq!(
        (lines(&file), lines(&moved)),
        (vec!["/after".to_owned()], vec!["/before".to_owned()])
    );
    drop(folder);
}

#[actix::test]
async fn what_is_no_request_has_a_line_of_what_is_known() {
    let format = "%Http1_request_method% %Http1_request_path% %Http1_request_uri% \
                  %request_header_host% %protocol% %response_code% %bytes_received% \
                  %proxy_direct_response% %upstream_cluster% %upstream_local_address%";
    let logged = Logged::start(json!({ "log_format": format })).await;
    for (bytes, status) in [
        ("nonsense\r\n\r\n".to_owned(), 400),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(),
            400,
        ),
        (format!("GET /{} HTTP/1.1\r\n", "a".repeat(9000)), 414),
        (
            format!("GET / HTTP/1.1\r\nX: {}\r\n", "a".repeat(9000)),
            431,
        ),
        ("GET / HTTP/3.0\r\n\r\n".to_owned(), 505),
    ] {
        assert_eq!(logged.running.ask(bytes).await.status(), status);
    }

    let mut lines = logged.end().await;

    // Each had a connection, and perhaps a worker, of its own.
    lines.sort_unstable();
    let line = |status: u16| format!("- - - - Http1 {status} 0 true - -");
    assert_eq!(lines, [400, 400, 414, 431, 505].map(line));
}

#[actix::test]
async fn a_head_that_was_too_slow_has_a_line_that_says_how_slow() {
    let web = Web::named("here").await;
    let folder = tempfile::tempdir().unwrap();
    let log = json!({ "log_format": "%response_code% %duration%" });
    let site = Site::forwarding(&[web.address], json!({}))
        .settings(json!({ "Http1": { "head_timeout": "300ms" } }))
        .listener("access_logs", json!([log]));
    let running = site
        .start_as(Proxy::default().log_directory(folder.path()))
        .await;
    let mut client = running.client().await;
    client.send("GET / HTTP/1.1\r\n").await;
    assert_eq!(client.answer().await.unwrap().status(), 408);
    // It was logged before the client was let go.
    drop(client);

    running.end().await;

    let file = folder.path().join("app_access.log");
    let expected = Regex::new(r"^408 ([0-9]+\.[0-9]+s|[3-9][0-9]{2}\.?[0-9]*ms)$").unwrap();
    until("the line is there", || async {
        matches!(&lines(&file)[..], [line] if expected.is_match(line))
    })
    .await;
}

#[actix::test]
async fn a_trace_id_is_the_same_wherever_it_goes() {
    let web = Web::named("here").await;
    let folder = tempfile::tempdir().unwrap();
    let mut site = Site::forwarding(&[web.address], json!({}))
        .listener("access_logs", json!([{ "log_format": "%trace_id%" }]));
    site.routers[0]["request_headers_to_add"] =
        json!([{ "header": { "key": "X-Trace", "value": "%trace_id%" } }]);
    let running = site
        .start_as(Proxy::default().log_directory(folder.path()))
        .await;
    running.ask(get("/")).await;
    running.ask(get("/")).await;

    running.end().await;

    let heard = web.heard();
    let traces: Vec<_> = heard
        .iter()
        .map(|request| request.field("x-trace").unwrap())
        .collect();
    assert_ne!(traces[0], traces[1]);
    let file = folder.path().join("app_access.log");
    until("the lines are there", || async {
        let mut lines = lines(&file);
        lines.sort_unstable_by_key(|line| traces.iter().position(|trace| line == trace));
        lines == traces
    })
    .await;
}

#[actix::test]
async fn no_client_writes_what_a_terminal_obeys() {
    let logged = Logged::start(json!({ "log_format": "%Http1_request_path%|" })).await;
    logged.running.ask(get("/a%1b%5b2Jb%0d%0ac%07")).await;

    assert_eq!(logged.end().await, ["/a [2Jb  c |"]);
}

/// Passes on what is logged.
struct Heard(AssertUnwindSafe<mpsc::Sender<String>>);

impl slog::Drain for Heard {
    type Ok = ();
    type Err = slog::Never;

    fn log(&self, record: &slog::Record<'_>, _: &slog::OwnedKVList) -> Result<(), slog::Never> {
        // The test may be over.
        let _ = self.0.send(record.msg().to_string());
        Ok(())
    }
}

#[actix::test]
async fn what_goes_wrong_with_a_request_is_said_with_the_ids_of_its_line() {
    let (sender, heard) = mpsc::channel();
    let gone = refusing().await;
    let folder = tempfile::tempdir().unwrap();
    let log = json!({ "log_format": "%connection_id%,-,%trace_id%" });
    let site = Site::forwarding(&[gone], json!({})).listener("access_logs", json!([log]));
    let mut proxy = Proxy::default().log_directory(folder.path());
    proxy = proxy.logger(slog::Logger::root(
        Heard(AssertUnwindSafe(sender)),
        slog::o!(),
    ));
    let running = site.start_as(proxy).await;

    assert_eq!(running.ask(get("/")).await.status(), 502);

    let mut said = Vec::new();
    let about = |said: &[String]| {
        let mut said = said.iter();
        let line = said.find(|line| line.contains("listener `app`: cluster `main`"));
        line.and_then(|line| Some(line.strip_prefix('[')?.split_once(']')?.0.to_owned()))
    };
    until("it is said", || {
        said.extend(heard.try_iter());
        let is_said = about(&said).is_some();
        async move { is_said }
    })
    .await;
    running.end().await;
    let file = folder.path().join("app_access.log");
    until("the line is there", || async {
        lines(&file) == [about(&said).unwrap()]
    })
    .await;
}
