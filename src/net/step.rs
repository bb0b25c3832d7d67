//! The places of a hot upgrade at which tests make it go wrong. Empty but for tests.

#[cfg(not(any(test, feature = "fault-injection")))]
pub use absent::space;
#[cfg(not(any(test, feature = "fault-injection")))]
pub(super) use absent::{claimed, received, releasing, sending};
#[cfg(any(test, feature = "fault-injection"))]
pub use present::{Fault, Step, arm, space};
#[cfg(any(test, feature = "fault-injection"))]
pub(super) use present::{claimed, received, releasing, sending};

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

    pub(in crate::net) const fn releasing() -> std::io::Result<()> {
        Ok(())
    }

    pub(in crate::net) const fn claimed() {}

    /// Whether tests let the disk have room for a file.
    pub const fn space() -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(any(test, feature = "fault-injection"))]
mod present {
    use std::io;
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
    /// Whether connections move by now, so that what is said before can be told from what is said
    /// then: `moving-counted`.
    static MOVES: AtomicBool = AtomicBool::new(false);

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

    /// Whether a message is meant by a name: that which is written in a frame.
    fn names(message: &Message) -> impl Fn(&str) -> bool + use<> {
        let text = serde_json::to_value(message).unwrap_or_default();
        let is = text["is"].as_str().unwrap_or_default().to_owned();
        let moves = MOVES.fetch_or(matches!(message, Message::Releases), Relaxed);
        move |name| match name.strip_prefix("moving-") {
            Some(name) => moves && name == is,
            None => name == is,
        }
    }

    fn die() {
        // It does not come back.
        let _ = raise(Signal::SIGKILL);
    }

    /// The message is on its way by then.
    fn die_soon() {
        std::thread::spawn(|| {
            std::thread::sleep(Duration::from_millis(20));
            die();
        });
    }

    /// Whether tests let the disk have room for a file.
    ///
    /// # Errors
    ///
    /// `ENOSPC` after [`Fault::Full`].
    pub fn space() -> io::Result<()> {
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
        let is_here = names(message);
        match armed(|step| matches!(step, Step::Send(name) if is_here(name))) {
            None => return Ok(Fate::Sent),
            Some(Fault::Kill) => die(),
            Some(Fault::Die) => die_soon(),
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
        let is_here = names(message);
        match armed(|step| matches!(step, Step::Receive(name) if is_here(name))) {
            Some(Fault::Kill) => die(),
            Some(Fault::Descriptors) => exhaust(),
            Some(Fault::Full) => FULL.store(true, Relaxed),
            Some(Fault::Sleep) => std::thread::sleep(Duration::from_secs(2)),
            Some(_) => tokio::time::sleep(Duration::from_millis(500)).await,
            None => {}
        }
    }

    /// The step `release`, which is written into a pipe: what would change a message on its way is a
    /// write that fails.
    ///
    /// # Errors
    ///
    /// That.
    pub(in crate::net) fn releasing() -> io::Result<()> {
        match armed(|step| *step == Step::Send("release".to_owned())) {
            None => return Ok(()),
            Some(Fault::Kill) => die(),
            Some(Fault::Die) => die_soon(),
            Some(Fault::Descriptors) => exhaust(),
            Some(Fault::Full) => FULL.store(true, Relaxed),
            Some(Fault::Delay) => std::thread::sleep(Duration::from_millis(500)),
            Some(Fault::Sleep) => std::thread::sleep(Duration::from_secs(2)),
            Some(Fault::Cut | Fault::Garble | Fault::Lose | Fault::Repeat | Fault::Version) => {
                return Err(Errno::EIO.into());
            }
        }
        Ok(())
    }

    /// A release was taken out of the pipe.
    pub(in crate::net) fn claimed() {
        match armed(|step| *step == Step::Receive("release".to_owned())) {
            Some(Fault::Kill) => die(),
            Some(Fault::Descriptors) => exhaust(),
            Some(Fault::Full) => FULL.store(true, Relaxed),
            Some(Fault::Sleep) => std::thread::sleep(Duration::from_secs(2)),
            Some(_) => std::thread::sleep(Duration::from_millis(500)),
            None => {}
        }
    }
}
