//! Says things to the service manager, in order, from a thread of its own: a manager that hangs must
//! hold up nothing here.

use std::fmt::Write;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, channel, sync_channel};
use std::thread;
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, sendmsg, socket,
};
use sd_notify::NotifyState;
use slog::{Logger, warn};

use super::words::Word;
use crate::net::Listening;

/// The variable by which the manager says where it listens.
pub(super) const SOCKET: &str = "NOTIFY_SOCKET";

/// Messages that wait. When it is full the manager has heard nothing for minutes, and what comes is
/// dropped.
const QUEUE: usize = 256;

/// How long the last word may take.
const LAST_WORD_WITHIN: Duration = Duration::from_secs(1);

/// Descriptors that one message can carry on Linux.
const MOST_DESCRIPTORS: usize = 253;

/// One message.
#[derive(Debug)]
pub(super) enum Message {
    /// Close all that is kept under this name.
    Forget(String),
    /// Keep these under this name.
    Keep(String, Vec<Arc<Listening>>),
    /// All at once.
    Words(Vec<Word>),
}

/// The thread that speaks.
#[derive(Debug)]
pub(super) struct Notifier {
    queue: SyncSender<Message>,
    /// Ends when the thread does.
    ended: Receiver<()>,
}

impl Notifier {
    pub(super) fn start(log: Logger) -> Self {
        let (queue, messages) = sync_channel(QUEUE);
        let (ends, ended) = channel();
        let speak = move || {
            // It is dropped with the thread.
            let _ends = ends;
            let mut trouble = None;
            for message in messages {
                let failed = say(message).err().map(|error| error.to_string());
                if let Some(error) = failed.as_ref().filter(|_| failed != trouble) {
                    warn!(
                        log,
                        "the service manager cannot be told anything: {}", error
                    );
                }
                trouble = failed;
            }
        };
        let thread = thread::Builder::new().name("systemd".to_owned());
        // Without the thread its receiver is gone, and everything is dropped.
        let _started = thread.spawn(speak);
        Self { queue, ended }
    }

    /// Has it said; when the manager does not listen, it is dropped.
    pub(super) fn tell(&self, message: Message) {
        match self.queue.try_send(message) {
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }

    /// Waits a moment until everything is said.
    pub(super) fn close(self) {
        drop(self.queue);
        let _over = self.ended.recv_timeout(LAST_WORD_WITHIN);
    }
}

fn say(message: Message) -> io::Result<()> {
    match message {
        Message::Forget(name) => send(
            &[NotifyState::FdStoreRemove, NotifyState::FdName(&name)],
            &[],
        ),
        Message::Keep(name, sockets) => {
            for some in sockets.chunks(MOST_DESCRIPTORS) {
                let descriptors: Vec<RawFd> = some
                    .iter()
                    .map(|socket| socket.as_fd().as_raw_fd())
                    .collect();
                let state = [NotifyState::FdStore, NotifyState::FdName(&name)];
                send(&state, &descriptors)?;
            }
            Ok(())
        }
        Message::Words(words) => {
            let mut states = Vec::with_capacity(words.len() + 1);
            for word in &words {
                states.push(state(word));
                if *word == Word::Reloading {
                    states.push(NotifyState::monotonic_usec_now()?);
                }
            }
            send(&states, &[])
        }
    }
}

/// Sends one message. (`sd_notify` has no way to a socket whose name is abstract.)
fn send(states: &[NotifyState<'_>], descriptors: &[RawFd]) -> io::Result<()> {
    let Some(name) = std::env::var_os(SOCKET) else {
        return Ok(());
    };
    let address = match name.as_bytes() {
        [b'@', name @ ..] => UnixAddr::new_abstract(name)?,
        path => UnixAddr::new(path)?,
    };
    let mut text = String::new();
    for state in states {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{state}");
    }
    let from = socket(
        AddressFamily::Unix,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    let rights = [ControlMessage::ScmRights(descriptors)];
    let beside = if descriptors.is_empty() {
        &[]
    } else {
        &rights[..]
    };
    let text = [IoSlice::new(text.as_bytes())];
    let flags = MsgFlags::MSG_NOSIGNAL;
    sendmsg(from.as_raw_fd(), &text, beside, flags, Some(&address))?;
    Ok(())
}

fn state(word: &Word) -> NotifyState<'_> {
    match word {
        Word::Extend(time) => {
            NotifyState::ExtendTimeoutUsec(u32::try_from(time.as_micros()).unwrap_or(u32::MAX))
        }
        Word::MainPid => NotifyState::MainPid(std::process::id()),
        Word::Ready => NotifyState::Ready,
        Word::Reloading => NotifyState::Reloading,
        Word::Status(text) => NotifyState::Status(text),
        Word::Stopping => NotifyState::Stopping,
        Word::Watchdog => NotifyState::Watchdog,
    }
}
