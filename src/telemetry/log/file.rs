//! A log file: opened for appending, reopened on request, rolled when due.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;

use super::clock::local_seconds;
use super::roll::{self, Compress, Roller};

#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    end: End,
    bytes: u64,
    /// Local time at which the lines in it begin, as far as is known.
    begun: i64,
    roller: Roller,
    zone: TimeZone,
    /// Removes and compresses old files; one at a time.
    tidying: Option<JoinHandle<()>>,
}

/// What the last write left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Whole,
    /// Perhaps a piece of a line, which must not become the start of the next one.
    Torn,
}

impl LogFile {
    /// Opens `path`, and its directory with it. A file left from an earlier period is rolled first.
    pub(super) fn open(
        path: &Path,
        roller: Roller,
        zone: &TimeZone,
        now: Duration,
    ) -> io::Result<Self> {
        let (file, bytes, begun) = open(path, zone, now)?;
        let mut opened = Self {
            path: path.to_owned(),
            file,
            end: End::Whole,
            bytes,
            begun,
            roller,
            zone: zone.clone(),
            tidying: None,
        };
        opened.roll_if_due(0, now)?;
        Ok(opened)
    }

    /// Closes the file and opens what now has its name. Where it cannot be opened, the old file goes
    /// on.
    pub(super) fn reopen(&mut self, now: Duration) -> io::Result<()> {
        (self.file, self.bytes, self.begun) =
            open(&self.path, &self.zone, now).map_err(|error| {
                let path = self.path.display();
                io::Error::new(error.kind(), format!("{path}: {error}"))
            })?;
        self.end = End::Whole;
        Ok(())
    }

    /// Appends, to this file whatever its size: see [`Self::roll_if_due`].
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.end == End::Torn {
            self.file.write_all(b"\n")?;
        }
        self.end = End::Torn;
        self.file.write_all(bytes)?;
        self.end = End::Whole;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// How long the file can be left alone if nothing is written to it.
    pub(super) fn until_due(&self, now: Duration) -> Option<Duration> {
        match self.roller {
            Roller::Time { hours, .. } => {
                let seconds = roll::until_next(local_seconds(&self.zone, now), hours);
                // The offset of the zone may change in the meantime.
                Some(Duration::from_secs(seconds.min(3600)))
            }
            Roller::Size { .. } => None,
        }
    }

    /// Rolls the file if its period is over or `more` bytes would make it too large.
    pub(super) fn roll_if_due(&mut self, more: u64, now: Duration) -> io::Result<()> {
        let local = local_seconds(&self.zone, now);
        match self.roller {
            Roller::Time { hours, keep } => {
                if roll::period(self.begun, hours) == roll::period(local, hours) {
                    return Ok(());
                }
                let begun = std::mem::replace(&mut self.begun, local);
                let name = roll::dated(&self.path, begun, hours, keep, Path::exists);
                match name {
                    Some(name) if self.bytes > 0 => self.roll_to(&name, now),
                    // Empty, or every name is taken: nothing is lost by going on in the same file.
                    _ => Ok(()),
                }
            }
            Roller::Size { bytes, .. } => {
                if self.bytes == 0 || self.bytes + more <= bytes {
                    return Ok(());
                }
                self.roll_to(&roll::stamped(&self.path, local, now.subsec_millis()), now)?;
                self.tidy();
                Ok(())
            }
        }
    }

    fn roll_to(&mut self, name: &Path, now: Duration) -> io::Result<()> {
        match fs::rename(&self.path, name) {
            // Somebody else has moved it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed?,
        }
        self.reopen(now)
    }

    fn tidy(&mut self) {
        let Roller::Size {
            age_days,
            keep,
            compress,
            ..
        } = self.roller
        else {
            return;
        };
        if self.tidying.as_ref().is_some_and(|t| !t.is_finished()) {
            return;
        }
        let path = self.path.clone();
        let oldest = SystemTime::now().checked_sub(Duration::from_secs(86_400) * age_days);
        let oldest = oldest.filter(|_| age_days > 0).unwrap_or(UNIX_EPOCH);
        // What cannot be removed or compressed now is tried again after the next roll.
        self.tidying = thread::Builder::new()
            .name("banyan-log-tidy".into())
            .spawn(move || drop(tidy(&path, oldest, keep, compress)))
            .ok();
    }
}

/// Opens a file for appending: the file, its size, and the local time of its last line or of now.
fn open(path: &Path, zone: &TimeZone, now: Duration) -> io::Result<(File, u64, i64)> {
    if let Some(directory) = path.parent() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(directory)?;
    }
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o644)
        .open(path)?;
    let metadata = file.metadata()?;
    let written = metadata.modified()?.duration_since(UNIX_EPOCH);
    let begun = match written {
        Ok(written) if metadata.len() > 0 => written,
        _ => now,
    };
    Ok((file, metadata.len(), local_seconds(zone, begun)))
}

/// Removes rolled files beyond `keep` or last written before `oldest`, and compresses the others.
fn tidy(path: &Path, oldest: SystemTime, keep: u32, compress: Compress) -> io::Result<()> {
    let mut rolled: Vec<_> = fs::read_dir(path.parent().unwrap_or_else(|| Path::new(".")))?
        .filter_map(Result::ok)
        .filter(|entry| roll::is_stamped(path, &entry.file_name().to_string_lossy()))
        .collect();
    // The time is in the name, so the order of names is that of age.
    rolled.sort_by_key(|entry| std::cmp::Reverse(entry.file_name()));
    let kept = if keep == 0 { usize::MAX } else { keep as usize };
    for (index, entry) in rolled.iter().enumerate() {
        let file = entry.path();
        if index >= kept || entry.metadata()?.modified()? < oldest {
            fs::remove_file(&file)?;
        } else if compress == Compress::On && file.extension().is_none_or(|e| e != "gz") {
            gzip(&file)?;
        }
    }
    Ok(())
}

/// Replaces a file by its compressed form, or leaves it as it is.
fn gzip(file: &Path) -> io::Result<()> {
    let target = PathBuf::from(format!("{}.gz", file.display()));
    let unfinished = PathBuf::from(format!("{}.gz.part", file.display()));
    let output = File::create(&unfinished)?;
    let mut encoder = flate2::write::GzEncoder::new(output, flate2::Compression::default());
    let written = io::copy(&mut File::open(file)?, &mut encoder).and_then(|_| encoder.finish());
    match written.and_then(|_| fs::rename(&unfinished, target)) {
        Ok(()) => fs::remove_file(file),
        Err(error) => {
            fs::remove_file(unfinished)?;
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    /// 2023-11-14 22:13:20
    const NOW: Duration = Duration::from_secs(1_700_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn write(log: &mut LogFile, line: &str, now: Duration) {
        log.roll_if_due(line.len() as u64, now).unwrap();
        log.append(line.as_bytes()).unwrap();
    }

    fn daily(path: &Path, now: Duration) -> LogFile {
        LogFile::open(path, Roller::default(), &TimeZone::UTC, now).unwrap()
    }

    #[test]
    fn a_file_of_an_earlier_day_is_rolled_when_opened() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("logs/mosn.log");
        write(&mut daily(&path, NOW), "old\n", NOW);
        File::open(&path)
            .unwrap()
            .set_modified(UNIX_EPOCH + NOW - DAY)
            .unwrap();

        write(&mut daily(&path, NOW), "new\n", NOW);

        let logs = path.parent().unwrap();
        assert_eq!(names(logs), ["mosn.log", "mosn.log.2023-11-13"]);
        assert_eq!(fs::read(&path).unwrap(), b"new\n");
    }

    #[test]
    fn a_day_ends_at_midnight_even_if_nothing_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mosn.log");
        let mut log = daily(&path, NOW);
        write(&mut log, "today\n", NOW);
        assert_eq!(log.until_due(NOW), Some(Duration::from_secs(3600)));

        log.roll_if_due(0, NOW + DAY).unwrap();

        assert_eq!(names(directory.path()), ["mosn.log", "mosn.log.2023-11-14"]);
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn when_all_names_are_taken_the_file_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mosn.log");
        let roller = Roller::Time { hours: 24, keep: 1 };
        for taken in ["mosn.log.2023-11-14", "mosn.log.2023-11-14.1"] {
            fs::write(directory.path().join(taken), "taken").unwrap();
        }
        let mut log = LogFile::open(&path, roller, &TimeZone::UTC, NOW).unwrap();
        write(&mut log, "a\n", NOW);
        write(&mut log, "b\n", NOW + DAY);
        assert_eq!(fs::read(&path).unwrap(), b"a\nb\n");
    }

    #[test]
    fn a_full_disk_refuses_lines_and_no_more() {
        let mut log = daily(Path::new("/dev/full"), NOW);
        assert!(log.append(b"a\n").is_err());
        log.roll_if_due(2, NOW + DAY).unwrap();
        assert!(log.append(b"b\n").is_err());
        assert!(Path::new("/dev/full").exists());
    }

    #[test]
    fn reopening_makes_the_directory_anew_or_says_which_file_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let logs = directory.path().join("logs");
        let path = logs.join("mosn.log");
        let mut log = daily(&path, NOW);
        fs::remove_dir_all(&logs).unwrap();

        log.reopen(NOW).unwrap();
        write(&mut log, "a\n", NOW);
        assert_eq!(fs::read_to_string(&path).unwrap(), "a\n");

        fs::remove_dir_all(&logs).unwrap();
        fs::write(&logs, "no directory").unwrap();
        let error = log.reopen(NOW).unwrap_err().to_string();
        assert!(error.starts_with(path.to_str().unwrap()), "{error}");
        // It goes on.
        write(&mut log, "b\n", NOW);
    }

    #[test]
    fn a_moved_file_is_left_behind_by_reopening() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mosn.log");
        let moved = directory.path().join("moved");
        let mut log = daily(&path, NOW);
        write(&mut log, "a\n", NOW);
        fs::rename(&path, &moved).unwrap();

        log.reopen(NOW).unwrap();
        write(&mut log, "b\n", NOW);

        assert_eq!(fs::read(&moved).unwrap(), b"a\n");
        assert_eq!(fs::read(&path).unwrap(), b"b\n");
    }

    #[test]
    fn full_files_are_compressed_and_the_oldest_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mosn.log");
        let roller = Roller::Size {
            bytes: 10,
            age_days: 7,
            keep: 2,
            compress: Compress::On,
        };
        let mut log = LogFile::open(&path, roller, &TimeZone::UTC, NOW).unwrap();
        for second in 0..5_u32 {
            let line = format!("line {second}!\n");
            write(&mut log, &line, NOW + Duration::from_secs(second.into()));
            if let Some(tidying) = log.tidying.take() {
                tidying.join().unwrap();
            }
        }

        assert_eq!(
            names(directory.path()),
            [
                "mosn-2023-11-14T22-13-23.000.log.gz",
                "mosn-2023-11-14T22-13-24.000.log.gz",
                "mosn.log"
            ]
        );
        let packed = File::open(directory.path().join("mosn-2023-11-14T22-13-24.000.log.gz"));
        let mut text = String::new();
        flate2::read::GzDecoder::new(packed.unwrap())
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "line 3!\n");
    }
}
