//! A protocol that the program around the proxy brings.

use banyan::protocol::Codecs;
use banyan::protocol::detect::Answer;
use banyan::protocol::rpc::{
    Asker, Codec, Decoded, Edit, Flaw, Frame, Kind, Malformed, Span, Timeout,
};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

use crate::peers::{Host, content, request};
use crate::site::Site;
use crate::support::soon;

/// MOSN's `x_example`: an `x`, a type (0 asks whether one is there, 1 is a message, 2 a goodbye), a
/// direction (1 answers), an id of four bytes, in answers a status of two, a length of four, a text.
struct Example;

static EXAMPLE: Example = Example;

impl Example {
    fn write(answers: bool, id: u64, status: u16, text: &[u8], out: &mut Vec<u8>) {
        out.extend([b'x', 1, u8::from(answers)]);
        out.extend(u32::try_from(id).unwrap().to_be_bytes());
        if answers {
            out.extend(status.to_be_bytes());
        }
        out.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
        out.extend(text);
    }

    fn rule(bytes: &[u8]) -> Answer {
        match bytes {
            [] => Answer::More,
            [b'x', ..] => Answer::Yes,
            _ => Answer::No,
        }
    }
}

fn number(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}

impl Codec for Example {
    fn name(&self) -> &'static str {
        "x_example"
    }

    fn decode(&self, bytes: &[u8], most: usize) -> Result<Decoded, Malformed> {
        if bytes.first().is_some_and(|first| *first != b'x') {
            return Err(Flaw::Magic.into());
        }
        let fixed = match bytes.get(2) {
            None => return Ok(Decoded::Need(11)),
            Some(1) => 13,
            Some(_) => 11,
        };
        if bytes.len() < fixed {
            return Ok(Decoded::Need(fixed));
        }
        let length = fixed + number(&bytes[fixed - 4..fixed]);
        if length > most {
            return Err(Flaw::TooLong.into());
        }
        if bytes.len() < length {
            return Ok(Decoded::Need(length));
        }
        let content = Span {
            start: fixed,
            end: length,
        };
        Ok(Decoded::Frame(Frame {
            kind: match (bytes[1], bytes[2]) {
                (1, 0) => Kind::Request,
                (1, _) => Kind::Response,
                (0, 0) => Kind::Heartbeat,
                (0, _) => Kind::HeartbeatAck,
                _ => Kind::GoAway,
            },
            asker: Asker {
                id: number(&bytes[3..7]) as u64,
                dialect: 0,
            },
            timeout: Timeout::Unsaid,
            status: match fixed {
                13 => u16::try_from(number(&bytes[7..9])).unwrap(),
                _ => 0,
            },
            headers: Span {
                start: fixed,
                end: fixed,
            },
            content,
            length,
        }))
    }

    fn header<'a>(&self, _: &Frame, _: &'a [u8], _: &[u8]) -> Result<Option<&'a [u8]>, Flaw> {
        Ok(None)
    }

    fn each_header(
        &self,
        _: &Frame,
        _: &[u8],
        _: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), Flaw> {
        Ok(())
    }

    fn edited(&self, _: &Frame, _: &[u8], _: &[Edit<'_>]) -> Result<Vec<u8>, Flaw> {
        Ok(Vec::new())
    }

    fn relay(&self, frame: &Frame, bytes: &[u8], id: u64, _: Option<&[u8]>, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend(&bytes[..frame.length]);
        let id = u32::try_from(id).unwrap().to_be_bytes();
        out[start + 3..start + 7].copy_from_slice(&id);
    }

    fn set_id(&self, frame: &mut Frame, bytes: &mut [u8], id: u64) {
        frame.asker.id = id;
        bytes[3..7].copy_from_slice(&u32::try_from(id).unwrap().to_be_bytes());
    }

    fn last_id(&self) -> u64 {
        u64::from(u32::MAX)
    }

    fn code(&self, frame: &Frame) -> u16 {
        match frame.status {
            0 => 200,
            _ => 500,
        }
    }

    fn reply(&self, to: &Asker, code: u16, body: &[u8], out: &mut Vec<u8>) {
        Self::write(true, to.id, code, body, out);
    }

    fn acknowledge(&self, heartbeat: &Asker, out: &mut Vec<u8>) {
        Self::write(true, heartbeat.id, 0, b"", out);
    }

    fn heartbeat(&self, _: u64) -> Option<Vec<u8>> {
        None
    }

    fn goaway(&self, _: u64) -> Option<Vec<u8>> {
        None
    }
}

fn asked(id: u64, text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Example::write(false, id, 0, text, &mut bytes);
    bytes
}

/// The next frame of a peer.
async fn next(stream: &mut TcpStream) -> Option<(Frame, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        match EXAMPLE.decode(&bytes, 1024).unwrap() {
            Decoded::Frame(frame) => return Some((frame, bytes)),
            Decoded::Need(needed) => {
                let mut more = vec![0; needed - bytes.len()];
                stream.read_exact(&mut more).await.ok()?;
                bytes.extend(more);
            }
        }
    }
}

/// A host that answers each text with itself.
async fn echoing() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    spawn_local(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            spawn_local(async move {
                while let Some((frame, bytes)) = next(&mut stream).await {
                    let mut answer = Vec::new();
                    let text = frame.content.of(&bytes);
                    Example::write(true, frame.asker.id, 0, text, &mut answer);
                    stream.write_all(&answer).await.unwrap();
                }
            });
        }
    });
    address
}

#[actix::test]
async fn a_protocol_that_is_brought_is_served_by_its_name_and_found_out() {
    let (calls, texts) = (Host::echoing("bolt").await, echoing().await);
    let service = json!({ "headers": [{ "name": "service", "value": "s" }] });
    let routes = json!([
        { "match": service, "route": { "cluster_name": "main" } },
        { "match": {}, "route": { "cluster_name": "texts" } },
    ]);
    for protocols in ["Auto", "x_example", "bolt,x_example"] {
        let mut site = Site::routes(routes.clone())
            .cluster("main", &[&calls])
            .cluster("texts", &[])
            .codecs(Codecs::default().with(&EXAMPLE, Example::rule));
        site.clusters[1]["hosts"] = json!([{ "address": texts.to_string() }]);
        site.proxy = json!({ "downstream_protocol": protocols, "router_config_name": "r" });
        let running = site.start().await;
        let mut client = TcpStream::connect(running.to).await.unwrap();
        for (id, text) in [(7, &b"hello"[..]), (8, b"")] {
            client.write_all(&asked(id, text)).await.unwrap();
            let answer = soon("an answer", next(&mut client)).await;
            let (frame, bytes) = answer.expect("the connection goes on");
            assert_eq!((frame.kind, frame.asker.id), (Kind::Response, id));
            assert_eq!(frame.content.of(&bytes), text, "{protocols}");
        }
        if protocols != "x_example" {
            let answer = running.caller().await.asks(&request(1, "s", b"x")).await;
            assert_eq!(content(&answer), "bolt:x", "{protocols}");
        }
        running.proxy.stop().await;
    }
}

#[actix::test]
async fn a_protocol_that_nobody_brings_ends_connections() {
    let host = Host::new().await;
    let mut site = Site::forwarding(&[&host], json!({}));
    site.proxy = json!({ "downstream_protocol": "x_example", "router_config_name": "r" });
    let running = site.start().await;
    let mut client = TcpStream::connect(running.to).await.unwrap();
    let read = soon("the end", client.read(&mut [0])).await;
    assert_eq!(read.unwrap_or(0), 0);
}
