//! HTTP/1.1 between load and origin: fixed heads, and bodies of the pattern.
//!
//! The target of a request is the length its response shall have. Both sides look at no more than
//! proves that nothing was lost: the origin at the first and the last bytes of a head, the load at
//! status, length and every byte of the body.

use std::io::{Error, ErrorKind, Result};

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::exchange::pattern;
use crate::load::Reuse;

const HEAD_END: &[u8] = b"\r\n\r\n";

/// What a head may take up; buffers are made for a body and this.
const HEAD: usize = 2048;

/// A request as a browser sends it, for a response of `length` bytes.
pub(crate) fn request(length: u64, reuse: Reuse) -> Vec<u8> {
    let connection = match reuse {
        Reuse::Kept => "keep-alive",
        Reuse::Fresh => "close",
    };
    format!(
        "GET /{length} HTTP/1.1\r\n\
         Host: origin.example\r\n\
         Connection: {connection}\r\n\
         Cache-Control: max-age=0\r\n\
         Upgrade-Insecure-Requests: 1\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
         Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
         Accept-Encoding: gzip, deflate, br\r\n\
         Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\n\
         Referer: http://origin.example/start\r\n\
         Cookie: session=5f1c9a3e7b2d4860; theme=dark\r\n\r\n"
    )
    .into_bytes()
}

/// The load's side of a connection.
#[derive(Default)]
pub(crate) struct Client {
    /// Kept from one exchange to the next: its memory is not what is measured.
    received: Vec<u8>,
}

impl Client {
    /// Sends `request` and receives the response of `length` bytes, and the end of the connection if
    /// it is not kept.
    ///
    /// # Errors
    ///
    /// Those of the socket; an early end; a status that is not 200; another length; bytes that are not
    /// the pattern.
    pub(crate) async fn run(
        &mut self,
        stream: &mut TcpStream,
        request: &[u8],
        length: u64,
        reuse: Reuse,
    ) -> Result<()> {
        let length = usize::try_from(length).map_err(Error::other)?;
        self.received.clear();
        self.received.reserve(HEAD + length);
        stream.write_all(request).await?;
        let body = loop {
            self.more(stream).await?;
            if let Some(end) = memmem::find(&self.received, HEAD_END) {
                break end + HEAD_END.len();
            }
        };
        if content_length(&self.received[..body])? != length {
            return Err(refused("another length than was asked for"));
        }
        while self.received.len() < body + length {
            self.more(stream).await?;
        }
        if &self.received[body..] != pattern(length)? {
            return Err(refused("wrong bytes in a body"));
        }
        match reuse {
            Reuse::Kept => Ok(()),
            Reuse::Fresh if stream.read(&mut [0]).await? == 0 => Ok(()),
            Reuse::Fresh => Err(refused("bytes after the last response")),
        }
    }

    async fn more(&mut self, stream: &mut TcpStream) -> Result<()> {
        match stream.read_buf(&mut self.received).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// The length that a head with status 200 announces.
fn content_length(head: &[u8]) -> Result<usize> {
    let head = std::str::from_utf8(head).map_err(Error::other)?;
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 200") {
        return Err(refused(status));
    }
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let named = name.eq_ignore_ascii_case("content-length");
        named.then(|| value.trim().parse().ok())?
    });
    length.ok_or_else(|| refused("a response without a length"))
}

/// The origin's side of a connection.
#[derive(Default)]
pub(crate) struct Server {
    received: Vec<u8>,
    /// The last response, and the target that asked for it.
    response: (Vec<u8>, Vec<u8>),
}

impl Server {
    /// Serves one request; whether another may come.
    ///
    /// # Errors
    ///
    /// Those of the socket; an end inside a request; a request the load does not send.
    pub(crate) async fn serve(&mut self, stream: &mut TcpStream) -> Result<bool> {
        self.received.clear();
        while !self.received.ends_with(HEAD_END) {
            match stream.read_buf(&mut self.received).await? {
                0 if self.received.is_empty() => return Ok(false),
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                _ => {}
            }
        }
        let target = self.received.strip_prefix(b"GET /");
        let target = target.and_then(|rest| Some(&rest[..memchr::memchr(b' ', rest)?]));
        let target = target.ok_or_else(|| refused("not a request of the load"))?;
        if target != self.response.0 {
            self.response = (target.to_owned(), response(target)?);
        }
        stream.write_all(&self.response.1).await?;
        // No proxy asks for it: a load without one does.
        Ok(memmem::find(&self.received, b"Connection: close").is_none())
    }
}

fn response(target: &[u8]) -> Result<Vec<u8>> {
    let target = std::str::from_utf8(target).map_err(Error::other)?;
    let length = target.parse().map_err(Error::other)?;
    let mut response = format!(
        "HTTP/1.1 200 OK\r\n\
         Server: origin\r\n\
         Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
         Content-Type: application/octet-stream\r\n\
         Content-Length: {length}\r\n\
         Cache-Control: no-store\r\n\r\n"
    )
    .into_bytes();
    response.extend_from_slice(pattern(length)?);
    Ok(response)
}

fn refused(reason: &str) -> Error {
    Error::new(ErrorKind::InvalidData, reason)
}
