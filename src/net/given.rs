//! Listening sockets that the process was started with.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A listening socket that the process was started with.
#[derive(Debug)]
pub struct Given {
    /// The name of the listener that it is for, or whatever it is called.
    pub name: String,
    /// Whose it is.
    pub keeper: Keeper,
    /// Its file, if it is a unix socket of an earlier life: the kernel knows that by another path,
    /// at which it was made.
    pub file: Option<FileLeft>,
    /// The socket.
    pub socket: OwnedFd,
}

/// The file of a unix socket that an earlier life of this process has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileLeft {
    /// Where it was.
    pub path: PathBuf,
    /// The device and the inode that it had.
    pub place: (u64, u64),
}

/// Who has bound a socket that the process was started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keeper {
    /// Whoever has started the process; the file of a unix socket stays theirs.
    Starter,
    /// A life of this process before this one, which has left it in safe keeping.
    EarlierLife,
}

/// Takes the descriptors that the process was started with, which is possible once: later there are
/// none. They must be open.
pub fn take_descriptors(numbers: impl Iterator<Item = RawFd>) -> Vec<OwnedFd> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Relaxed) {
        return Vec::new();
    }
    #[expect(unsafe_code, reason = "what was there before main has no owner yet")]
    let own = |number| {
        // SAFETY: whoever started this process has opened it for it, and says so; nothing here knows
        // its number but by that word, which is taken once.
        unsafe { OwnedFd::from_raw_fd(number) }
    };
    numbers.map(own).collect()
}
