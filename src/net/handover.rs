//! A talk between two processes of a hot upgrade: frames with descriptors beside them, over a unix
//! socket.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::control::Reach;
use super::step;
use crate::protocol::handover::{FrameError, HEADER_BYTES, Header, Message, decode, encode};

/// What is read in one call, so that memory grows with what came and not with what was announced.
const CHUNK_BYTES: usize = 64 * 1024;

/// Room for the descriptors of one call; the kernel never delivers more.
const KERNEL_MOST: usize = 253;

/// Why a talk cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum TalkError {
    /// The other side has closed it, or died.
    #[error("the other process has closed the connection")]
    Closed,
    /// It ended in the middle of a frame.
    #[error("the other process was cut off in the middle of a message")]
    Cut,
    /// What came is no frame of ours.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Nothing came in time.
    #[error("nothing came within {} ms", .0.as_millis())]
    Silent(Duration),
    /// Descriptors were lost: this process may be out of them.
    #[error("descriptors were lost on the way: this process has too few")]
    Truncated,
}

/// A message, and what came with it.
#[derive(Debug)]
pub struct Received {
    /// The message.
    pub message: Message,
    /// Bytes of connections.
    pub payload: Vec<u8>,
    /// Descriptors, closed on exec.
    pub descriptors: Vec<OwnedFd>,
}

/// Who is at the other end, as the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its process; 0 when it is in a namespace of its own.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
}

/// One end of a talk.
#[derive(Debug)]
pub struct Talk {
    stream: UnixStream,
    /// A frame that is not whole yet, so that dropping a [`receive`](Self::receive) loses nothing.
    incoming: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

impl Talk {
    /// Connects to whoever accepts at `path`.
    ///
    /// # Errors
    ///
    /// What the system said; [`io::ErrorKind::TimedOut`] when it took too long.
    pub async fn connect(path: &Path, within: Duration) -> io::Result<Self> {
        let reach = Reach::to(path)?;
        let connected = timeout(within, UnixStream::connect(reach.path())).await;
        connected
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map(Self::of)
    }

    pub(super) fn of(stream: UnixStream) -> Self {
        Self {
            stream,
            incoming: Vec::new(),
            descriptors: Vec::new(),
        }
    }

    /// Who is at the other end.
    ///
    /// # Errors
    ///
    /// When the system does not say.
    pub fn peer(&self) -> io::Result<Peer> {
        let credentials = self.stream.peer_cred()?;
        let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok());
        Ok(Peer {
            pid: pid.unwrap_or(0),
            uid: credentials.uid(),
        })
    }

    /// Sends a message with these descriptors, which stay open here.
    ///
    /// # Errors
    ///
    /// [`TalkError`]; the talk cannot go on then.
    ///
    /// # Cancel safety
    ///
    /// Not safe: the talk cannot go on when the future was dropped.
    pub async fn send(
        &self,
        message: &Message,
        payload: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), TalkError> {
        let mut frame = encode(message, payload, descriptors.len())?;
        if step::sending(message, &mut frame).await? == step::Fate::Lost {
            return Ok(());
        }
        let mut descriptors: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let mut sent = 0;
        while sent < frame.len() {
            let send = || send_some(self.stream.as_raw_fd(), &frame[sent..], &descriptors);
            sent += self.stream.async_io(Interest::WRITABLE, send).await?;
            // They went with the first byte.
            descriptors.clear();
        }
        Ok(())
    }

    /// Waits for the next message.
    ///
    /// # Errors
    ///
    /// [`TalkError`]; the talk cannot go on then.
    ///
    /// # Cancel safety
    ///
    /// Safe: what came stays here for the next call.
    pub async fn receive(&mut self) -> Result<Received, TalkError> {
        loop {
            let missing = self.missing()?;
            if missing == 0 {
                let came = self.descriptors.len();
                let (message, payload) = decode(&self.incoming, came)?;
                // Whoever gives up waiting here has not taken it.
                step::received(&message).await;
                self.incoming = Vec::new();
                let descriptors = std::mem::take(&mut self.descriptors);
                return Ok(Received {
                    message,
                    payload,
                    descriptors,
                });
            }
            self.stream.readable().await?;
            let mut chunk = vec![0; missing.min(CHUNK_BYTES)];
            let (socket, descriptors) = (self.stream.as_raw_fd(), &mut self.descriptors);
            let receive = || receive_some(socket, &mut chunk, descriptors);
            match self.stream.try_io(Interest::READABLE, receive) {
                Ok(Came {
                    truncated: true, ..
                }) => return Err(TalkError::Truncated),
                Ok(Came { bytes: 0, .. }) if self.incoming.is_empty() => {
                    return Err(TalkError::Closed);
                }
                Ok(Came { bytes: 0, .. }) => return Err(TalkError::Cut),
                Ok(Came { bytes, .. }) => self.incoming.extend_from_slice(&chunk[..bytes]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // A peer that was killed with unread words resets the socket.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(TalkError::Closed);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// As [`receive`](Self::receive), for so long.
    ///
    /// # Errors
    ///
    /// As there, and [`TalkError::Silent`].
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn receive_within(&mut self, time: Duration) -> Result<Received, TalkError> {
        let received = timeout(time, self.receive()).await;
        received.unwrap_or(Err(TalkError::Silent(time)))
    }

    /// Bytes that are missing to a whole header, or to a whole frame.
    ///
    /// Never more is read: what belongs to the next frame has descriptors of its own.
    fn missing(&self) -> Result<usize, FrameError> {
        let Some(head) = self.incoming.first_chunk::<HEADER_BYTES>() else {
            return Ok(HEADER_BYTES - self.incoming.len());
        };
        let whole = HEADER_BYTES + Header::decode(head)?.rest();
        Ok(match self.incoming.len() {
            // A frame of nothing but a header is no message, and is refused as one.
            len if len == HEADER_BYTES && whole == len => 0,
            len => whole - len,
        })
    }

    /// Whether the other side has closed its end, or died, as far as the kernel knows now.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let mut poll = [PollFd::new(self.stream.as_fd(), PollFlags::empty())];
        let polled = nix::poll::poll(&mut poll, PollTimeout::ZERO);
        let told = poll[0].revents().unwrap_or(PollFlags::empty());
        polled.is_ok_and(|ready| ready > 0) && told.contains(PollFlags::POLLHUP)
    }
}

fn send_some(socket: RawFd, bytes: &[u8], descriptors: &[RawFd]) -> io::Result<usize> {
    let rights = [ControlMessage::ScmRights(descriptors)];
    let beside = if descriptors.is_empty() {
        &[][..]
    } else {
        &rights
    };
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    Ok(sendmsg::<()>(
        socket,
        &[IoSlice::new(bytes)],
        beside,
        flags,
        None,
    )?)
}

/// What one call brought.
struct Came {
    bytes: usize,
    truncated: bool,
}

/// Receives bytes, and the descriptors beside them.
///
/// Not by nix, which loses the descriptors that did arrive when others did not.
#[expect(unsafe_code, reason = "descriptors arrive as numbers in a buffer")]
fn receive_some(
    socket: RawFd,
    bytes: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<Came> {
    let mut control = nix::cmsg_space!([RawFd; KERNEL_MOST]);
    let mut vector = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: all-zero is a valid header, and every pointer that is put into it outlives the call;
    // the kernel writes within the lengths. The headers of control messages are walked as
    // cmsg(3) says, and each number in one of SCM_RIGHTS is an open descriptor that is ours alone.
    unsafe {
        let mut header: libc::msghdr = std::mem::zeroed();
        header.msg_iov = &raw mut vector;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = control.capacity();
        let flags = libc::MSG_CMSG_CLOEXEC | libc::MSG_DONTWAIT;
        let came = libc::recvmsg(socket, &raw mut header, flags);
        if came < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut at = libc::CMSG_FIRSTHDR(&raw const header);
        while !at.is_null() {
            if ((*at).cmsg_level, (*at).cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
                let length = (*at).cmsg_len - libc::CMSG_LEN(0) as usize;
                let first = libc::CMSG_DATA(at).cast::<RawFd>();
                for index in 0..length / size_of::<RawFd>() {
                    let number = first.add(index).read_unaligned();
                    descriptors.push(OwnedFd::from_raw_fd(number));
                }
            }
            at = libc::CMSG_NXTHDR(&raw const header, at);
        }
        Ok(Came {
            bytes: usize::try_from(came).unwrap_or(0),
            truncated: header.msg_flags & libc::MSG_CTRUNC != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn pair() -> (Talk, Talk) {
        let (one, other) = UnixStream::pair().unwrap();
        (Talk::of(one), Talk::of(other))
    }

    #[tokio::test]
    async fn descriptors_arrive_with_their_message_and_no_other() {
        let (old, mut new) = pair();
        let file = File::open("/dev/null").unwrap();
        let many = vec![file.as_fd(); 100];
        old.send(&Message::Accept, b"", &[]).await.unwrap();
        old.send(&Message::Sockets, b"some bytes", &many)
            .await
            .unwrap();
        old.send(&Message::Commit, b"", &[file.as_fd()])
            .await
            .unwrap();

        let mut came = vec![];
        for _ in 0..3 {
            let received = new.receive().await.unwrap();
            came.push((received.payload.len(), received.descriptors.len()));
        }

        assert_eq!(came, [(0, 0), (10, 100), (0, 1)]);
    }

    #[tokio::test]
    async fn what_came_is_kept_when_a_wait_is_given_up() {
        let (old, mut new) = pair();
        let payload = vec![7; 1024 * 1024];
        let sends = old.send(&Message::Sockets, &payload, &[]);
        let receives = async {
            loop {
                // Far too short for all of it.
                match timeout(Duration::from_micros(50), new.receive()).await {
                    Ok(received) => return received.unwrap(),
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        let (sent, received) = tokio::join!(sends, receives);
        sent.unwrap();
        assert_eq!(received.payload, payload);
    }

    #[tokio::test]
    async fn an_end_between_frames_and_one_within_are_told_apart() {
        let (old, mut new) = pair();
        drop(old);
        assert!(matches!(new.receive().await, Err(TalkError::Closed)));
        let (old, mut new) = pair();
        let frame = encode(&Message::Commit, b"", 0).unwrap();
        send_some(old.stream.as_raw_fd(), &frame[..25], &[]).unwrap();
        assert!(!new.is_closed());
        drop(old);
        assert!(new.is_closed());
        assert!(matches!(new.receive().await, Err(TalkError::Cut)));
    }

    #[tokio::test]
    async fn descriptors_that_do_not_fit_are_no_silent_loss() {
        let (old, new) = pair();
        let file = File::open("/dev/null").unwrap();
        let frame = encode(&Message::Sockets, b"", 2).unwrap();
        let numbers = [file.as_raw_fd(); 3];
        send_some(old.stream.as_raw_fd(), &frame, &numbers).unwrap();
        let mut new = new;
        let refused = new.receive().await;
        assert!(matches!(
            refused,
            Err(TalkError::Frame(FrameError::Descriptors {
                announced: 2,
                came: 3
            }))
        ));
    }
}
