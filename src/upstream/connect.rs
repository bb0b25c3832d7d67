//! Opening one connection to a host.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::time::timeout;

use crate::config::{Address, HostAddress};
use crate::net::Stream;

use super::Book;

/// Why a host could not be connected to.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// This process is out of descriptors, ports or memory: no fault of the host.
    #[error("no room for a connection: {0}")]
    Exhausted(io::Error),
    /// The system failed in some other way.
    #[error("{0}")]
    Failed(io::Error),
    /// Nothing listens there.
    #[error("refused")]
    Refused,
    /// The host took longer than the cluster's connect timeout.
    #[error("timed out after {0:?}")]
    TimedOut(Duration),
    /// No way leads to the host.
    #[error("unreachable: {0}")]
    Unreachable(io::Error),
    /// The host's name has no address.
    #[error("its name does not resolve: {0}")]
    Unresolved(io::Error),
}

impl ConnectError {
    /// Whether it tells something about the host, rather than about this process.
    #[must_use]
    pub fn blames_host(&self) -> bool {
        !matches!(self, Self::Exhausted(_) | Self::Failed(_))
    }
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        match error
            .raw_os_error()
            .map_or(Errno::UnknownErrno, Errno::from_raw)
        {
            // The socket file of a unix host is missing, or its queue is full (EAGAIN).
            Errno::ECONNREFUSED | Errno::ECONNRESET | Errno::ENOENT | Errno::EAGAIN => {
                Self::Refused
            }
            Errno::EADDRNOTAVAIL
            | Errno::EMFILE
            | Errno::ENFILE
            | Errno::ENOBUFS
            | Errno::ENOMEM => Self::Exhausted(error),
            Errno::EACCES
            | Errno::EHOSTDOWN
            | Errno::EHOSTUNREACH
            | Errno::ENETDOWN
            | Errno::ENETUNREACH
            | Errno::EPERM
            | Errno::ETIMEDOUT => Self::Unreachable(error),
            _ => Self::Failed(error),
        }
    }
}

/// Connects to a host within `deadline`, name resolution included.
///
/// `book` says where names lead; of a name's addresses the first that accepts is taken. `mark` is the socket's `SO_MARK`. The
/// connection is registered with the worker that calls this, at the latest when something is waited for, and sends small
/// pieces at once.
///
/// # Errors
///
/// Why no connection was made; nothing is left open.
///
/// # Cancel safety
///
/// Safe: dropping the future closes what it opened.
pub async fn connect(
    address: &HostAddress,
    deadline: Duration,
    mark: Option<u32>,
    book: &Book,
) -> Result<Stream, ConnectError> {
    // What the calls need is not kept while waiting: many connections may wait at once.
    let (stream, begun) = match address {
        HostAddress::Socket(Address::Tcp(address)) => begin_tcp(*address, mark)?,
        HostAddress::Socket(Address::Unix(path)) => begin_unix(path)?,
        HostAddress::Name(name, port) => {
            let connected = timeout(deadline, Box::pin(connect_name(name, *port, mark, book)));
            let connected = connected.await;
            return connected.unwrap_or(Err(ConnectError::TimedOut(deadline)));
        }
    };
    if begun == Begun::UnderWay {
        let connected = timeout(deadline, stream.connected()).await;
        connected.map_err(|_| ConnectError::TimedOut(deadline))??;
    }
    Ok(stream)
}

/// How far a connection is that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begun {
    /// There is nothing to wait for any more.
    Made,
    /// Its host is yet to answer.
    UnderWay,
}

async fn connect_name(
    name: &str,
    port: u16,
    mark: Option<u32>,
    book: &Book,
) -> Result<Stream, ConnectError> {
    let unresolved = |why: Arc<str>| ConnectError::Unresolved(io::Error::other(&*why));
    let addresses = book.addresses(name).await.map_err(unresolved)?;
    let mut last = unresolved("no address".into());
    for &address in &*addresses {
        let mut address = address;
        address.set_port(port);
        match connect_tcp(address, mark).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn connect_tcp(address: SocketAddr, mark: Option<u32>) -> Result<Stream, ConnectError> {
    let (stream, begun) = begin_tcp(address, mark)?;
    if begun == Begun::UnderWay {
        stream.connected().await?;
    }
    Ok(stream)
}

fn begin_tcp(address: SocketAddr, mark: Option<u32>) -> Result<(Stream, Begun), ConnectError> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, NON_BLOCKING, Some(Protocol::TCP))?;
    if let Some(mark) = mark {
        socket.set_mark(mark).map_err(ConnectError::Failed)?;
    }
    let mut begun = begin(&socket, &address.into())?;
    // Over the loopback interface it is made before the call returns, which yet does not say so:
    // to ask again costs less than to be told.
    if begun == Begun::UnderWay && address.ip().is_loopback() {
        begun = begin(&socket, &address.into())?;
    }
    let stream = match begun {
        Begun::Made => Stream::made_tcp(socket.into()),
        Begun::UnderWay => Stream::unsent_tcp(socket.into())?,
    };
    Ok((stream, begun))
}

fn begin_unix(path: &Path) -> Result<(Stream, Begun), ConnectError> {
    let socket = Socket::new(Domain::UNIX, NON_BLOCKING, None)?;
    // It is made at once, or refused.
    socket.connect(&SockAddr::unix(path)?)?;
    Ok((Stream::new(socket.into())?, Begun::Made))
}

fn begin(socket: &Socket, address: &SockAddr) -> io::Result<Begun> {
    const UNDER_WAY: [Option<i32>; 2] = [
        Some(Errno::EINPROGRESS as i32),
        Some(Errno::EALREADY as i32),
    ];
    match socket.connect(address) {
        Ok(()) => Ok(Begun::Made),
        Err(error) if UNDER_WAY.contains(&error.raw_os_error()) => Ok(Begun::UnderWay),
        Err(error) => Err(error),
    }
}

const NON_BLOCKING: Type = Type::STREAM.nonblocking().cloexec();

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::net::{TcpListener, UnixListener};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(10);

    fn tcp(address: SocketAddr) -> HostAddress {
        HostAddress::Socket(Address::Tcp(address))
    }

    #[tokio::test]
    async fn a_tcp_host_is_connected_to_and_nothing_is_delayed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stream = connect(&tcp(address), DEADLINE, None, &Book::default())
            .await
            .unwrap();
        assert_eq!(stream.peer_address().unwrap(), Some(address));
        let socket = stream.into_socket();
        assert!(socket2::SockRef::from(&socket).tcp_nodelay().unwrap());
    }

    #[tokio::test]
    async fn a_host_of_this_machine_is_connected_to_without_waiting() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp(listener.local_addr().unwrap());
        let book = Book::default();
        let connected = connect(&address, DEADLINE, None, &book).now_or_never();
        let stream = connected.expect("nothing is waited for").unwrap();
        assert!(!stream.is_watched());

        drop((stream, listener));
        let refused = connect(&address, DEADLINE, None, &book).now_or_never();
        assert!(
            matches!(refused, Some(Err(ConnectError::Refused))),
            "{refused:?}"
        );
    }

    #[tokio::test]
    async fn a_unix_host_is_connected_to() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("origin.sock");
        let _listener = UnixListener::bind(&path).unwrap();
        let host = HostAddress::Socket(Address::Unix(path));
        let stream = connect(&host, DEADLINE, None, &Book::default())
            .await
            .unwrap();
        assert_eq!(stream.peer_address().unwrap(), None);
    }

    #[tokio::test]
    async fn a_named_host_is_connected_to_at_the_first_address_that_accepts() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let host = HostAddress::Name("localhost".into(), port);
        connect(&host, DEADLINE, None, &Book::default())
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_host_where_nothing_listens_refuses() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = connect(&tcp(address), DEADLINE, None, &Book::default())
            .await
            .unwrap_err();
        assert!(matches!(error, ConnectError::Refused), "{error:?}");

        let missing = HostAddress::Socket(Address::Unix("/nowhere/origin.sock".into()));
        let error = connect(&missing, DEADLINE, None, &Book::default())
            .await
            .unwrap_err();
        assert!(matches!(error, ConnectError::Refused), "{error:?}");
    }

    #[tokio::test]
    async fn a_host_that_does_not_answer_is_given_up_at_the_deadline() {
        // The queue of a listener that never accepts fills up; then it answers nobody.
        let full = Socket::new(Domain::IPV4, NON_BLOCKING, None).unwrap();
        full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
            .unwrap();
        full.listen(0).unwrap();
        let address = full.local_addr().unwrap().as_socket().unwrap();
        let _first = connect(&tcp(address), DEADLINE, None, &Book::default())
            .await
            .unwrap();

        tokio::time::pause();
        let error = connect(&tcp(address), DEADLINE, None, &Book::default())
            .await
            .unwrap_err();

        assert!(
            matches!(error, ConnectError::TimedOut(DEADLINE)),
            "{error:?}"
        );
        assert_eq!(error.to_string(), "timed out after 10s");
    }

    #[test]
    fn only_what_the_host_did_is_blamed_on_it() {
        for (errno, blames, text) in [
            (Errno::ECONNREFUSED, true, "refused"),
            (Errno::EHOSTUNREACH, true, "unreachable: "),
            (Errno::EADDRNOTAVAIL, false, "no room for a connection: "),
            (Errno::EMFILE, false, "no room for a connection: "),
            (Errno::EINVAL, false, ""),
        ] {
            let error = ConnectError::from(io::Error::from(errno));
            assert_eq!(error.blames_host(), blames, "{errno}");
            assert!(error.to_string().starts_with(text), "{error}");
        }
    }
}
