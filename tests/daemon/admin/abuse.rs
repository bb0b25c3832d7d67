//! Peers of the admin door that mean no good, and the data path that does not feel them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::thread;

use serde_json::json;

use super::{Admin, configuration, started};
use crate::home::{Home, PATIENCE, configuration as relay};
use crate::http::{ask, exchange};

/// An origin that sends back what it receives, for as long as the test runs.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut far = stream.try_clone().expect("it is a socket");
                let _ended = std::io::copy(&mut &stream, &mut far);
            });
        }
    });
    address
}

fn talks(to: SocketAddr) {
    let mut stream = TcpStream::connect(to).expect("it accepts");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("it is a time");
    stream.write_all(b"hello").expect("it takes bytes");
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).expect("it relays");
    assert_eq!(&answer, b"hello");
}

fn refused(to: SocketAddr, request: &[u8], status: u16) {
    let stream = TcpStream::connect(to).expect("it accepts");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("it is a time");
    let answer = exchange(stream, request);
    let shown = String::from_utf8_lossy(&request[..request.len().min(60)]).into_owned();
    assert_eq!(
        answer.map(|answer| answer.status).unwrap_or(0),
        status,
        "{shown}"
    );
}

#[test]
fn what_is_malformed_or_too_large_is_refused_and_the_next_one_is_answered() {
    let admin = Admin::of(&relay("127.0.0.1:0", &echo().to_string()), "");
    let host = format!("host: {}\r\n", admin.address);
    let many = "x: y\r\n".repeat(100);
    let long = "x".repeat(40_000);
    for (request, status) in [
        ("nonsense\r\n\r\n".to_owned(), 400),
        (
            format!("GET /healthz HTTP/1.1\r\n{host}bad field\r\n\r\n"),
            400,
        ),
        (format!("GET /healthz HTTP/1.1\r\n{host}{many}\r\n"), 431),
        (
            format!("GET /healthz HTTP/1.1\r\n{host}x: {long}\r\n\r\n"),
            431,
        ),
        (format!("GET /{long} HTTP/1.1\r\n{host}\r\n"), 431),
        (
            format!("POST /debug/update_config HTTP/1.1\r\n{host}content-length: 99999999\r\n\r\n"),
            413,
        ),
        (
            format!("POST /debug/update_config HTTP/1.1\r\n{host}content-length: x\r\n\r\n"),
            400,
        ),
        (
            format!(
                "POST /debug/update_config HTTP/1.1\r\n{host}transfer-encoding: chunked\r\n\r\nzz\r\n"
            ),
            400,
        ),
        ("GET /healthz HTTP/1.1\r\n\r\n".to_owned(), 421),
        (
            "GET /healthz HTTP/1.1\r\nhost: rebound.example\r\n\r\n".to_owned(),
            421,
        ),
        (format!("GET /healthz HTTP/1.1\r\n{host}{host}\r\n"), 421),
        (
            format!("POST /api/v2/reload HTTP/1.1\r\n{host}origin: https://evil.example\r\n\r\n"),
            403,
        ),
        (
            format!("POST /api/v2/reload HTTP/1.1\r\n{host}sec-fetch-site: cross-site\r\n\r\n"),
            403,
        ),
    ] {
        refused(admin.address, request.as_bytes(), status);
    }
    assert_eq!(admin.get("/readyz").status, 200);
    talks(admin.process.address());
    assert_eq!(admin.get("/api/v2/status").json()["version"], 1);
}

/// More than the door serves at once, and none of them ever says a whole request.
#[test]
fn a_crowd_that_says_nothing_takes_the_door_from_the_network_alone_and_not_for_long() {
    let admin = Admin::of(&relay("127.0.0.1:0", &echo().to_string()), "");
    let app = admin.process.address();
    let crowd: Vec<TcpStream> = (0..100)
        .map(|n| {
            let mut stream = TcpStream::connect(admin.address).expect("the kernel takes it");
            let begun = [
                "",
                "GET /heal",
                "POST /api/v2/reload HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 5\r\n\r\n1",
            ];
            stream
                .write_all(begun[n % 3].as_bytes())
                .expect("it takes bytes");
            stream
        })
        .collect();

    // The data path and the control socket answer meanwhile.
    for _ in 0..20 {
        talks(app);
    }
    assert_eq!(admin.ask_socket("GET", "/readyz").status, 200);
    drop(crowd);
    // Those that the crowd kept waiting are served after it.
    assert_eq!(admin.get("/readyz").status, 200);
    talks(app);
}

#[test]
fn who_has_no_token_changes_nothing_and_where_it_is_wanted_sees_nothing() {
    let home = Home::of(&{
        let mut configuration = configuration();
        let socket = json!({ "address": "127.0.0.1", "port_value": 0 });
        configuration["admin"] = json!({ "address": { "socket_address": socket } });
        configuration
    });
    let tokens = home.path("tokens");
    let (reader, writer) = ("0123456789abcdef-reader", "0123456789abcdef-writer");
    std::fs::write(&tokens, format!("read {reader}\nwrite {writer}\n")).expect("it is ours");
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&tokens, private).expect("it is ours");
    let settings = json!({ "admin_loopback": "none", "admin_token_file": tokens });
    std::fs::write(home.path("settings.json"), settings.to_string()).expect("it is ours");
    let flags = format!("--settings {}", home.path("settings.json").display());
    let (_process, address) = started(&home, &flags);
    let bearer = |token: &str| format!("authorization: Bearer {token}\r\n");

    for (fields, look, change) in [
        (String::new(), 401, 401),
        (bearer("0123456789abcdef-reades"), 403, 403),
        (bearer(reader), 200, 403),
        (bearer(writer), 200, 200),
    ] {
        let looked = ask(address, "GET", "/api/v2/status", &fields, "");
        assert_eq!(looked.status, look, "{fields}");
        let changed = ask(address, "POST", "/api/v2/reload", &fields, "");
        assert_eq!(changed.status, change, "{fields}");
    }
    let denied = ask(address, "GET", "/api/v1/config_dump", "", "");
    assert_eq!(
        (denied.status, denied.field("www-authenticate")),
        (401, "Bearer")
    );
}

#[test]
fn tokens_that_others_may_read_are_refused_at_start() {
    let home = Home::new();
    let tokens = home.path("tokens");
    std::fs::write(&tokens, "write 0123456789abcdef\n").expect("it is ours");
    std::fs::set_permissions(&tokens, std::fs::Permissions::from_mode(0o644)).expect("it is ours");
    let settings = json!({ "admin_token_file": tokens });
    std::fs::write(home.path("settings.json"), settings.to_string()).expect("it is ours");
    let words = format!(
        "start --log-output stderr --settings {}",
        home.path("settings.json").display()
    );
    let (code, said) = home.starting(&words).ends();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("others may read it"), "{said}");
}

#[test]
fn nobody_is_shown_a_secret() {
    let admin = Admin::of(&configuration(), "");
    for target in [
        "/api/v1/config_dump",
        "/api/v1/config_dump?alllisteners",
        "/api/v2/configuration",
        "/api/v2/listeners/web",
    ] {
        let answer = admin.get(target);
        assert!(
            answer.body.contains("(redacted)") && !answer.body.contains("BEGIN KEY"),
            "{}",
            answer.body
        );
    }
}
