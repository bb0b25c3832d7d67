//! The control socket of a process: its file tells who is in charge.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg, OFlag, open};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket,
};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::geteuid;
use tokio::net::UnixListener;
use tokio::time::{Instant, sleep};

use super::handover::{Peer, Talk};
use super::step;

/// The name of the control socket in its directory, as MOSN has it.
const NAME: &str = "reconfig.sock";

/// What sockets are called that are not in charge, or not yet.
const UNFINISHED: &str = ".reconfig.sock.";

/// Names that are tried for one that is free; only processes of equal number can meet there.
const NAMES: u32 = 100;

/// Longer paths fit into no socket address (108 bytes with the end of it).
const LONGEST_PATH: usize = 100;

/// So old is a file that is surely not of a process which has bound it and does not listen yet.
const STALE: Duration = Duration::from_secs(10);

/// How often a lock is asked for that somebody else has.
const LOCK_POLL: Duration = Duration::from_millis(5);

/// A control socket, whose file is this process' own.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    directory: PathBuf,
    /// Where its file is while it is not in charge.
    unfinished: PathBuf,
    device: u64,
    inode: u64,
}

impl Control {
    /// Where the one that is in charge of this directory accepts.
    #[must_use]
    pub fn path_in(directory: &Path) -> PathBuf {
        directory.join(NAME)
    }

    /// Opens a control socket that is not in charge yet. Only this user may connect to it.
    ///
    /// Files that killed processes have left behind are removed.
    ///
    /// # Errors
    ///
    /// When the directory cannot be written, or the system refuses.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn open(directory: &Path) -> io::Result<Self> {
        sweep(directory);
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
        // The file gets the mode of the socket, so that at no moment anyone else may connect.
        fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
        step::space()?;
        let unfinished = bind_anywhere(&socket, directory)?;
        let opened = listen(&socket, Backlog::new(64)?)
            .map_err(io::Error::from)
            .and_then(|()| fs::symlink_metadata(&unfinished))
            .and_then(|file| Ok((file, UnixListener::from_std(socket.into())?)));
        let (file, listener) = opened.inspect_err(|_| {
            let _ = fs::remove_file(&unfinished);
        })?;
        Ok(Self {
            listener,
            directory: directory.to_owned(),
            unfinished,
            device: file.dev(),
            inode: file.ino(),
        })
    }

    /// Puts it in charge: from now on it is the one that others find. `lock` is that of its
    /// directory.
    ///
    /// # Errors
    ///
    /// When the file cannot be renamed; the one before stays then.
    pub fn take_charge(&self, _lock: &DirectoryLock) -> io::Result<()> {
        fs::rename(&self.unfinished, Self::path_in(&self.directory))
    }

    /// Whether it is the one that others find.
    #[must_use]
    pub fn is_in_charge(&self) -> bool {
        self.is_at(&Self::path_in(&self.directory))
    }

    /// Waits for the next one who calls, and who is this user or the superuser.
    ///
    /// # Errors
    ///
    /// What accept(2) says; [`io::ErrorKind::PermissionDenied`] for anyone else.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn accept(&self) -> io::Result<(Talk, Peer)> {
        let (stream, _) = self.listener.accept().await?;
        let talk = Talk::of(stream);
        let peer = talk.peer()?;
        if peer.uid != geteuid().as_raw() && peer.uid != 0 {
            let who = format!("a process of user {} called", peer.uid);
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, who));
        }
        Ok((talk, peer))
    }

    fn is_at(&self, path: &Path) -> bool {
        fs::symlink_metadata(path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode))
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // Never a file of somebody else.
        for path in [Self::path_in(&self.directory), self.unfinished.clone()] {
            if self.is_at(&path) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// Whether anyone accepts at the control socket of this directory.
///
/// # Errors
///
/// When that cannot be told: it is there, and may not be connected to.
pub fn is_anyone_in_charge(directory: &Path) -> io::Result<bool> {
    is_accepted_on(&Control::path_in(directory))
}

/// Held by whoever looks who is in charge, and does something that depends on it.
#[derive(Debug)]
pub struct DirectoryLock(#[expect(dead_code, reason = "held, not used")] Flock<File>);

impl DirectoryLock {
    /// Waits for the lock of a directory.
    ///
    /// # Errors
    ///
    /// When the directory cannot be opened; [`io::ErrorKind::TimedOut`] when somebody else has kept
    /// it all the time.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn take(directory: &Path, within: Duration) -> io::Result<Self> {
        let deadline = Instant::now() + within;
        let mut file = File::open(directory)?;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(locked) => return Ok(Self(locked)),
                Err((_, errno)) if errno != nix::errno::Errno::EWOULDBLOCK => {
                    return Err(errno.into());
                }
                Err((_, _)) if Instant::now() >= deadline => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err((back, _)) => file = back,
            }
            sleep(LOCK_POLL).await;
        }
    }
}

/// A path of any length as one that fits into a socket address.
#[derive(Debug)]
pub(super) struct Reach {
    path: PathBuf,
    _directory: Option<OwnedFd>,
}

impl Reach {
    pub(super) fn to(path: &Path) -> io::Result<Self> {
        if path.as_os_str().as_bytes().len() <= LONGEST_PATH {
            return Ok(Self {
                path: path.to_owned(),
                _directory: None,
            });
        }
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory = open(directory, flags, Mode::empty())?;
        let number = directory.as_raw_fd();
        Ok(Self {
            path: Path::new("/proc/self/fd")
                .join(number.to_string())
                .join(name),
            _directory: Some(directory),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn bind_anywhere(socket: &OwnedFd, directory: &Path) -> io::Result<PathBuf> {
    let mut last = io::ErrorKind::AddrInUse.into();
    for number in 0..NAMES {
        let path = directory.join(format!("{UNFINISHED}{}.{number}", process::id()));
        let reach = Reach::to(&path)?;
        match bind(socket.as_raw_fd(), &UnixAddr::new(reach.path())?) {
            Ok(()) => return Ok(path),
            Err(nix::errno::Errno::EADDRINUSE) => last = io::ErrorKind::AddrInUse.into(),
            Err(error) => return Err(error.into()),
        }
    }
    Err(last)
}

fn is_accepted_on(path: &Path) -> io::Result<bool> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let probe = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    let reach = Reach::to(path)?;
    let connected = connect(probe.as_raw_fd(), &UnixAddr::new(reach.path())?);
    match connected.map_err(io::Error::from) {
        Ok(()) => Ok(true),
        Err(error) => match error.kind() {
            // A full queue is somebody's too.
            io::ErrorKind::WouldBlock => Ok(true),
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(false),
            _ => Err(error),
        },
    }
}

/// Removes sockets that were never put in charge and on which nobody accepts any more.
fn sweep(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().unwrap_or_default().as_bytes();
        if name.starts_with(UNFINISHED.as_bytes())
            && is_old(&path)
            && is_accepted_on(&path).is_ok_and(|is| !is)
        {
            let _ = fs::remove_file(path);
        }
    }
}

fn is_old(path: &Path) -> bool {
    let changed = fs::symlink_metadata(path).and_then(|file| file.modified());
    changed.is_ok_and(|changed| changed.elapsed().is_ok_and(|age| age > STALE))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use nix::sys::stat::{UtimensatFlags, utimensat};
    use nix::sys::time::TimeSpec;

    use super::*;
    use crate::protocol::handover::Message;

    const SOON: Duration = Duration::from_secs(10);

    async fn charge(control: &Control, directory: &Path) {
        let lock = DirectoryLock::take(directory, SOON).await.unwrap();
        control.take_charge(&lock).unwrap();
    }

    fn files(directory: &Path) -> usize {
        fs::read_dir(directory).unwrap().count()
    }

    #[tokio::test]
    async fn only_its_own_file_is_removed_and_only_this_user_may_connect() {
        let directory = tempfile::tempdir().unwrap();
        let path = Control::path_in(directory.path());
        let old = Control::open(directory.path()).unwrap();
        assert!(!old.is_in_charge() && !path.exists());
        charge(&old, directory.path()).await;
        assert!(old.is_in_charge());
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let new = Control::open(directory.path()).unwrap();
        assert!(old.is_in_charge());
        charge(&new, directory.path()).await;
        assert!(new.is_in_charge() && !old.is_in_charge());
        drop(old);
        assert!(is_anyone_in_charge(directory.path()).unwrap());
        drop(new);
        assert_eq!(files(directory.path()), 0);
    }

    #[tokio::test]
    async fn what_killed_processes_leave_is_swept_and_the_living_are_left() {
        let directory = tempfile::tempdir().unwrap();
        let stale = directory.path().join(".reconfig.sock.1.0");
        drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
        let long_ago = TimeSpec::new(1, 0);
        let here = nix::fcntl::AT_FDCWD;
        utimensat(
            here,
            &stale,
            &long_ago,
            &long_ago,
            UtimensatFlags::NoFollowSymlink,
        )
        .unwrap();
        let one = Control::open(directory.path()).unwrap();
        let _two = Control::open(directory.path()).unwrap();
        assert_eq!(files(directory.path()), 2);
        drop(one);
        assert_eq!(files(directory.path()), 1);
    }

    #[tokio::test]
    async fn a_path_may_be_longer_than_a_socket_address() {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("d".repeat(150));
        fs::create_dir(&deep).unwrap();
        let control = Control::open(&deep).unwrap();
        charge(&control, &deep).await;
        let path = Control::path_in(&deep);
        let (called, accepted) = tokio::join!(Talk::connect(&path, SOON), control.accept());
        let (mut talk, peer) = accepted.unwrap();
        called
            .unwrap()
            .send(&Message::Commit, b"", &[])
            .await
            .unwrap();
        assert_eq!(talk.receive().await.unwrap().message, Message::Commit);
        assert_eq!(peer.pid, process::id());
    }

    #[tokio::test]
    async fn a_lock_that_somebody_keeps_is_given_up_in_time() {
        let directory = tempfile::tempdir().unwrap();
        let _held = DirectoryLock::take(directory.path(), SOON).await.unwrap();
        let refused = DirectoryLock::take(directory.path(), Duration::from_millis(20)).await;
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
