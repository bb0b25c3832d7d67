//! Where a connection was meant to go that the kernel redirected here.

use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

use socket2::SockRef;

/// The destination that a connection had before a rule of the packet filter redirected it
/// (`SO_ORIGINAL_DST`); `None` where nothing did, or nobody keeps track.
pub(super) fn original_destination(socket: BorrowedFd<'_>) -> Option<SocketAddr> {
    let socket = SockRef::from(&socket);
    let found = socket.original_dst_v4();
    let found = found.or_else(|_| socket.original_dst_v6());
    found.ok()?.as_socket()
}
