//! Any legal responses, as a real client (hyper) gets them through the proxy.

use std::cell::RefCell;
use std::rc::Rc;

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::spawn_local;

use crate::hyper_origin::{Framed, fields, framed, own_fields, pieces};
use crate::site::{Running, Site};
use crate::support::soon;
use crate::talk::Web;

/// A response as it goes over the wire, and what is to be heard of it.
#[derive(Clone, Debug)]
struct Answer {
    method: &'static str,
    wire: Vec<u8>,
    cuts: Vec<Index>,
    /// Whether the connection ends with it.
    closes: bool,
    heard: Heard,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Heard {
    status: u16,
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    trailers: Vec<(String, Vec<u8>)>,
}

/// How a response's body ends.
#[derive(Clone, Debug)]
enum End {
    /// Where it says so.
    Framed(Framed),
    /// With the connection.
    Connection(Vec<u8>),
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        3 => framed().prop_map(End::Framed),
        1 => vec(any::<u8>(), 0..5_000).prop_map(End::Connection),
    ]
}

/// A status line's end, behind the status.
fn reason() -> impl Strategy<Value = String> {
    prop_oneof!["[A-Z][a-z ]{0,9}", Just(String::new()), "[!-~\u{e4}]{1,5}"]
}

fn status() -> impl Strategy<Value = u16> {
    let common = select(vec![
        200_u16, 201, 203, 206, 226, 299, 302, 400, 404, 418, 500, 503, 599,
    ]);
    prop_oneof![8 => common, 1 => Just(204), 1 => Just(304)]
}

/// Responses before the final one.
fn interim() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        6 => Just(""),
        1 => Just("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        1 => Just("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early\r\n\r\n"),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    let method = prop_oneof![6 => Just("GET"), 1 => Just("HEAD")];
    let line = (method, status(), reason(), interim());
    let says_close = prop::bool::weighted(0.1);
    let cuts = vec(any::<Index>(), 0..6);
    (line, fields(6), end(), says_close, cuts).prop_map(
        |((method, status, reason, interim), (written, fields), end, says_close, cuts)| {
            let has_no_body = matches!(status, 204 | 304);
            let (framed, ends) = match end {
                _ if has_no_body => (Framed::default(), false),
                End::Framed(framed) => (framed, false),
                End::Connection(body) => (until_end(body), true),
            };
            let mut wire = format!("{interim}HTTP/1.1 {status} {reason}\r\n").into_bytes();
            wire.extend(written);
            wire.extend_from_slice(framed.fields.as_bytes());
            if says_close {
                wire.extend_from_slice(b"CONNECTION: Close\r\n");
            }
            wire.extend_from_slice(b"\r\n");
            let mut heard = Heard {
                status,
                fields,
                ..Heard::default()
            };
            if method != "HEAD" {
                wire.extend(framed.wire);
                heard.body = framed.body;
                heard.trailers = framed.trailers;
            }
            Answer {
                method,
                wire,
                cuts,
                closes: says_close || ends,
                heard,
            }
        },
    )
}

fn until_end(body: Vec<u8>) -> Framed {
    Framed {
        wire: body.clone(),
        body,
        ..Framed::default()
    }
}

type Next = Rc<RefCell<Vec<Answer>>>;

/// Answers the request for `/n` with the n-th answer.
async fn scripted_origin(next: &Next) -> Web {
    let next = next.clone();
    Web::scripted(move |mut peer| {
        let next = next.clone();
        async move {
            while let Ok(request) = peer.request().await {
                let turn: usize = request.target()[1..].parse().unwrap();
                let answer = next.borrow()[turn].clone();
                for piece in pieces(&answer.wire, &answer.cuts) {
                    peer.send(piece).await;
                    tokio::task::yield_now().await;
                }
                if answer.closes {
                    return;
                }
            }
        }
    })
    .await
}

async fn open(running: &Running) -> SendRequest<Empty<Bytes>> {
    let stream = TcpStream::connect(running.to).await.unwrap();
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    spawn_local(connection);
    sender
}

/// Asks for each answer in turn, over one connection.
async fn ask(running: &Running, answers: &[Answer]) -> Result<Vec<Heard>, String> {
    let mut sender = open(running).await;
    let mut heard = Vec::new();
    for (turn, answer) in answers.iter().enumerate() {
        sender
            .ready()
            .await
            .map_err(|error| format!("{turn}: {error}"))?;
        let request = Request::builder()
            .method(answer.method)
            .uri(format!("/{turn}"));
        let request = request.header("host", "a").body(Empty::new()).unwrap();
        let response = sender.send_request(request).await;
        let (head, body) = response
            .map_err(|error| format!("{turn}: {error}"))?
            .into_parts();
        let collected = body.collect().await;
        let collected = collected.map_err(|error| format!("{turn}: {error}"))?;
        let trailers = collected.trailers().map(own_fields).unwrap_or_default();
        heard.push(Heard {
            status: head.status.as_u16(),
            fields: own_fields(&head.headers),
            body: collected.to_bytes().to_vec(),
            trailers,
        });
    }
    Ok(heard)
}

#[test]
fn hyper_reads_any_responses_in_order_and_unchanged() {
    let system = actix_rt::System::new();
    let next = Next::default();
    let running = system.block_on(async {
        let web = scripted_origin(&next).await;
        Site::forwarding(&[web.address], json!({})).start().await
    });
    let mut runner = TestRunner::new(Config {
        cases: 128,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&vec(answer(), 1..8), |answers| {
        *next.borrow_mut() = answers.clone();
        let heard = system.block_on(soon("the answers", ask(&running, &answers)));
        let expected: Vec<_> = answers.into_iter().map(|answer| answer.heard).collect();
        prop_assert_eq!(heard, Ok(expected));
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    system.block_on(running.end());
}
