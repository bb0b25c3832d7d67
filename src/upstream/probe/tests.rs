use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::fd::IntoRawFd;
use std::thread::{self, JoinHandle};

use tokio::net::{TcpListener, TcpSocket};

use super::*;

/// Answers each connection with the next of these, once its request's head has come; returns the
/// requests.
fn host(answers: &'static [&'static str]) -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let requests = thread::spawn(move || {
        let answer = |answer: &&str| {
            let (stream, _) = listener.accept().unwrap();
            answered(stream, answer)
        };
        answers.iter().map(answer).collect()
    });
    (address, requests)
}

fn answered(mut stream: impl Read + Write, answer: &str) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        request.extend_from_slice(&byte);
    }
    stream.write_all(answer.as_bytes()).unwrap();
    String::from_utf8(request).unwrap()
}

fn tcp(timeout: Duration) -> HealthCheck {
    HealthCheck {
        timeout,
        ..HealthCheck::new("s")
    }
}

fn http(probe: HttpProbe) -> HealthCheck {
    HealthCheck {
        probe: Probe::Http(probe),
        ..tcp(Duration::from_secs(20))
    }
}

async fn asked(address: SocketAddr, check: &HealthCheck) -> (Finding, String) {
    let Answer { finding, reason } = probe(&address.into(), None, check, &Book::default()).await;
    (finding, reason)
}

/// Nobody else comes to its port until the process ends.
async fn refusing() -> SocketAddr {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    let _kept = socket.into_raw_fd();
    address
}

#[tokio::test]
async fn a_host_that_accepts_passes_a_check_by_connecting() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let check = tcp(Duration::from_secs(20));
    assert_eq!(
        asked(address, &check).await,
        (Finding::Passed, "connected".into())
    );
    assert_eq!(
        asked(refusing().await, &check).await,
        (Finding::Failed, "connect refused".into())
    );
}

#[tokio::test]
async fn a_port_of_the_check_stands_in_for_the_host_s() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = Some(listener.local_addr().unwrap().port());
    let check = HealthCheck {
        probe: Probe::Tcp { port },
        ..tcp(Duration::from_secs(20))
    };
    let name = HostAddress::Name("localhost".into(), refusing().await.port());
    assert_eq!(asked(refusing().await, &check).await.0, Finding::Passed);
    assert_eq!(
        probe(&name, None, &check, &Book::default()).await.finding,
        Finding::Passed
    );
}

/// What is answered, the statuses that pass, what is found, and in words.
const ANSWERS: &[(&str, &[RangeInclusive<u16>], Finding, &str)] = {
    use Finding::{Failed, Passed};
    &[
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            &[200..=200],
            Passed,
            "status 200",
        ),
        (
            "HTTP/1.1 204 \r\n\r\n",
            &[200..=200],
            Failed,
            "status 204, want 200",
        ),
        (
            "HTTP/1.1 503 \r\n\r\n",
            &[200..=299],
            Failed,
            "status 503, want 200-299",
        ),
        (
            "HTTP/1.1 404 \r\n\r\n",
            &[200..=299, 404..=404],
            Passed,
            "status 404",
        ),
        (
            "HTTP/1.1 500 \r\n\r\n",
            &[1..=299, 404..=404],
            Failed,
            "status 500, want 1-299, 404",
        ),
        (
            "HTTP/1.0 200 OK\r\n\r\nuntil the end",
            &[200..=200],
            Passed,
            "status 200",
        ),
        (
            "HTTP/1.1 100 \r\n\r\nHTTP/1.1 200 \r\n\r\n",
            &[200..=200],
            Passed,
            "status 200",
        ),
        ("HTTP/1.1 302 \r\n\r\n", &[302..=302], Passed, "status 302"),
        (
            "SSH-2.0-x\r\n\r\n",
            &[200..=200],
            Failed,
            "not HTTP: version other than HTTP/1.0 and HTTP/1.1",
        ),
        (
            "HTTP/1.1 200",
            &[200..=200],
            Failed,
            "closed in the midst of its answer",
        ),
        ("", &[200..=200], Failed, "closed before it answered"),
    ]
};

#[tokio::test]
async fn a_status_passes_when_it_is_wanted() {
    for (answer, codes, finding, reason) in ANSWERS {
        let (address, _requests) = host(std::slice::from_ref(answer));
        let codes = codes.to_vec();
        let check = http(HttpProbe {
            codes,
            ..HttpProbe::default()
        });
        let found = asked(address, &check).await;
        assert_eq!(found, (*finding, (*reason).to_owned()), "{answer}");
    }
}

#[tokio::test]
async fn a_request_is_what_was_configured() {
    let (address, requests) = host(&["HTTP/1.1 200 \r\n\r\n", "HTTP/1.1 200 \r\n\r\n"]);
    let given = http(HttpProbe {
        target: "/health?deep=1".to_owned(),
        method: "POST".to_owned(),
        domain: Some("health.test".to_owned()),
        ..HttpProbe::default()
    });
    assert_eq!(
        asked(address, &http(HttpProbe::default())).await.0,
        Finding::Passed
    );
    assert_eq!(asked(address, &given).await.0, Finding::Passed);
    let agent = "User-Agent: banyan-health-check\r\nConnection: close\r\n";
    assert_eq!(
        requests.join().unwrap(),
        [
            format!("GET / HTTP/1.1\r\nHost: {address}\r\n{agent}\r\n"),
            format!(
                "POST /health?deep=1 HTTP/1.1\r\nHost: health.test\r\n{agent}Content-Length: 0\r\n\r\n"
            ),
        ]
    );
}

#[tokio::test]
async fn the_answer_to_head_has_no_body_to_wait_for() {
    let (address, _requests) = host(&["HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\n"]);
    let check = http(HttpProbe {
        method: "HEAD".to_owned(),
        ..HttpProbe::default()
    });
    assert_eq!(asked(address, &check).await.0, Finding::Passed);
}

#[tokio::test]
async fn a_redirect_is_followed_on_the_host_itself() {
    let (address, requests) = host(&[
        "HTTP/1.1 301 \r\nLocation: /health/\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 307 \r\nLocation: ready?x=1\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
    ]);
    let check = http(HttpProbe {
        target: "/health".to_owned(),
        method: "POST".to_owned(),
        ..HttpProbe::default()
    });
    assert_eq!(
        asked(address, &check).await,
        (Finding::Passed, "status 200".into())
    );
    let requests = requests.join().unwrap();
    let lines: Vec<_> = requests
        .iter()
        .map(|request| request.lines().next().unwrap())
        .collect();
    assert_eq!(
        lines,
        [
            "POST /health HTTP/1.1",
            "GET /health/ HTTP/1.1",
            "GET /health/ready?x=1 HTTP/1.1"
        ]
    );
}

#[tokio::test]
async fn a_redirect_to_another_host_is_not_followed() {
    let (address, _requests) =
        host(&["HTTP/1.1 302 \r\nLocation: http://elsewhere.test/\r\nContent-Length: 0\r\n\r\n"]);
    assert_eq!(
        asked(address, &http(HttpProbe::default())).await,
        (Finding::Failed, "status 302, want 200".into())
    );
}

#[tokio::test]
async fn redirects_that_never_end_do() {
    const ROUND: &str = "HTTP/1.1 302 \r\nLocation: /\r\nContent-Length: 0\r\n\r\n";
    let (address, _requests) = host(&[ROUND; MOST_REDIRECTS + 1]);
    let (finding, reason) = asked(address, &http(HttpProbe::default())).await;
    assert_eq!(
        (finding, &*reason),
        (Finding::Failed, "sent elsewhere more than 10 times")
    );
}

#[test]
fn a_location_is_taken_where_it_is_on_the_host() {
    for (location, expected) in [
        ("/b", Some("/b")),
        ("/b?c#d", Some("/b?c")),
        ("?c", Some("/a/x?c")),
        ("b", Some("/a/b")),
        ("http://h:1/b", Some("/b")),
        ("http://H:1", Some("/")),
        ("http://h:1?q", Some("/?q")),
        ("//h:1/b", Some("/b")),
        ("http://h:2/b", None),
        ("https://h:1/b", None),
        ("mailto:a", None),
        ("/a b", None),
        ("", None),
    ] {
        let mut response = Response::default();
        response.status = 302;
        response.fields.push(b"Location", location.as_bytes());
        let request = Request {
            method: "GET",
            target: Cow::Borrowed("/a/x?y"),
            authority: "h:1".to_owned(),
        };
        assert_eq!(
            redirected(&response, &request).as_deref(),
            expected,
            "{location}"
        );
    }
}

#[tokio::test]
async fn a_host_that_says_nothing_is_silent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let check = HealthCheck {
        timeout: Duration::from_millis(50),
        ..http(HttpProbe::default())
    };
    assert_eq!(
        asked(address, &check).await,
        (Finding::Silent, "no answer in 50 ms".into())
    );

    // The client's own timeout is an answer that failed, as in MOSN.
    let check = http(HttpProbe {
        timeout: Duration::from_millis(50),
        ..HttpProbe::default()
    });
    assert_eq!(
        asked(address, &check).await,
        (Finding::Failed, "no response in 50 ms".into())
    );
}

#[tokio::test]
async fn a_body_that_never_ends_does_not_hold_the_answer_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let open = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        answered(&stream, "HTTP/1.1 200 \r\nContent-Length: 100\r\n\r\n");
        stream
    });
    let found = asked(address, &http(HttpProbe::default())).await;
    assert_eq!(found.0, Finding::Passed);
    drop(open.join());
}

#[tokio::test]
async fn a_unix_host_is_asked_as_localhost() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("origin.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let request = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        answered(stream, "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n")
    });
    let address = HostAddress::Socket(Address::Unix(path));
    let check = http(HttpProbe {
        port: Some(1),
        ..HttpProbe::default()
    });
    assert_eq!(
        probe(&address, None, &check, &Book::default())
            .await
            .finding,
        Finding::Passed
    );
    assert!(request.join().unwrap().contains("\r\nHost: localhost\r\n"));
}

#[test]
fn what_this_process_lacks_says_nothing_of_the_host() {
    let lack = io::Error::from_raw_os_error(nix::errno::Errno::EMFILE as i32);
    let answer = Trouble::from(ConnectError::from(lack)).answer(Duration::ZERO);
    assert_eq!(answer.finding, Finding::Unknown);
}
