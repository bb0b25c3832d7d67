//! What a command says on stdout and stderr.

use std::fmt::Display;
use std::io::{self, Write};

use super::Exit;

/// Prints to stdout. A reader that went away has read enough.
pub(super) fn say(text: &impl Display) -> Exit {
    match write!(io::stdout().lock(), "{text}").and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Exit::Failed,
        _ => Exit::Normal,
    }
}

/// Prints a line to stderr, whether anyone reads it or not.
pub(super) fn tell(line: &impl Display) {
    let text = line.to_string();
    let _unread = writeln!(io::stderr().lock(), "{}", text.trim_end());
}

/// Takes an unfinished line off the terminal that stderr is.
pub(super) fn erase_line() {
    let mut out = io::stderr();
    let _unread = write!(out, "\r\x1b[K").and_then(|()| out.flush());
}

/// Tells why, and ends with `exit`.
pub(super) fn refuse(reason: &impl Display, exit: Exit) -> Exit {
    tell(reason);
    exit
}
