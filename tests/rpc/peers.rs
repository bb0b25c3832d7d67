//! Peers that speak Bolt: hosts that answer by a script, callers that ask.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use banyan::protocol::bolt::{self, Answer, Checksum, Parts, Request, Response, Version};
use banyan::protocol::rpc::{Codec, Inbox, Kind, Message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Notify, mpsc};
use tokio::task::{AbortHandle, spawn_local};

use crate::support::soon;

/// The longest frame that a peer here reads.
const MOST: usize = 1 << 24;

/// A request of version 1 with this id, service and content.
pub(crate) fn request(id: u32, service: &str, content: &[u8]) -> Vec<u8> {
    request_within(id, service, content, None)
}

/// The same, which waits for so long.
pub(crate) fn request_within(
    id: u32,
    service: &str,
    content: &[u8],
    timeout: Option<Duration>,
) -> Vec<u8> {
    written(Version::V1, Answer::Wanted, id, service, content, timeout)
}

pub(crate) fn written(
    version: Version,
    answer: Answer,
    id: u32,
    service: &str,
    content: &[u8],
    timeout: Option<Duration>,
) -> Vec<u8> {
    let (mut headers, mut out) = (Vec::new(), Vec::new());
    bolt::write_header(&mut headers, b"service", service.as_bytes());
    let request = Request {
        version,
        checksum: Checksum::Crc32,
        id,
        timeout,
        answer,
        parts: Parts {
            class: bolt::REQUEST_CLASS.as_bytes(),
            headers: &headers,
            content,
        },
    };
    request.write(&mut out).unwrap();
    out
}

/// A response of status 0 to a request.
pub(crate) fn response(to: &Message, content: &[u8]) -> Vec<u8> {
    response_of(to, 0, content)
}

pub(crate) fn response_of(to: &Message, status: u16, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let response = Response {
        version: Version::of(to.bytes[0]).unwrap(),
        checksum: Checksum::Crc32,
        id: u32::try_from(to.frame.asker.id).unwrap(),
        status,
        parts: Parts {
            class: bolt::RESPONSE_CLASS.as_bytes(),
            headers: b"",
            content,
        },
    };
    response.write(&mut out).unwrap();
    out
}

pub(crate) fn content(message: &Message) -> String {
    String::from_utf8_lossy(message.frame.content.of(&message.bytes)).into_owned()
}

pub(crate) fn header(message: &Message, name: &str) -> Option<String> {
    let value = bolt::V1.header(&message.frame, &message.bytes, name.as_bytes());
    value
        .unwrap()
        .map(|value| String::from_utf8_lossy(value).into_owned())
}

/// One end of a connection.
pub(crate) struct Reader {
    half: OwnedReadHalf,
    inbox: Inbox,
    read: std::collections::VecDeque<Message>,
}

impl Reader {
    fn new(half: OwnedReadHalf) -> Self {
        Self {
            half,
            inbox: Inbox::default(),
            read: Default::default(),
        }
    }

    /// The connection as a whole.
    pub(crate) fn reunite(self, writer: OwnedWriteHalf) -> TcpStream {
        self.half.reunite(writer).unwrap()
    }

    /// The next frame; `None` at the end of the stream, or when it is reset.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        let mut buffer = [0; 16 * 1024];
        while self.read.is_empty() {
            let received = match self.half.read(&mut buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(received) => received,
            };
            let read = &mut self.read;
            let taken = self
                .inbox
                .take(&bolt::V1, MOST, &buffer[..received], &mut |message| {
                    read.push_back(message);
                });
            taken.unwrap();
        }
        self.read.pop_front()
    }
}

/// A connection to the proxy.
pub(crate) struct Caller {
    pub(crate) reader: Reader,
    pub(crate) writer: OwnedWriteHalf,
}

impl Caller {
    pub(crate) async fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (reader, writer) = stream.into_split();
        Self {
            reader: Reader::new(reader),
            writer,
        }
    }

    pub(crate) async fn says(&mut self, bytes: &[u8]) {
        self.writer.write_all(bytes).await.unwrap();
    }

    pub(crate) async fn hears(&mut self) -> Message {
        let next = soon("an answer", self.reader.next()).await;
        next.expect("the connection goes on")
    }

    pub(crate) async fn asks(&mut self, bytes: &[u8]) -> Message {
        self.says(bytes).await;
        self.hears().await
    }

    /// Waits for the end of the connection; nothing comes before it.
    pub(crate) async fn ends(&mut self) {
        let next = soon("the end of the connection", self.reader.next()).await;
        assert!(next.is_none(), "{next:?}");
    }
}

/// A frame that has come to a host, and the connection that it came by.
pub(crate) struct Came {
    pub(crate) message: Message,
    pub(crate) by: Rc<Line>,
}

impl Came {
    pub(crate) fn answer(&self, content: &[u8]) {
        self.by.says(response(&self.message, content));
    }
}

/// A connection to a host.
pub(crate) struct Line {
    to: mpsc::UnboundedSender<Vec<u8>>,
    closed: Notify,
    /// Which of its host's connections.
    pub(crate) number: u32,
}

impl Line {
    pub(crate) fn says(&self, bytes: Vec<u8>) {
        // Whoever has left hears nothing.
        let _ = self.to.send(bytes);
    }

    /// Closes it.
    pub(crate) fn closes(&self) {
        self.closed.notify_one();
    }
}

/// A host: what comes to it is left to the test.
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    /// Connections so far.
    pub(crate) lines: Rc<Cell<u32>>,
    /// Those that are over.
    pub(crate) ended: Rc<Cell<u32>>,
    came: Mutex<mpsc::UnboundedReceiver<Came>>,
    accepting: AbortHandle,
}

impl Host {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (to, came) = mpsc::unbounded_channel();
        let lines = Rc::new(Cell::new(0));
        let ended = Rc::new(Cell::new(0));
        let (counted, over) = (Rc::clone(&lines), Rc::clone(&ended));
        let accepting = spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.set(counted.get() + 1);
                let (to, over) = (to.clone(), Rc::clone(&over));
                let number = counted.get();
                spawn_local(async move {
                    carry(stream, number, to).await;
                    over.set(over.get() + 1);
                });
            }
        });
        Self {
            address,
            lines,
            ended,
            came: Mutex::new(came),
            accepting: accepting.abort_handle(),
        }
    }

    /// Takes connections, and reads nothing from them.
    pub(crate) async fn deaf() -> Self {
        let mut host = Self::new().await;
        host.accepting.abort();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        host.address = listener.local_addr().unwrap();
        let accepting = spawn_local(async move {
            let mut taken = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                taken.push(stream);
            }
        });
        host.accepting = accepting.abort_handle();
        host
    }

    /// Answers every request with its own content behind `name`.
    pub(crate) async fn echoing(name: &'static str) -> Self {
        let mut host = Self::new().await;
        let (_, empty) = mpsc::unbounded_channel();
        let mut came = std::mem::replace(host.came.get_mut(), empty);
        spawn_local(async move {
            while let Some(came) = came.recv().await {
                if came.message.frame.kind == Kind::Request {
                    came.answer(format!("{name}:{}", content(&came.message)).as_bytes());
                }
            }
        });
        host
    }

    /// The next frame that comes by any connection.
    pub(crate) async fn hears(&self) -> Came {
        let mut came = self.came.lock().await;
        let next = soon("a frame at the host", came.recv()).await;
        next.unwrap()
    }

    /// Takes no connection any more.
    pub(crate) fn refuses(&self) {
        self.accepting.abort();
    }
}

async fn carry(stream: TcpStream, number: u32, came: mpsc::UnboundedSender<Came>) {
    stream.set_nodelay(true).unwrap();
    let (reader, mut writer) = stream.into_split();
    let (to, mut said) = mpsc::unbounded_channel::<Vec<u8>>();
    let line = Rc::new(Line {
        to,
        closed: Notify::new(),
        number,
    });
    let write = async {
        while let Some(bytes) = said.recv().await {
            if writer.write_all(&bytes).await.is_err() {
                break;
            }
        }
    };
    let read = async {
        let mut reader = Reader::new(reader);
        while let Some(message) = reader.next().await {
            let by = Rc::clone(&line);
            let _ = came.send(Came { message, by });
        }
    };
    tokio::select! {
        () = write => {}
        () = read => {}
        () = line.closed.notified() => {}
    }
}
