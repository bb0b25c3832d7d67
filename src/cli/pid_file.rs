//! The pid file: written whole or not at all, removed only by the process it names.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::Pid;

use crate::net::space;

/// The pid file of this process, removed when dropped unless another process has taken it over.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    pid: Pid,
    /// Device and inode: in another container another process may have the same number.
    place: (u64, u64),
}

impl PidFile {
    /// Writes `pid` to `path`, whatever is there, and makes its directory if it is missing.
    ///
    /// # Errors
    ///
    /// When the directory or the file cannot be written; an earlier file is untouched then.
    pub fn write(path: &Path, pid: Pid) -> io::Result<Self> {
        let directory = path.parent().unwrap_or_else(|| Path::new(""));
        if directory != Path::new("") {
            DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(directory)?;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let unfinished = path.with_file_name(format!(".{name}.{pid}"));
        let written = fill(&unfinished, pid)
            .and_then(|place| fs::rename(&unfinished, path).map(|()| place))
            .inspect_err(|_| {
                // It may not even be there.
                let _absent = fs::remove_file(&unfinished);
            })?;
        Ok(Self {
            path: path.to_owned(),
            pid,
            place: written,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn fill(path: &Path, pid: Pid) -> io::Result<(u64, u64)> {
    space()?;
    let mut options = File::options();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(path)?;
    writeln!(file, "{pid}")?;
    let file = file.metadata()?;
    Ok((file.dev(), file.ino()))
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path).map(|file| (file.dev(), file.ino()));
        let is_ours = found.is_ok_and(|place| place == self.place);
        // Who writes into the file, and not anew, has taken it over as well.
        if is_ours && read(&self.path).is_ok_and(|pid| pid == self.pid) {
            // Somebody else may have removed it since; it is gone either way.
            let _gone = fs::remove_file(&self.path);
        }
    }
}

/// Reads the process that a pid file names.
///
/// # Errors
///
/// When the file cannot be read or does not name one process.
pub fn read(path: &Path) -> io::Result<Pid> {
    let named = |kind, reason: &dyn std::fmt::Display| {
        io::Error::new(kind, format!("{}: {reason}", path.display()))
    };
    let text = fs::read_to_string(path).map_err(|error| named(error.kind(), &error))?;
    match text.trim().parse() {
        // Zero and below would mean groups of processes.
        Ok(pid) if pid > 0 => Ok(Pid::from_raw(pid)),
        _ => Err(named(
            io::ErrorKind::InvalidData,
            &format_args!("no process id: {:?}", text.trim()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn at(directory: &tempfile::TempDir) -> PathBuf {
        directory.path().join("logs/mosn.pid")
    }

    #[test]
    fn it_lives_as_long_as_its_process() {
        let directory = tempfile::tempdir().unwrap();
        let path = at(&directory);
        let file = PidFile::write(&path, Pid::from_raw(42)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "42\n");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o644
        );
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_file_is_overwritten_and_a_successors_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = at(&directory);
        let old = PidFile::write(&path, Pid::from_raw(42)).unwrap();
        let new = PidFile::write(&path, Pid::from_raw(43)).unwrap();
        drop(old);
        assert_eq!(read(&path).unwrap(), Pid::from_raw(43));
        drop(new);
    }

    #[test]
    fn the_file_of_a_successor_of_the_same_number_in_another_container_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = at(&directory);
        let first = Pid::from_raw(1);
        let old = PidFile::write(&path, first).unwrap();
        let new = PidFile::write(&path, first).unwrap();
        drop(old);
        assert_eq!(read(&path).unwrap(), first);
        drop(new);
        assert!(!path.exists());
    }

    #[test]
    fn only_one_process_can_be_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        for text in ["", "0", "-1", "nginx"] {
            fs::write(&path, text).unwrap();
            assert!(read(&path).is_err(), "{text}");
        }
    }
}
