//! A pledge of one process to another to leave something alone, which its death keeps.
//!
//! It is a pipe: a byte takes the pledge back, and an end without one is the end of the process that
//! gave it. The end of a socket would not tell the two apart.

use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

/// A pledge that was given. Dropping it takes it back.
#[derive(Debug)]
pub struct Pledge(PipeWriter);

/// The other end of a [`Pledge`], for the other process.
#[derive(Debug)]
pub struct Token(PipeReader);

/// What has become of a pledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Whoever gave it died before it took it back.
    Kept,
    /// It was taken back.
    TakenBack,
}

impl Pledge {
    /// Gives a pledge.
    ///
    /// # Errors
    ///
    /// When this process is out of descriptors.
    pub fn new() -> io::Result<(Self, Token)> {
        let (reader, writer) = io::pipe()?;
        Ok((Self(writer), Token(reader)))
    }

    /// Takes it back, for good.
    pub fn take_back(&mut self) {
        // The pipe has room for that, and where nobody is there nobody relies on it.
        let _ = self.0.write(&[0]);
    }
}

impl Drop for Pledge {
    fn drop(&mut self) {
        self.take_back();
    }
}

impl AsFd for Token {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until it is known what has become of the pledge of which this is the [`Token`].
///
/// # Errors
///
/// When it is no such thing.
pub async fn fate_of(token: OwnedFd) -> io::Result<Outcome> {
    let mut pipe = Receiver::from_owned_fd(token)?;
    match pipe.read(&mut [0]).await? {
        0 => Ok(Outcome::Kept),
        _ => Ok(Outcome::TakenBack),
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::process::Command;

    use std::time::Duration;

    use futures::FutureExt;
    use tokio::time::timeout;

    use super::*;

    fn given() -> (Pledge, OwnedFd) {
        let (pledge, token) = Pledge::new().unwrap();
        let there = token.as_fd().try_clone_to_owned().unwrap();
        (pledge, there)
    }

    #[tokio::test]
    async fn a_pledge_is_taken_back_by_word_or_by_whatever_drops_it() {
        let (mut pledge, there) = given();
        pledge.take_back();
        assert_eq!(fate_of(there).await.unwrap(), Outcome::TakenBack);
        let (pledge, there) = given();
        drop(pledge);
        assert_eq!(fate_of(there).await.unwrap(), Outcome::TakenBack);
    }

    #[tokio::test]
    async fn the_death_of_a_process_keeps_it() {
        let (reader, writer) = io::pipe().unwrap();
        let mut other = {
            // It would hold the writer, too.
            let mut command = Command::new("sleep");
            command.arg("60").stdout(writer).spawn().unwrap()
        };
        let mut fate = pin!(fate_of(reader.into()));
        assert!(fate.as_mut().now_or_never().is_none());

        other.kill().unwrap();

        let fate = timeout(Duration::from_secs(20), fate).await;
        assert_eq!(fate.unwrap().unwrap(), Outcome::Kept);
        other.wait().unwrap();
    }
}
