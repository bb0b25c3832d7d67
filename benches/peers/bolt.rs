//! SOFA Bolt between load and origin: frames as long as those of SOFARPC's benchmark, bodies of the
//! pattern.

use std::io::{Error, ErrorKind, Result};

use banyan::protocol::bolt::{
    Answer, Checksum, Parts, REQUEST_CLASS, RESPONSE_CLASS, Request, Response, V1, Version,
    write_header,
};
use banyan::protocol::rpc::{Codec, Decoded, Frame, Kind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::exchange::{Exchange, pattern};

/// What a frame may take up.
const MOST: usize = 1 << 20;

/// Bytes of the content that the origin answers with.
pub(crate) const ANSWER: u64 = 1198;

/// What routes go by.
const SERVICE: &[u8] = b"com.alipay.test.TestService:1.0";

/// A request whose content is that of `exchange`; its id is written later.
///
/// # Errors
///
/// When the content is longer than the pattern, or than a frame can say.
pub(crate) fn request(exchange: Exchange) -> Result<Vec<u8>> {
    let mut headers = Vec::new();
    write_header(&mut headers, b"service", SERVICE);
    let request = Request {
        version: Version::V1,
        checksum: Checksum::None,
        id: 0,
        timeout: None,
        answer: Answer::Wanted,
        parts: Parts {
            class: REQUEST_CLASS.as_bytes(),
            headers: &headers,
            content: content(exchange.request_bytes)?,
        },
    };
    let mut frame = Vec::new();
    request.write(&mut frame).map_err(Error::other)?;
    Ok(frame)
}

fn content(length: u64) -> Result<&'static [u8]> {
    pattern(usize::try_from(length).map_err(Error::other)?)
}

/// Either side of a connection: what it has received, and the frame it sends again and again.
#[derive(Default)]
pub(crate) struct Peer {
    received: Vec<u8>,
    sent: Vec<u8>,
    id: u32,
}

impl Peer {
    /// Sends `request` under an id of its own and receives its response.
    ///
    /// # Errors
    ///
    /// Those of the socket; an early end; another id, status or content than was asked for.
    pub(crate) async fn run(&mut self, stream: &mut TcpStream, request: &[u8]) -> Result<()> {
        self.id += 1;
        self.sent.clear();
        self.sent.extend_from_slice(request);
        self.sent[5..9].copy_from_slice(&self.id.to_be_bytes());
        stream.write_all(&self.sent).await?;
        let frame = self.frame(stream).await?;
        let frame = frame.ok_or(ErrorKind::UnexpectedEof)?;
        let answers = frame.kind == Kind::Response && frame.asker.id == u64::from(self.id);
        if !answers || frame.status != 0 {
            return Err(refused("not the answer to the request"));
        }
        if frame.content.of(&self.received) != content(ANSWER)? {
            return Err(refused("wrong bytes in an answer"));
        }
        self.received.drain(..frame.length);
        match self.received.is_empty() {
            true => Ok(()),
            false => Err(refused("bytes behind an answer")),
        }
    }

    /// Answers what has come, all of it at once; whether more may come.
    ///
    /// # Errors
    ///
    /// Those of the socket; an end inside a frame; a frame the load does not send.
    pub(crate) async fn serve(&mut self, stream: &mut TcpStream) -> Result<bool> {
        self.sent.clear();
        let Some(mut frame) = self.frame(stream).await? else {
            return Ok(false);
        };
        let mut at = 0;
        loop {
            // What a proxy asks to see whether anyone is there is no request of the load.
            match frame.kind {
                Kind::Request => respond(frame.asker.id, &mut self.sent)?,
                Kind::Heartbeat => V1.acknowledge(&frame.asker, &mut self.sent),
                _ => return Err(refused("not a request of the load")),
            }
            at += frame.length;
            match V1
                .decode(&self.received[at..], MOST)
                .map_err(Error::other)?
            {
                Decoded::Frame(next) => frame = next,
                Decoded::Need(_) => break,
            }
        }
        self.received.drain(..at);
        stream.write_all(&self.sent).await?;
        Ok(true)
    }

    /// The next whole frame; none at the end between two.
    async fn frame(&mut self, stream: &mut TcpStream) -> Result<Option<Frame>> {
        loop {
            if let Decoded::Frame(frame) = V1.decode(&self.received, MOST).map_err(Error::other)? {
                return Ok(Some(frame));
            }
            self.received.reserve(16 << 10);
            match stream.read_buf(&mut self.received).await? {
                0 if self.received.is_empty() => return Ok(None),
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                _ => {}
            }
        }
    }
}

fn respond(id: u64, out: &mut Vec<u8>) -> Result<()> {
    let response = Response {
        version: Version::V1,
        checksum: Checksum::None,
        id: u32::try_from(id).map_err(Error::other)?,
        status: 0,
        parts: Parts {
            class: RESPONSE_CLASS.as_bytes(),
            headers: &[],
            content: content(ANSWER)?,
        },
    };
    response.write(out).map_err(Error::other)
}

fn refused(reason: &str) -> Error {
    Error::new(ErrorKind::InvalidData, reason)
}
