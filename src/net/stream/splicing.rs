//! Moving bytes between a stream and a pipe, within the kernel.

use std::io;
use std::task::{Context, Poll, ready};

use nix::fcntl::{SpliceFFlags, splice};

use super::{Reading, Stream, settle};
use crate::net::Pipe;

const SPLICE: SpliceFFlags = SpliceFFlags::SPLICE_F_MOVE.union(SpliceFFlags::SPLICE_F_NONBLOCK);

impl Stream {
    /// Receives into a pipe within the kernel; 0 is the end of the peer's stream.
    ///
    /// The pipe must be empty: a full one could not be told from an empty socket.
    pub fn poll_splice_from(
        &self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<io::Result<usize>> {
        debug_assert!(pipe.is_empty(), "only the socket may be what blocks");
        if self.reading.get() == Reading::Ended {
            return Poll::Ready(Ok(0));
        }
        self.words(|watch| {
            loop {
                let mut guard = ready!(watch.poll_read_ready(cx))?;
                let room = pipe.capacity();
                let result = splice(&self.socket, None, pipe.writer(), None, room, SPLICE);
                // However little came, the pipe's slots may be what ended the call.
                if let Some(result) = settle(result, &mut guard, |_| false) {
                    return Poll::Ready(result.inspect(|&n| pipe.filled(n)));
                }
            }
        })?
    }

    /// Sends what the socket takes out of a pipe that is not empty.
    pub fn poll_splice_to(&self, cx: &mut Context<'_>, pipe: &mut Pipe) -> Poll<io::Result<usize>> {
        debug_assert!(!pipe.is_empty(), "only the socket may be what blocks");
        self.before_send();
        self.look_again(cx);
        self.room(|watch| {
            loop {
                let mut guard = ready!(watch.poll_write_ready(cx))?;
                let left = pipe.len();
                let result = splice(pipe.reader(), None, &self.socket, None, left, SPLICE);
                if let Some(result) = settle(result, &mut guard, |_| false) {
                    self.after_send(&result);
                    return Poll::Ready(result.inspect(|&n| pipe.drained(n)));
                }
            }
        })?
    }
}
