//! Both ends of the wire: connections that queue what they send and keep what they receive.

use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, spawn_local};

/// How long the proxy gets to see the first part alone, where bytes are cut.
const PAUSE: Duration = Duration::from_millis(1);

/// Something to do after all that was queued before.
pub(crate) enum Act {
    Send(Vec<u8>),
    /// Sends each byte by itself; whether there is time for a pause after each.
    Drip(Vec<u8>, Pauses),
    Pause,
    End,
    Reset,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pauses {
    Between,
    None,
}

/// A connection, whichever side opened it.
pub(crate) struct Connection {
    pub(crate) id: usize,
    pub(crate) inbox: RefCell<Inbox>,
    acts: mpsc::UnboundedSender<Act>,
    tasks: RefCell<Vec<JoinHandle<()>>>,
    /// Whether nobody reads from it any more.
    deaf: Cell<bool>,
}

/// What was received and not yet looked for.
#[derive(Default)]
pub(crate) struct Inbox {
    pub(crate) bytes: Vec<u8>,
    /// How the other side ended it.
    pub(crate) end: Option<&'static str>,
}

impl Connection {
    fn new(id: usize, stream: TcpStream, news: &Rc<Notify>) -> Rc<Self> {
        stream.set_nodelay(true).unwrap();
        let (acts, queue) = mpsc::unbounded_channel();
        let connection = Rc::new(Self {
            id,
            inbox: RefCell::default(),
            acts,
            tasks: RefCell::default(),
            deaf: Cell::new(false),
        });
        let stream = Rc::new(stream);
        let reading = spawn_local(read(stream.clone(), connection.clone(), news.clone()));
        let writing = spawn_local(write(stream, queue, reading.abort_handle()));
        connection.tasks.borrow_mut().extend([reading, writing]);
        connection
    }

    pub(crate) fn act(&self, act: Act) {
        // A writer whose peer has gone is gone too: that shows elsewhere, if it matters.
        let _ = self.acts.send(act);
    }

    /// Drops what was received, and leaves all that comes to the kernel.
    pub(crate) fn stop_reading(&self) {
        self.deaf.set(true);
        self.tasks.borrow()[0].abort();
        self.inbox.borrow_mut().bytes.clear();
    }

    /// Closes it, whatever is still queued.
    pub(crate) fn close(&self) {
        for task in self.tasks.borrow().iter() {
            task.abort();
        }
    }
}

async fn read(stream: Rc<TcpStream>, connection: Rc<Connection>, news: Rc<Notify>) {
    let mut buffer = vec![0; 16 * 1024];
    let end = loop {
        if stream.readable().await.is_err() {
            break "reset";
        }
        match stream.try_read(&mut buffer) {
            Ok(0) => break "closed",
            Ok(read) => {
                let mut inbox = connection.inbox.borrow_mut();
                inbox.bytes.extend_from_slice(&buffer[..read]);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => break "reset",
        }
        news.notify_one();
    };
    connection.inbox.borrow_mut().end = Some(end);
    news.notify_one();
}

async fn write(
    stream: Rc<TcpStream>,
    mut queue: mpsc::UnboundedReceiver<Act>,
    reading: tokio::task::AbortHandle,
) {
    while let Some(act) = queue.recv().await {
        let sent = match act {
            Act::Send(bytes) => send(&stream, &bytes).await,
            Act::Drip(bytes, pauses) => drip(&stream, &bytes, pauses).await,
            Act::Pause => {
                tokio::time::sleep(PAUSE).await;
                Ok(())
            }
            // The other side may have closed before: then there is nothing left to end.
            Act::End => SockRef::from(&*stream).shutdown(Shutdown::Write),
            Act::Reset => {
                stream.set_zero_linger().unwrap();
                reading.abort();
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn drip(stream: &TcpStream, bytes: &[u8], pauses: Pauses) -> std::io::Result<()> {
    for byte in bytes {
        send(stream, &[*byte]).await?;
        match pauses {
            Pauses::Between => tokio::time::sleep(PAUSE).await,
            Pauses::None => tokio::task::yield_now().await,
        }
    }
    Ok(())
}

async fn send(stream: &TcpStream, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The upstream of one case, and the news from all connections of that case.
pub(crate) struct Lane {
    pub(crate) upstream: SocketAddr,
    pub(crate) with: Value,
    /// Upstream connections that are open, or hold something; a pool keeps them from run to run.
    pub(crate) connections: Rc<RefCell<Vec<Rc<Connection>>>>,
    pub(crate) news: Rc<Notify>,
    accepting: JoinHandle<()>,
    next: Rc<Cell<usize>>,
}

impl Lane {
    pub(crate) async fn open(with: &Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = listener.local_addr().unwrap();
        let news = Rc::new(Notify::new());
        let connections: Rc<RefCell<Vec<Rc<Connection>>>> = Rc::default();
        let next = Rc::new(Cell::new(0));
        let (known, told, counted) = (connections.clone(), news.clone(), next.clone());
        let accepting = spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let id = counted.replace(counted.get() + 1);
                known.borrow_mut().push(Connection::new(id, stream, &told));
                told.notify_one();
            }
        });
        Self {
            upstream,
            with: with.clone(),
            connections,
            news,
            accepting,
            next,
        }
    }

    /// Connects to the proxy.
    pub(crate) async fn client(&self, to: SocketAddr) -> std::io::Result<Rc<Connection>> {
        let stream = TcpStream::connect(to).await?;
        let id = self.next.replace(self.next.get() + 1);
        Ok(Connection::new(id, stream, &self.news))
    }

    /// Closes upstream connections that were ended, or are not read from.
    pub(crate) fn sweep(&self) {
        self.connections.borrow_mut().retain(|connection| {
            let ended = connection.deaf.get() || connection.inbox.borrow().end.is_some();
            if ended {
                connection.close();
            }
            !ended
        });
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.accepting.abort();
        for connection in self.connections.borrow().iter() {
            connection.close();
        }
    }
}
