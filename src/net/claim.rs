//! What decides whose a connection is that moves to another process: a pipe that both of them read.
//!
//! The predecessor writes the number of each connection that it releases, and whoever takes the
//! number out has the connection: the kernel gives it to one of the two, whatever becomes of the
//! words that they say to each other, and whichever of them dies. Zero takes back what was not
//! released; an end without it is the end of the process that wrote. The end of a socket would not
//! tell those two apart.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{pipe2, read, write};
use tokio::net::unix::pipe::Receiver;

use super::step;

/// A number is written and read as a whole: the kernel splits no write that is so short, and no page
/// of a pipe ends within one.
const NUMBER_BYTES: usize = size_of::<u64>();

/// No connection's number: what was not released is taken back.
const TAKEN_BACK: u64 = 0;

/// The predecessor's side. Dropping it takes back what is left.
#[derive(Debug)]
pub struct Releases {
    reader: OwnedFd,
    writer: OwnedFd,
    is_over: bool,
}

impl Releases {
    /// A pipe in which nothing is.
    ///
    /// # Errors
    ///
    /// When this process is out of descriptors.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        Ok(Self {
            reader,
            writer,
            is_over: false,
        })
    }

    /// The end for the other process, which makes [`Claims`] of it.
    #[must_use]
    pub fn for_the_other(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    /// Releases the connection of this number, which is not zero. It belongs to whoever takes the
    /// number out.
    ///
    /// # Errors
    ///
    /// What the system said; the connection is not released then.
    pub fn release(&self, number: u64) -> io::Result<()> {
        step::releasing()?;
        match write(&self.writer, &number.to_be_bytes())? {
            NUMBER_BYTES => Ok(()),
            _ => Err(ErrorKind::WriteZero.into()),
        }
    }

    /// Takes back everything, for good. What was released and is not returned is the other
    /// process'.
    pub fn take_back(&mut self) -> BTreeSet<u64> {
        let mut left = BTreeSet::new();
        if !std::mem::replace(&mut self.is_over, true) {
            while let Ok(Some(number)) = take(&self.reader) {
                left.insert(number);
            }
            // There is room: the window of what is on its way is small.
            let _ = write(&self.writer, &TAKEN_BACK.to_be_bytes());
        }
        left
    }
}

impl Drop for Releases {
    fn drop(&mut self) {
        self.take_back();
    }
}

/// The successor's side.
#[derive(Debug)]
pub struct Claims(Receiver);

/// What the pipe says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The connection of this number is ours.
    Ours(u64),
    /// Everything else is the predecessor's.
    TakenBack,
    /// The predecessor has died, and has touched nothing of what was not released.
    Alone,
}

impl Claims {
    /// Of the end that the predecessor has sent.
    ///
    /// # Errors
    ///
    /// When it is no pipe.
    pub fn of(end: OwnedFd) -> io::Result<Self> {
        Receiver::from_owned_fd(end).map(Self)
    }

    /// Waits until there may be something to take.
    ///
    /// # Errors
    ///
    /// When the pipe cannot be watched.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is taken.
    pub async fn ready(&self) -> io::Result<()> {
        self.0.readable().await
    }

    /// Takes what is there; `None` when nothing is.
    ///
    /// # Errors
    ///
    /// When it is no pipe of ours.
    pub fn next(&self) -> io::Result<Option<Claim>> {
        let mut number = [0; NUMBER_BYTES];
        match self.0.try_read(&mut number) {
            Ok(0) => Ok(Some(Claim::Alone)),
            Ok(NUMBER_BYTES) => Ok(Some(match u64::from_be_bytes(number) {
                TAKEN_BACK => Claim::TakenBack,
                number => {
                    step::claimed();
                    Claim::Ours(number)
                }
            })),
            Ok(_) => Err(ErrorKind::InvalidData.into()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Takes a number out, if one is there.
fn take(reader: &OwnedFd) -> io::Result<Option<u64>> {
    let mut number = [0; NUMBER_BYTES];
    match read(reader, &mut number) {
        Ok(NUMBER_BYTES) => Ok(Some(u64::from_be_bytes(number))),
        Ok(_) | Err(Errno::EAGAIN) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn both() -> (Releases, Claims) {
        let releases = Releases::new().unwrap();
        let end = releases.for_the_other().try_clone_to_owned().unwrap();
        (releases, Claims::of(end).unwrap())
    }

    async fn next(claims: &Claims) -> Claim {
        let taken = async {
            loop {
                claims.ready().await.unwrap();
                if let Some(claim) = claims.next().unwrap() {
                    return claim;
                }
            }
        };
        timeout(Duration::from_secs(20), taken).await.unwrap()
    }

    #[tokio::test]
    async fn what_was_released_is_whose_it_was_taken_out_by() {
        let (mut releases, claims) = both();
        (1..=3).for_each(|number| releases.release(number).unwrap());

        assert_eq!(next(&claims).await, Claim::Ours(1));

        assert_eq!(releases.take_back(), BTreeSet::from([2, 3]));
        assert_eq!(releases.take_back(), BTreeSet::new());
        drop(releases);
        assert_eq!(next(&claims).await, Claim::TakenBack);
    }

    #[tokio::test]
    async fn what_drops_it_takes_back_too() {
        let (releases, claims) = both();
        releases.release(7).unwrap();

        drop(releases);

        assert_eq!(next(&claims).await, Claim::TakenBack);
    }

    #[tokio::test]
    async fn the_death_of_a_process_takes_nothing_back() {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap();
        write(&writer, &5_u64.to_be_bytes()).unwrap();
        let mut other = {
            // It would hold the writer, too.
            let mut command = Command::new("sleep");
            let holds = Stdio::from(writer);
            command.arg("60").stdout(holds).spawn().unwrap()
        };
        let claims = Claims::of(reader).unwrap();
        assert_eq!(next(&claims).await, Claim::Ours(5));
        assert_eq!(claims.next().unwrap(), None);

        other.kill().unwrap();

        assert_eq!(next(&claims).await, Claim::Alone);
        other.wait().unwrap();
    }

    #[test]
    fn two_that_take_at_once_never_take_the_same() {
        const MANY: u64 = 2000;
        let mut releases = Releases::new().unwrap();
        let other = releases.for_the_other().try_clone_to_owned().unwrap();
        (1..=MANY).for_each(|number| releases.release(number).unwrap());
        let takes = std::thread::spawn(move || {
            let mut taken = BTreeSet::new();
            while let Ok(Some(number)) = take(&other) {
                if number == TAKEN_BACK {
                    break;
                }
                taken.insert(number);
            }
            taken
        });

        let left = releases.take_back();

        let taken = takes.join().unwrap();
        assert!(left.is_disjoint(&taken));
        assert_eq!(left.len() + taken.len(), usize::try_from(MANY).unwrap());
    }
}
