//! Any valid requests, pipelined, as a real server (hyper) gets them through the proxy.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::site::{Running, Site};
use crate::support::{Origin, soon};
use crate::talk::Cut;

/// What a server and its client must agree on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    method: String,
    target: String,
    /// Those that begin with `x-`, in lower case.
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    trailers: Vec<(String, Vec<u8>)>,
}

/// A request as it goes over the wire, and what is to be heard of it.
#[derive(Clone, Debug)]
struct Asked {
    wire: Vec<u8>,
    heard: Heard,
}

/// A field's name after its `x-`: any token.
fn name() -> impl Strategy<Value = String> {
    "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}"
}

/// A field's value: any text, without blanks at its ends.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        12 => 0x21_u8..=0x7e,
        2 => Just(b' '),
        1 => Just(b'\t'),
        1 => 0x80_u8..=0xff,
    ];
    vec(byte, 0..40).prop_map(|bytes| bytes.trim_ascii().to_vec())
}

/// Fields with names of their own, and how they are written.
pub(crate) fn fields(most: usize) -> impl Strategy<Value = (Vec<u8>, Vec<(String, Vec<u8>)>)> {
    let field = (name(), value(), "[ \t]{0,3}", "[ \t]{0,3}");
    vec(field, 0..=most).prop_map(|fields| {
        let (mut wire, mut pairs) = (Vec::new(), Vec::new());
        for (at, (name, value, before, after)) in fields.into_iter().enumerate() {
            let name = format!("X-{at}{name}");
            for part in [
                name.as_bytes(),
                b":",
                before.as_bytes(),
                &value,
                after.as_bytes(),
            ] {
                wire.extend_from_slice(part);
            }
            wire.extend_from_slice(b"\r\n");
            pairs.push((name.to_lowercase(), value));
        }
        pairs.sort();
        (wire, pairs)
    })
}

/// How a body is framed, and what it is: the fields, the wire form, the content, the trailers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Framed {
    pub(crate) fields: String,
    pub(crate) wire: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, Vec<u8>)>,
}

fn with_length() -> impl Strategy<Value = Framed> {
    vec(any::<u8>(), 0..3_000).prop_map(|body| Framed {
        fields: format!("Content-Length: {}\r\n", body.len()),
        wire: body.clone(),
        body,
        ..Framed::default()
    })
}

fn chunked() -> impl Strategy<Value = Framed> {
    let extension = prop_oneof![
        3 => Just(String::new()),
        1 => "(;[a-z]{1,4}(=[a-z0-9]{1,4})?){1,2}",
        1 => ";[a-z]{1,4}=\"[ -!#-\\[\\]-~]{0,6}\"",
    ];
    let length = prop_oneof![4 => 1_usize..20, 2 => 1_usize..600, 1 => 4_000_usize..9_000];
    let chunk = (
        length,
        any::<u8>(),
        extension.clone(),
        "0{0,3}",
        any::<bool>(),
    );
    (vec(chunk, 0..8), extension, fields(3)).prop_map(|(chunks, last, (trailer, trailers))| {
        let (mut wire, mut body) = (Vec::new(), Vec::new());
        for (length, seed, extension, zeros, upper) in chunks {
            let size = match upper {
                true => format!("{length:X}"),
                false => format!("{length:x}"),
            };
            let data: Vec<_> = (0..length).map(|at| seed.wrapping_add(at as u8)).collect();
            wire.extend_from_slice(format!("{zeros}{size}{extension}\r\n").as_bytes());
            wire.extend_from_slice(&data);
            wire.extend_from_slice(b"\r\n");
            body.extend(data);
        }
        wire.extend_from_slice(format!("0{last}\r\n").as_bytes());
        wire.extend_from_slice(&trailer);
        wire.extend_from_slice(b"\r\n");
        Framed {
            fields: "Transfer-Encoding: chunked\r\n".to_owned(),
            wire,
            body,
            trailers,
        }
    })
}

/// A body of either framing.
pub(crate) fn framed() -> impl Strategy<Value = Framed> {
    prop_oneof![with_length(), chunked()]
}

/// Pieces of a message, cut at these places.
pub(crate) fn pieces<'m>(message: &'m [u8], cuts: &[prop::sample::Index]) -> Vec<&'m [u8]> {
    let mut places: Vec<_> = cuts
        .iter()
        .map(|cut| cut.index(message.len() + 1))
        .collect();
    places.extend([0, message.len()]);
    places.sort_unstable();
    places
        .windows(2)
        .map(|pair| &message[pair[0]..pair[1]])
        .collect()
}

fn target() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        4 => "[a-z0-9]{1,9}",
        2 => "[A-Za-z0-9_~!$&'()*+,;=:@-]{1,9}",
        1 => "(%[2-7][0-9A-E]|%C3%A9|[a-z]){1,4}",
        1 => Just("long".repeat(200)),
    ];
    let query = prop_oneof![
        2 => Just(String::new()),
        1 => Just("?".to_owned()),
        2 => "\\?[A-Za-z0-9_~!$&'()*+,;=:@/?%-]{0,20}",
    ];
    (vec(segment, 0..4), query)
        .prop_map(|(segments, query)| format!("/{}{query}", segments.join("/")))
}

fn request() -> impl Strategy<Value = Asked> {
    let method = prop_oneof![
        4 => Just("GET".to_owned()),
        2 => Just("POST".to_owned()),
        1 => "(HEAD|PUT|DELETE|OPTIONS|PATCH|TRACE)",
        1 => "[A-Z!#$&*+.^_|~-]{1,20}x",
    ];
    let body = prop_oneof![1 => Just(Framed::default()), 2 => framed()];
    let early = prop::bool::weighted(0.1);
    (method, target(), fields(6), body, early).prop_map(|(method, target, fields, body, early)| {
        let (written, fields) = fields;
        let mut wire = format!("{method} {target} HTTP/1.1\r\nhOST: a\r\n").into_bytes();
        wire.extend(written);
        if early && !body.fields.is_empty() {
            wire.extend_from_slice(b"Expect: 100-continue\r\n");
        }
        wire.extend_from_slice(body.fields.as_bytes());
        wire.extend_from_slice(b"\r\n");
        wire.extend_from_slice(&body.wire);
        let Framed { body, trailers, .. } = body;
        Asked {
            wire,
            heard: Heard {
                method,
                target,
                fields,
                body,
                trailers,
            },
        }
    })
}

pub(crate) fn own_fields(fields: &hyper::HeaderMap) -> Vec<(String, Vec<u8>)> {
    let own = fields
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-"));
    let own = own.filter(|(name, _)| !name.as_str().starts_with("x-turn"));
    let mut own: Vec<_> = own
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
        .collect();
    own.sort();
    own
}

type Memory = Rc<RefCell<Vec<Heard>>>;

/// Remembers a request, and answers with its number and its body.
async fn answer(
    request: Request<Incoming>,
    memory: Memory,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let collected = body.collect().await.unwrap();
    let trailers = collected.trailers().map(own_fields).unwrap_or_default();
    let body = collected.to_bytes();
    let turn = memory.borrow().len();
    memory.borrow_mut().push(Heard {
        method: head.method.to_string(),
        target: head.uri.to_string(),
        fields: own_fields(&head.headers),
        body: body.to_vec(),
        trailers,
    });
    let response = Response::builder().header("x-turn", turn);
    Ok(response.body(Full::new(body)).unwrap())
}

/// A hyper server that remembers its requests.
async fn hyper_origin(memory: &Memory) -> Origin {
    let memory = memory.clone();
    Origin::scripted(move |stream| {
        let memory = memory.clone();
        async move {
            let service = service_fn(move |request| answer(request, memory.clone()));
            let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // The proxy may close while the server waits for the next request.
            let _ = served.await;
        }
    })
    .await
}

/// Pipelines the requests over one connection, and reads their answers.
async fn pipeline(
    running: &Running,
    asked: &[Asked],
    cuts: &[prop::sample::Index],
) -> Result<(), String> {
    let all: Vec<_> = asked
        .iter()
        .flat_map(|asked| asked.wire.iter().copied())
        .collect();
    let client = running.client().await;
    let (mut reading, mut writing) = client.halves();
    let write = async {
        for piece in pieces(&all, cuts) {
            writing
                .write_all(piece)
                .await
                .map_err(|error| error.to_string())?;
            tokio::task::yield_now().await;
        }
        Ok(())
    };
    let read = async {
        for (turn, asked) in asked.iter().enumerate() {
            let answer = match asked.heard.method.as_str() {
                "HEAD" => reading.answer_to_head().await,
                _ => reading.answer().await,
            };
            let answer = answer.map_err(|Cut| format!("{turn}: cut"))?;
            let body = match asked.heard.method.as_str() {
                "HEAD" => &[][..],
                _ => &asked.heard.body,
            };
            if answer.status() != 200
                || answer.field("x-turn") != Some(&turn.to_string())
                || answer.body != body
            {
                return Err(format!("{turn}: {answer:?}"));
            }
        }
        Ok(())
    };
    let (wrote, read) = tokio::join!(write, read);
    read.and(wrote)
}

#[test]
fn hyper_hears_any_pipelined_requests_in_order_and_unchanged() {
    let system = actix_rt::System::new();
    let memory = Memory::default();
    let running = system.block_on(async {
        let origin = hyper_origin(&memory).await;
        let settings = json!({ "Http1": { "max_header_size": 65_536 } });
        Site::forwarding(&[origin.address], json!({}))
            .settings(settings)
            .start()
            .await
    });
    let mut runner = TestRunner::new(Config {
        cases: 128,
        failure_persistence: None,
        ..Config::default()
    });
    let cuts = vec(any::<prop::sample::Index>(), 0..12);
    let outcome = runner.run(&(vec(request(), 1..8), cuts), |(asked, cuts)| {
        memory.take();
        let played = system.block_on(soon("the answers", pipeline(&running, &asked, &cuts)));
        prop_assert_eq!(played, Ok(()));
        let heard = memory.take();
        for (heard, asked) in heard.iter().zip(&asked) {
            prop_assert_eq!(heard, &asked.heard);
        }
        prop_assert_eq!(heard.len(), asked.len());
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    system.block_on(running.end());
}
