//! Connected sockets for tests.

use socket2::{Domain, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::Stream;

/// A connection over loopback: our end and the peer's.
pub(crate) async fn tcp() -> (Stream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (ours, _) = listener.accept().await.unwrap();
    (stream(ours.into_std().unwrap().into()), peer)
}

/// A connection over loopback whose kernel buffers are small.
pub(crate) async fn narrow_tcp() -> (Stream, TcpStream) {
    let (ours, peer) = tcp().await;
    for socket in [SockRef::from(&ours), SockRef::from(&peer)] {
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        socket.set_send_buffer_size(16 * 1024).unwrap();
    }
    (ours, peer)
}

/// A connected pair of unix sockets: our end and the peer's.
pub(crate) fn unix() -> (Stream, UnixStream) {
    let kind = Type::STREAM.nonblocking().cloexec();
    let (ours, peer) = Socket::pair(Domain::UNIX, kind, None).unwrap();
    let peer = UnixStream::from_std(peer.into()).unwrap();
    (stream(ours.into()), peer)
}

fn stream(socket: std::os::fd::OwnedFd) -> Stream {
    Stream::new(socket).unwrap()
}
