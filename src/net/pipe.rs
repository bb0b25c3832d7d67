//! Pipes through which bytes move from socket to socket without being copied.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{pipe2, read};

/// How large a pipe is asked for: the most that Linux grants everyone. A quarter of it costs three
/// times the calls for each GB. Where it is refused, the default does.
const PIPE_BYTES: usize = 1024 * 1024;

/// Pipes that a worker keeps for reuse: two descriptors each, no memory while empty.
const KEPT: usize = 16;

thread_local! {
    static POOL: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

/// A pipe that knows how much is in it.
#[derive(Debug)]
pub struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
    capacity: usize,
    len: usize,
}

impl Pipe {
    fn open() -> io::Result<Self> {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let asked = fcntl(&writer, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES as i32));
        let capacity = asked.or_else(|_| fcntl(&writer, FcntlArg::F_GETPIPE_SZ))?;
        Ok(Self {
            reader,
            writer,
            capacity: usize::try_from(capacity).unwrap_or(PIPE_BYTES),
            len: 0,
        })
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes that it takes at most.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Takes out all that is in it.
    ///
    /// # Errors
    ///
    /// What the system said; what was not taken out is still there.
    pub fn take_out(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.len];
        let mut taken = 0;
        while taken < bytes.len() {
            let more = read(&self.reader, &mut bytes[taken..])?;
            if more == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            taken += more;
        }
        self.len = 0;
        Ok(bytes)
    }

    pub(super) fn reader(&self) -> impl AsFd {
        self.reader.as_fd()
    }

    pub(super) fn writer(&self) -> impl AsFd {
        self.writer.as_fd()
    }

    pub(super) fn filled(&mut self, bytes: usize) {
        self.len += bytes;
    }

    pub(super) fn drained(&mut self, bytes: usize) {
        self.len -= bytes;
    }
}

/// The pipes of this thread, kept for reuse.
#[derive(Debug)]
pub struct PipePool;

impl PipePool {
    /// Takes an empty pipe, opening one if none is kept.
    ///
    /// # Errors
    ///
    /// When the process is out of descriptors; bytes must then be copied.
    pub fn take() -> io::Result<Pipe> {
        POOL.with_borrow_mut(Vec::pop).map_or_else(Pipe::open, Ok)
    }

    /// Pipes that this thread keeps.
    #[cfg(test)]
    pub(crate) fn kept() -> usize {
        POOL.with_borrow(Vec::len)
    }

    /// Keeps a pipe for reuse, or closes it: if it is not empty, or enough are kept.
    pub fn give(pipe: Pipe) {
        POOL.with_borrow_mut(|kept| {
            if pipe.is_empty() && kept.len() < KEPT {
                kept.push(pipe);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_pipe_is_kept_and_only_so_many() {
        let mut full = PipePool::take().unwrap();
        full.filled(1);
        PipePool::give(full);
        assert_eq!(PipePool::kept(), 0);

        let pipes: Vec<_> = (0..KEPT + 3).map(|_| PipePool::take().unwrap()).collect();
        pipes.into_iter().for_each(PipePool::give);
        assert_eq!(PipePool::kept(), KEPT);
    }
}
