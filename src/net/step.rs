//! The places of a hot upgrade at which tests make it go wrong. Empty but for tests.

#[cfg(not(any(test, feature = "fault-injection")))]
pub use absent::space;
#[cfg(not(any(test, feature = "fault-injection")))]
pub(super) use absent::{received, sending};
#[cfg(any(test, feature = "fault-injection"))]
pub use present::{Fault, Step, arm, space};
#[cfg(any(test, feature = "fault-injection"))]
pub(super) use present::{received, sending};

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is sent as it is now.
    Sent,
    /// It is not sent, and the sender does not know.
    Lost,
}

#[cfg(not(any(test, feature = "fault-injection")))]
mod absent {
    use super::Fate;
    use crate::net::handover::TalkError;
    use crate::protocol::handover::Message;

    pub(in crate::net) async fn sending(_: &Message, _: &mut Vec<u8>) -> Result<Fate, TalkError> {
        Ok(Fate::Sent)
    }

    pub(in crate::net) async fn received(_: &Message) {}

    /// Whether tests let the disk have room for a file.
    pub const fn space() -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(any(test, feature = "fault-injection"))]
mod present {
    use std::str::FromStr;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::time::Duration;

    use nix::errno::Errno;
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    use nix::sys::signal::{Signal, raise};

    use super::Fate;
    use crate::net::handover::TalkError;
    use crate::protocol::handover::Message;

    static ARMED: OnceLock<(Step, Fault)> = OnceLock::new();
    static FIRED: AtomicBool = AtomicBool::new(false);
    static FULL: AtomicBool = AtomicBool::new(false);

    /// A place: a message that is about to be sent, or was just received.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Step {
        /// By the name of the message.
        Send(String),
        /// By the name of the message.
        Receive(String),
    }

    /// What goes wrong there.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Fault {
        /// Only a part of the message is sent, and then nothing ever again.
        Cut,
        /// The message is sent half a second late.
        Delay,
        /// The process can open nothing more for a while.
        Descriptors,
        /// The message is sent, and then the process is killed.
        Die,
        /// No file can be made any more.
        Full,
        /// A byte of it is another one.
        Garble,
        /// The process is killed.
        Kill,
        /// The message is not sent.
        Lose,
        /// The message is sent twice.
        Repeat,
        /// The process stops for a while, as in a debugger.
        Sleep,
        /// The message says that it is of another version.
        Version,
    }

    /// `send:accepting:kill`
    impl FromStr for Step {
        type Err = ();

        fn from_str(text: &str) -> Result<Self, ()> {
            match text.split_once(':') {
                Some(("send", name)) => Ok(Self::Send(name.to_owned())),
                Some(("receive", name)) => Ok(Self::Receive(name.to_owned())),
                _ => Err(()),
            }
        }
    }

    impl FromStr for Fault {
        type Err = ();

        fn from_str(text: &str) -> Result<Self, ()> {
            Ok(match text {
                "cut" => Self::Cut,
                "delay" => Self::Delay,
                "descriptors" => Self::Descriptors,
                "die" => Self::Die,
                "full" => Self::Full,
                "garble" => Self::Garble,
                "kill" => Self::Kill,
                "lose" => Self::Lose,
                "repeat" => Self::Repeat,
                "sleep" => Self::Sleep,
                "version" => Self::Version,
                _ => return Err(()),
            })
        }
    }

    /// Has this go wrong at this step, the first time that it comes there.
    pub fn arm(step: Step, fault: Fault) {
        let _already = ARMED.set((step, fault));
    }

    fn armed(here: impl FnOnce(&Step) -> bool) -> Option<Fault> {
        let (_, fault) = ARMED.get().filter(|(step, _)| here(step))?;
        (!FIRED.swap(true, Relaxed)).then_some(*fault)
    }

    /// As it is written in a frame.
    fn name(message: &Message) -> String {
        let text = serde_json::to_value(message).unwrap_or_default();
        text["is"].as_str().unwrap_or_default().to_owned()
    }

    fn die() {
        // It does not come back.
        let _ = raise(Signal::SIGKILL);
    }

    /// Whether tests let the disk have room for a file.
    ///
    /// # Errors
    ///
    /// `ENOSPC` after [`Fault::Full`].
    pub fn space() -> std::io::Result<()> {
        match FULL.load(Relaxed) {
            true => Err(Errno::ENOSPC.into()),
            false => Ok(()),
        }
    }

    /// Lets the process open nothing more for a second.
    fn exhaust() {
        let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
            return;
        };
        // Numbers below it are taken, or nearly so.
        let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        let limited = setrlimit(Resource::RLIMIT_NOFILE, open as u64, hard);
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(1));
            limited.and_then(|()| setrlimit(Resource::RLIMIT_NOFILE, soft, hard))
        });
    }

    pub(in crate::net) async fn sending(
        message: &Message,
        frame: &mut Vec<u8>,
    ) -> Result<Fate, TalkError> {
        let here = |step: &Step| *step == Step::Send(name(message));
        match armed(here) {
            None => return Ok(Fate::Sent),
            Some(Fault::Kill) => die(),
            Some(Fault::Die) => {
                std::thread::spawn(|| {
                    // The message is on its way by then.
                    std::thread::sleep(Duration::from_millis(20));
                    die();
                });
            }
            Some(Fault::Descriptors) => exhaust(),
            Some(Fault::Full) => FULL.store(true, Relaxed),
            Some(Fault::Lose) => return Ok(Fate::Lost),
            Some(Fault::Delay) => tokio::time::sleep(Duration::from_millis(500)).await,
            Some(Fault::Sleep) => std::thread::sleep(Duration::from_secs(2)),
            Some(Fault::Cut) => frame.truncate(frame.len() - 1),
            Some(Fault::Garble) => {
                if let Some(last) = frame.last_mut() {
                    *last ^= 0x20;
                }
            }
            Some(Fault::Repeat) => frame.extend_from_within(..),
            Some(Fault::Version) => frame[5] = 9,
        }
        Ok(Fate::Sent)
    }

    pub(in crate::net) async fn received(message: &Message) {
        let here = |step: &Step| *step == Step::Receive(name(message));
        match armed(here) {
            Some(Fault::Kill) => die(),
            Some(Fault::Descriptors) => exhaust(),
            Some(Fault::Full) => FULL.store(true, Relaxed),
            Some(Fault::Sleep) => std::thread::sleep(Duration::from_secs(2)),
            Some(_) => tokio::time::sleep(Duration::from_millis(500)).await,
            None => {}
        }
    }
}
