//! Signals as a stream of events.

use std::fmt;
use std::io;

use tokio::signal::unix::{self, SignalKind, signal};

/// What the process is asked by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: drain, then end.
    Terminate,
    /// SIGINT: end now.
    Interrupt,
    /// SIGQUIT: end now.
    Quit,
    /// SIGUSR1: reopen log files.
    ReopenLogs,
    /// SIGHUP: read the configuration again.
    Hangup,
    /// No signal: the configuration file was edited, and is watched.
    Edited,
    /// SIGUSR2: start a process that takes over.
    Upgrade,
}

/// Go's name, which MOSN's logs have.
impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminate => "terminated",
            Self::Interrupt => "interrupt",
            Self::Quit => "quit",
            Self::ReopenLogs => "user defined signal 1",
            Self::Hangup => "hangup",
            Self::Edited => "configuration file edited",
            Self::Upgrade => "user defined signal 2",
        })
    }
}

/// The signals of this process, from [`Self::listen`] on.
#[derive(Debug)]
pub struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    quit: unix::Signal,
    reopen_logs: unix::Signal,
    hangup: unix::Signal,
    upgrade: unix::Signal,
}

impl Signals {
    /// Takes the signals over from the system, for good.
    ///
    /// # Errors
    ///
    /// When a handler cannot be installed.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            reopen_logs: signal(SignalKind::user_defined1())?,
            hangup: signal(SignalKind::hangup())?,
            upgrade: signal(SignalKind::user_defined2())?,
        })
    }

    /// The next signal.
    ///
    /// # Cancel safety
    ///
    /// It is cancel safe: no signal is lost, though several of one kind may become one.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            // Who wants an end now must not wait behind who wants it soon.
            biased;
            _ = self.quit.recv() => Signal::Quit,
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.reopen_logs.recv() => Signal::ReopenLogs,
            _ = self.hangup.recv() => Signal::Hangup,
            _ = self.upgrade.recv() => Signal::Upgrade,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{Signal as Number, raise};

    #[tokio::test]
    async fn a_signal_becomes_an_event() {
        let mut signals = Signals::listen().unwrap();
        for (number, event, name) in [
            (Number::SIGUSR1, Signal::ReopenLogs, "user defined signal 1"),
            (Number::SIGHUP, Signal::Hangup, "hangup"),
            (Number::SIGTERM, Signal::Terminate, "terminated"),
        ] {
            raise(number).unwrap();
            let received = signals.next().await;
            assert_eq!((received, received.to_string().as_str()), (event, name));
        }
    }
}
