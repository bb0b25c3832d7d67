//! Plain HTTP peers: clients that ask, and origins that remember what they heard.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::support::{Origin, soon};

/// A message as it came over the wire, its body without framing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// The request line or the status line.
    pub(crate) first: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Message {
    fn parse(head: &[u8]) -> Self {
        let head = String::from_utf8_lossy(head);
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap_or_default().to_owned();
        let fields = lines.filter_map(|line| line.split_once(':'));
        let fields = fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        Self {
            first,
            fields: fields.collect(),
            body: Vec::new(),
        }
    }

    fn word(&self, at: usize) -> &str {
        self.first.split(' ').nth(at).unwrap_or_default()
    }

    /// Of a response.
    pub(crate) fn status(&self) -> u16 {
        self.word(1).parse().unwrap()
    }

    /// Of a request: path and query.
    pub(crate) fn target(&self) -> &str {
        self.word(1)
    }

    /// The first field of this name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        let found = fields.find(|(found, _)| found.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What is most often asked of a response.
    pub(crate) fn said(&self) -> (u16, String) {
        (self.status(), self.text())
    }

    fn is_chunked(&self) -> bool {
        self.field("transfer-encoding")
            .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
    }

    fn length(&self) -> Option<usize> {
        self.field("content-length")?.parse().ok()
    }
}

/// The connection ended, or was reset, before the message was whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut;

/// Which message is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Request,
    Response,
    /// Has no body, whatever it says.
    ResponseToHead,
}

type Heard = Rc<RefCell<Vec<Message>>>;

/// One end of a connection.
pub(crate) struct Peer<S = TcpStream> {
    pub(crate) stream: S,
    unread: Vec<u8>,
    heard: Heard,
}

impl Peer {
    fn new(stream: TcpStream, heard: Heard) -> Self {
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            unread: Vec::new(),
            heard,
        }
    }

    /// One that remembers what it hears for nobody else.
    pub(crate) fn accepted(stream: TcpStream) -> Self {
        Self::new(stream, Heard::default())
    }

    pub(crate) async fn connect(to: SocketAddr) -> Self {
        let stream = soon("a connection", TcpStream::connect(to)).await;
        Self::new(stream.unwrap(), Heard::default())
    }

    /// One that reads, and what writes.
    pub(crate) fn halves(self) -> (Peer<OwnedReadHalf>, OwnedWriteHalf) {
        let (stream, writing) = self.stream.into_split();
        let reading = Peer {
            stream,
            unread: self.unread,
            heard: self.heard,
        };
        (reading, writing)
    }

    /// The peer may have gone: that shows in what it answers.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Sends a request and reads its response.
    pub(crate) async fn ask(&mut self, request: impl AsRef<[u8]>) -> Message {
        self.send(request).await;
        self.answer().await.unwrap()
    }

    /// Asks for `path` of the host `a`.
    pub(crate) async fn fetch(&mut self, path: &str) -> Message {
        self.ask(get(path)).await
    }
}

impl<S: AsyncRead + Unpin> Peer<S> {
    /// The next final response.
    pub(crate) async fn answer(&mut self) -> Result<Message, Cut> {
        soon("a response", self.read(Kind::Response)).await
    }

    /// The next final response, whose request was HEAD.
    pub(crate) async fn answer_to_head(&mut self) -> Result<Message, Cut> {
        soon("a response", self.read(Kind::ResponseToHead)).await
    }

    /// The next request, however long that takes; the origin remembers it.
    pub(crate) async fn request(&mut self) -> Result<Message, Cut> {
        let request = self.read(Kind::Request).await?;
        self.heard.borrow_mut().push(request.clone());
        Ok(request)
    }

    /// The head of the next request; its body is left alone.
    pub(crate) async fn head(&mut self) -> Result<Message, Cut> {
        let head = self.read_head().await?;
        self.heard.borrow_mut().push(head.clone());
        Ok(head)
    }

    /// All that comes until the connection ends, or is reset.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let end = async { while let Ok(true) = self.fill().await {} };
        soon("the end of the connection", end).await;
        std::mem::take(&mut self.unread)
    }

    /// Whether there was more.
    async fn fill(&mut self) -> io::Result<bool> {
        Ok(self.stream.read_buf(&mut self.unread).await? > 0)
    }

    async fn more(&mut self) -> Result<(), Cut> {
        match self.fill().await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(Cut),
        }
    }

    async fn read_until(&mut self, end: &[u8]) -> Result<Vec<u8>, Cut> {
        loop {
            let mut windows = self.unread.windows(end.len());
            if let Some(at) = windows.position(|window| window == end) {
                let rest = self.unread.split_off(at + end.len());
                let mut text = std::mem::replace(&mut self.unread, rest);
                text.truncate(at);
                return Ok(text);
            }
            self.more().await?;
        }
    }

    async fn take(&mut self, length: usize) -> Result<Vec<u8>, Cut> {
        while self.unread.len() < length {
            self.more().await?;
        }
        let rest = self.unread.split_off(length);
        Ok(std::mem::replace(&mut self.unread, rest))
    }

    async fn read_head(&mut self) -> Result<Message, Cut> {
        let head = self.read_until(b"\r\n\r\n").await?;
        Ok(Message::parse(&head))
    }

    async fn read(&mut self, kind: Kind) -> Result<Message, Cut> {
        let mut message = self.read_head().await?;
        while kind != Kind::Request && matches!(message.status(), 100 | 102..200) {
            message = self.read_head().await?;
        }
        let is_bare = match kind {
            Kind::Request => false,
            Kind::Response => matches!(message.status(), 101 | 204 | 304),
            Kind::ResponseToHead => true,
        };
        if is_bare {
            return Ok(message);
        }
        message.body = match (message.is_chunked(), message.length()) {
            (true, _) => self.chunks().await?,
            (false, Some(length)) => self.take(length).await?,
            (false, None) if kind == Kind::Request => Vec::new(),
            (false, None) => {
                while self.fill().await.map_err(|_| Cut)? {}
                std::mem::take(&mut self.unread)
            }
        };
        Ok(message)
    }

    /// A chunked body; its extensions and trailers are dropped.
    async fn chunks(&mut self) -> Result<Vec<u8>, Cut> {
        let mut body = Vec::new();
        loop {
            let line = self.read_until(b"\r\n").await?;
            let line = String::from_utf8(line).unwrap();
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).unwrap();
            if size == 0 {
                while !self.read_until(b"\r\n").await?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.take(size).await?);
            assert_eq!(self.take(2).await?, b"\r\n");
        }
    }
}

/// A GET request for the host `a`.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// A POST request for the host `a`.
pub(crate) fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// A response with these fields, each with its line's end.
pub(crate) fn reply(status: u16, fields: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} So\r\n{fields}Content-Length: {length}\r\n\r\n{body}")
}

/// An HTTP server that remembers the requests that it heard.
pub(crate) struct Web {
    pub(crate) address: SocketAddr,
    origin: Origin,
    heard: Heard,
}

impl Web {
    /// Treats each connection by `script`.
    pub(crate) async fn scripted<F>(script: impl Fn(Peer) -> F + 'static) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        let heard = Heard::default();
        let memory = heard.clone();
        let origin = Origin::scripted(move |stream| script(Peer::new(stream, memory.clone())));
        let origin = origin.await;
        Self {
            address: origin.address,
            origin,
            heard,
        }
    }

    /// Answers every request as `answer` says.
    pub(crate) async fn answering(answer: impl Fn(&Message) -> String + 'static) -> Self {
        let answer = Rc::new(answer);
        Self::scripted(move |mut peer| {
            let answer = answer.clone();
            async move {
                while let Ok(request) = peer.request().await {
                    peer.send(answer(&request)).await;
                }
            }
        })
        .await
    }

    /// Answers every request with a 200 and its name.
    pub(crate) async fn named(name: &'static str) -> Self {
        Self::answering(move |_| reply(200, "", name)).await
    }

    /// The requests so far.
    pub(crate) fn heard(&self) -> Vec<Message> {
        self.heard.borrow().clone()
    }

    /// How many requests there were.
    pub(crate) fn count(&self) -> usize {
        self.heard.borrow().len()
    }

    /// How many connections there were.
    pub(crate) fn visits(&self) -> u64 {
        self.origin.visits()
    }
}
