//! The file of a unix socket: made without a gap, refused where it is somebody's, removed by whose it is.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use socket2::{Domain, SockAddr, Socket, Type};

use super::BACKLOG;

/// Binds a name of its own beside `path` and renames it over: at every moment either the old
/// socket or the new one is there.
///
/// Its file has the given mode, or the one that the process gives any.
pub(super) fn bind(path: &Path, mode: Option<u32>) -> io::Result<(Socket, SocketFile)> {
    refuse_if_accepted_on(path)?;
    let socket = socket()?;
    let fresh = Fresh::beside(path);
    socket.bind(&SockAddr::unix(&fresh.0)?)?;
    if let Some(mode) = mode {
        // Before it listens: nobody has connected until then.
        fs::set_permissions(&fresh.0, fs::Permissions::from_mode(mode))?;
    }
    socket.listen(BACKLOG)?;
    let file = SocketFile::at(&fresh.0, path)?;
    fs::rename(&fresh.0, path)?;
    Ok((socket, file))
}

fn socket() -> io::Result<Socket> {
    Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)
}

/// Refuses a path at which somebody accepts, or which is something else than a socket.
fn refuse_if_accepted_on(path: &Path) -> io::Result<()> {
    let probe = socket()?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            if fs::symlink_metadata(path)?.file_type().is_socket() {
                Ok(())
            } else {
                Err(io::ErrorKind::AlreadyExists.into())
            }
        }
        // A full queue is somebody's too.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(io::ErrorKind::AddrInUse.into())
        }
        Err(error) => Err(error),
        Ok(()) => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// A file name that nobody else uses, removed unless it was renamed.
struct Fresh(PathBuf);

impl Fresh {
    /// Short, since the name of a socket file is bounded by 108 bytes.
    fn beside(path: &Path) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(path.with_file_name(format!(".{}-{number}", process::id())))
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The file of a unix socket that this process made.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
    /// Whether it goes with this process' socket.
    owned: AtomicBool,
}

impl SocketFile {
    /// One that another process has made, and may leave to this one.
    pub(super) fn of_another(path: &Path, (device, inode): (u64, u64)) -> Self {
        Self {
            path: path.to_owned(),
            device,
            inode,
            owned: AtomicBool::new(false),
        }
    }

    /// Its device and inode.
    pub(super) fn place(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// Whether it is removed with this process' socket.
    pub(super) fn set_owned(&self, owned: bool) {
        self.owned.store(owned, Ordering::Relaxed);
    }

    /// The file that is now at `now` and will be at `path`.
    pub(super) fn at(now: &Path, path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(now)?;
        Ok(Self {
            path: path.to_owned(),
            device: metadata.dev(),
            inode: metadata.ino(),
            owned: AtomicBool::new(true),
        })
    }

    fn is_ours(&self) -> bool {
        let is_it = |found: fs::Metadata| (found.dev(), found.ino()) == (self.device, self.inode);
        self.owned.load(Ordering::Relaxed) && fs::symlink_metadata(&self.path).is_ok_and(is_it)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_ours() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn a_stale_socket_file_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        drop(UnixListener::bind(&path).unwrap());
        let _bound = bind(&path, None).unwrap();
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn a_socket_file_that_somebody_accepts_on_is_refused_and_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let _other = UnixListener::bind(&path).unwrap();
        let error = bind(&path, None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notes.txt");
        fs::write(&path, "precious").unwrap();
        let error = bind(&path, None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn a_socket_file_that_another_put_there_is_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let bound = bind(&path, None).unwrap();
        fs::remove_file(&path).unwrap();
        let _other = UnixListener::bind(&path).unwrap();
        drop(bound);
        UnixStream::connect(&path).unwrap();
    }
}
