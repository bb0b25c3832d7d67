//! Listening sockets.

mod unix;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};

use super::{Given, Keeper};
use crate::config::Address;
use unix::SocketFile;

/// Connections that may wait to be accepted; the system's `somaxconn` bounds it further.
const BACKLOG: i32 = 4096;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}{}", hint(address, source))]
pub struct BindError {
    address: String,
    source: io::Error,
}

/// What the system does not say of why it refuses an address.
fn hint(address: &str, why: &io::Error) -> &'static str {
    let port = address.parse().map(|address: SocketAddr| address.port());
    match (why.kind(), port) {
        (io::ErrorKind::PermissionDenied, Ok(1..1024)) => {
            "; ports below 1024 are for root, or for whoever has CAP_NET_BIND_SERVICE"
        }
        (io::ErrorKind::AddrNotAvailable, _) => "; no interface of this machine has it",
        (io::ErrorKind::AlreadyExists, _) => "; a file that is no socket is there",
        _ => "",
    }
}

impl BindError {
    /// What the system said; `AddrInUse` when somebody else listens there.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

/// A socket that listens. Shared by those that accept from it; closed with the last of them.
#[derive(Debug)]
pub struct Listening {
    socket: Socket,
    address: Address,
    /// Removed with the socket, if it is this process' own.
    file: Option<SocketFile>,
}

impl Listening {
    /// Where it listens: the port is known, also when any was asked for.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Takes a socket that another process has bound at `address`; `file` is the device and inode
    /// of a unix socket's file. The file stays that process' until [`own`](Self::own).
    ///
    /// # Errors
    ///
    /// When it is no stream socket that listens there.
    pub fn adopt(socket: OwnedFd, address: Address, file: Option<(u64, u64)>) -> io::Result<Self> {
        let socket = Socket::from(socket);
        let local = socket.local_addr()?;
        let is_there = match &address {
            Address::Tcp(address) => local.as_socket() == Some(*address),
            Address::Unix(_) => local.domain() == Domain::UNIX,
        };
        if !is_there || socket.r#type()? != Type::STREAM || !socket.is_listener()? {
            let what = format!(
                "what was handed over does not listen on {}",
                Shown(&address)
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        // It is a property of the socket, and so the other process' too: it needs it as much.
        socket.set_nonblocking(true)?;
        let file = match (&address, file) {
            (Address::Unix(path), Some(place)) => Some(SocketFile::of_another(path, place)),
            _ => None,
        };
        Ok(Self {
            socket,
            address,
            file,
        })
    }

    /// Takes a socket that this process was started with, wherever it listens. The file of a unix
    /// socket is removed with it if an earlier life of this process has made it.
    ///
    /// # Errors
    ///
    /// When it is no stream socket that listens at an address, or its file has gone.
    pub fn given(given: Given) -> io::Result<Self> {
        let socket = Socket::from(given.socket);
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
        let local = socket.local_addr()?;
        let path = || {
            local
                .as_pathname()
                .map(|path| Address::Unix(path.to_owned()))
        };
        let address = local.as_socket().map(Address::Tcp).or_else(path);
        let address = address.ok_or_else(|| invalid("it has no address and no path"))?;
        if socket.r#type()? != Type::STREAM || !socket.is_listener()? {
            return Err(invalid("it is no stream socket that listens"));
        }
        socket.set_nonblocking(true)?;
        let (address, file) = match (address, given.keeper, given.file) {
            (Address::Tcp(address), ..) => {
                socket.set_tcp_nodelay(true)?;
                (Address::Tcp(address), None)
            }
            // To hold it would be to remove it in the end, which is its owner's.
            (address @ Address::Unix(_), Keeper::Starter, _) => (address, None),
            (Address::Unix(_), Keeper::EarlierLife, Some(left)) => {
                let file = SocketFile::at(&left.path, &left.path)?;
                if file.place() != left.place {
                    file.set_owned(false);
                    return Err(invalid("another file is where its own was"));
                }
                (Address::Unix(left.path), Some(file))
            }
            (Address::Unix(_), Keeper::EarlierLife, None) => {
                return Err(invalid("where its file is was not kept"));
            }
        };
        Ok(Self {
            socket,
            address,
            file,
        })
    }

    /// Device and inode of the file of a unix socket.
    #[must_use]
    pub fn file(&self) -> Option<(u64, u64)> {
        self.file.as_ref().map(SocketFile::place)
    }

    /// Makes the file of a unix socket this process' own: it is removed with the socket.
    pub fn own(&self) {
        self.set_owned(true);
    }

    /// Leaves the file of a unix socket to another process.
    pub fn disown(&self) {
        self.set_owned(false);
    }

    fn set_owned(&self, owned: bool) {
        if let Some(file) = &self.file {
            file.set_owned(owned);
        }
    }
}

/// An address as a configuration writes it.
struct Shown<'a>(&'a Address);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => path.display().fmt(f),
        }
    }
}

impl AsFd for Listening {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Listening {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// Listens on an address for so many workers, one entry each.
///
/// Each worker has a TCP socket of its own, among which the kernel spreads connections; a unix
/// socket is shared by all. Port 0 is any free port, the same for all workers. `[::]` takes IPv4
/// too, `0.0.0.0` nothing else. The file of a dead unix socket is replaced.
///
/// # Errors
///
/// When any socket cannot be bound, in particular because another process, or another listener of
/// this one, listens there; nothing is left bound then.
pub fn bind(address: &Address, workers: usize) -> Result<Vec<Arc<Listening>>, BindError> {
    match address {
        Address::Tcp(address) => bind_tcp(*address, workers),
        Address::Unix(path) => bind_unix(path, None).map(|one| {
            let one = Arc::new(one);
            (0..workers).map(|_| one.clone()).collect()
        }),
    }
    .map_err(|source| BindError {
        address: Shown(address).to_string(),
        source,
    })
}

/// Listens on a unix socket that this user alone can open.
///
/// # Errors
///
/// As [`bind`].
pub fn bind_private(path: &Path) -> Result<Listening, BindError> {
    bind_unix(path, Some(0o600)).map_err(|source| BindError {
        address: path.display().to_string(),
        source,
    })
}

fn bind_unix(path: &Path, mode: Option<u32>) -> io::Result<Listening> {
    let (socket, file) = unix::bind(path, mode)?;
    Ok(Listening {
        socket,
        address: Address::Unix(path.to_owned()),
        file: Some(file),
    })
}

fn bind_tcp(address: SocketAddr, workers: usize) -> io::Result<Vec<Arc<Listening>>> {
    // With SO_REUSEPORT alone a second process of the same user would silently take half of the
    // connections. So the first socket is bound without, which fails where anyone listens, and
    // only then opened to its siblings.
    let first = tcp_socket(address)?;
    first.bind(&address.into())?;
    first.set_reuse_port(true)?;
    let local = first.local_addr()?.as_socket().unwrap_or(address);

    let mut sockets = vec![first];
    for _ in 1..workers {
        let next = tcp_socket(local)?;
        next.set_reuse_port(true)?;
        next.bind(&local.into())?;
        sockets.push(next);
    }
    let listen = |socket: Socket| {
        socket.listen(BACKLOG)?;
        Ok(Arc::new(Listening {
            socket,
            address: Address::Tcp(local),
            file: None,
        }))
    };
    sockets.into_iter().map(listen).collect()
}

fn tcp_socket(address: SocketAddr) -> io::Result<Socket> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    // Accepted connections inherit it, which saves a call for each.
    socket.set_tcp_nodelay(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::TcpStream;
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::{UnixListener, UnixStream};

    use socket2::SockRef;

    use super::*;
    use crate::net::FileLeft;

    fn any_port() -> Address {
        Address::Tcp(([127, 0, 0, 1], 0).into())
    }

    fn tcp(address: &Address) -> SocketAddr {
        match address {
            Address::Tcp(address) => *address,
            Address::Unix(path) => panic!("{path:?} is no TCP address"),
        }
    }

    fn accept_one(listening: &Listening) -> Socket {
        listening.socket.set_nonblocking(false).unwrap();
        listening.socket.accept().unwrap().0
    }

    #[test]
    fn each_worker_has_a_socket_on_the_same_free_port() {
        let bound = bind(&any_port(), 3).unwrap();
        assert_eq!(bound.len(), 3);
        assert_ne!(tcp(bound[0].address()).port(), 0);
        assert!(bound.iter().all(|one| one.address() == bound[0].address()));
    }

    #[test]
    fn an_address_that_is_listened_on_is_refused() {
        let bound = bind(&any_port(), 2).unwrap();
        let error = bind(bound[0].address(), 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(
            error
                .to_string()
                .contains(&tcp(bound[0].address()).to_string()),
            "{error}"
        );
    }

    #[test]
    fn what_the_system_does_not_say_is_said() {
        let foreign = Address::Tcp(([192, 0, 2, 1], 0).into());
        let error = bind(&foreign, 1).unwrap_err().to_string();
        assert!(
            error.ends_with("; no interface of this machine has it"),
            "{error}"
        );
        let refused = |port: u16| {
            hint(
                &format!("0.0.0.0:{port}"),
                &io::ErrorKind::PermissionDenied.into(),
            )
        };
        assert!(refused(80).contains("CAP_NET_BIND_SERVICE"));
        assert_eq!(refused(8080), "");
    }

    #[test]
    fn a_closed_address_can_be_listened_on_at_once() {
        let bound = bind(&any_port(), 2).unwrap();
        let address = bound[0].address().clone();
        drop(bound);
        bind(&address, 2).unwrap();
    }

    #[test]
    fn accepted_connections_inherit_no_delay() {
        let bound = bind(&any_port(), 1).unwrap();
        let _client = TcpStream::connect(tcp(bound[0].address())).unwrap();
        assert!(SockRef::from(&accept_one(&bound[0])).tcp_nodelay().unwrap());
    }

    #[test]
    fn the_ipv6_wildcard_takes_ipv4_too() {
        let Ok(bound) = bind(&Address::Tcp("[::]:0".parse().unwrap()), 1) else {
            return; // this machine has no IPv6
        };
        let port = tcp(bound[0].address()).port();
        TcpStream::connect(("127.0.0.1", port)).unwrap();
    }

    #[test]
    fn a_unix_socket_is_shared_by_workers_and_removed_with_the_last() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let mut bound = bind(&Address::Unix(path.clone()), 2).unwrap();
        assert!(Arc::ptr_eq(&bound[0], &bound[1]));
        bound.pop();
        UnixStream::connect(&path).unwrap();
        drop(bound);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    }

    #[test]
    fn the_file_of_a_socket_that_was_lent_stays_its_owner_s() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let given = |bound: UnixListener, keeper, file| {
            Listening::given(Given {
                name: "a".to_owned(),
                keeper,
                file,
                socket: bound.into(),
            })
        };
        let left = || {
            let found = fs::symlink_metadata(&path).unwrap();
            FileLeft {
                path: path.clone(),
                place: (found.dev(), found.ino()),
            }
        };
        for (keeper, stays) in [(Keeper::Starter, true), (Keeper::EarlierLife, false)] {
            // As its own are: made elsewhere.
            let made = directory.path().join("made");
            let bound = UnixListener::bind(if stays { &path } else { &made }).unwrap();
            if !stays {
                fs::rename(&made, &path).unwrap();
            }
            let lent = given(bound, keeper, Some(left())).unwrap();
            assert_eq!(*lent.address(), Address::Unix(path.clone()));
            UnixStream::connect(&path).unwrap();
            drop(lent);
            assert_eq!(path.exists(), stays, "{keeper:?}");
            let _ = fs::remove_file(&path);
        }
    }

    #[test]
    fn a_unix_socket_whose_file_is_another_s_by_now_is_refused_and_the_file_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let bound = UnixListener::bind(&path).unwrap();
        let found = fs::symlink_metadata(&path).unwrap();
        fs::rename(&path, directory.path().join("old")).unwrap();
        let _another = UnixListener::bind(&path).unwrap();

        let given = Listening::given(Given {
            name: "a".to_owned(),
            keeper: Keeper::EarlierLife,
            file: Some(FileLeft {
                path: path.clone(),
                place: (found.dev(), found.ino()),
            }),
            socket: bound.into(),
        });

        given.unwrap_err();
        UnixStream::connect(&path).unwrap();
    }
}
