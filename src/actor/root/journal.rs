//! Versions on disk: one file each, whole or not there at all, so that they outlive the process.
//!
//! A file is written beside its name, flushed to the disk and renamed; then the directory is
//! flushed. They hold secrets as the configuration does, and are readable by their owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::proposal::Entry;
use crate::config::{Document, LARGEST};

/// Where versions are kept, and how many.
#[derive(Clone, Debug)]
pub struct Journal {
    directory: PathBuf,
    keep: usize,
}

/// Where accepted changes are kept, and over what.
#[derive(Clone, Debug, Default)]
pub struct Keeping {
    /// Where they are kept; without one they end with the process.
    pub journal: Option<Journal>,
    /// The digest of what the source said when it was last read.
    pub base: u64,
    /// The version before the first one of this process.
    pub version: u64,
}

/// A version as its file holds it.
#[derive(Serialize, Deserialize)]
struct Record {
    version: u64,
    at: String,
    by: String,
    changes: Vec<String>,
    /// Of the source that it was made over.
    base: u64,
    configuration: serde_json::Value,
}

/// A version that was kept, with all that it takes to run it again.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its number.
    pub version: u64,
    /// The digest of the source that it was made over.
    pub base: u64,
    /// What ran.
    pub document: Document,
}

impl Journal {
    /// Keeps at most `keep` versions in a directory, which is made when it is needed.
    #[must_use]
    pub fn new(directory: PathBuf, keep: usize) -> Self {
        let keep = keep.max(1);
        Self { directory, keep }
    }

    /// Writes a version, and forgets the eldest beyond those that are kept. Blocks.
    pub(super) fn record(&self, entry: &Entry, base: u64, document: &Document) -> io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)?;
        let record = Record {
            version: entry.version,
            at: entry.at.clone(),
            by: entry.by.to_string(),
            changes: entry.changes.clone(),
            base,
            configuration: document.to_json(),
        };
        let text = serde_json::to_vec(&record)?;
        write_whole(&self.path(entry.version), &text, 0o600)?;
        let versions = self.versions();
        let too_many = versions.len().saturating_sub(self.keep);
        for version in &versions[..too_many] {
            // One that stays is only a file too many.
            let _stays = fs::remove_file(self.path(*version));
        }
        Ok(())
    }

    /// Takes back a version that was written and does not run.
    pub(super) fn forget(&self, version: u64) {
        let _stays = fs::remove_file(self.path(version));
    }

    /// What is kept, the eldest first; files that cannot be read are left out. Blocks.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let records = self
            .versions()
            .into_iter()
            .filter_map(|version| self.read(version).ok());
        let entry = |record: Record| Entry {
            version: record.version,
            at: record.at,
            by: record.by.into(),
            changes: record.changes,
        };
        records.map(entry).collect()
    }

    /// The latest version that is kept. Blocks.
    ///
    /// # Errors
    ///
    /// When there is one and it cannot be read.
    pub fn latest(&self) -> io::Result<Option<Kept>> {
        self.versions()
            .last()
            .map(|version| self.kept(*version))
            .transpose()
    }

    /// One version. Blocks.
    ///
    /// # Errors
    ///
    /// When it is not kept, or cannot be read.
    pub fn kept(&self, version: u64) -> io::Result<Kept> {
        let record = self.read(version)?;
        let document = Document::from_json(&record.configuration);
        Ok(Kept {
            version: record.version,
            base: record.base,
            document,
        })
    }

    fn read(&self, version: u64) -> io::Result<Record> {
        let path = self.path(version);
        // A version is at most twice the file that it was made of.
        if fs::metadata(&path)?.len() > 2 * LARGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    }

    fn versions(&self) -> Vec<u64> {
        let Ok(entries) = fs::read_dir(&self.directory) else {
            return Vec::new();
        };
        let number = |entry: io::Result<fs::DirEntry>| {
            let name = entry.ok()?.file_name();
            name.to_str()?.strip_suffix(".json")?.parse().ok()
        };
        let mut versions: Vec<u64> = entries.filter_map(number).collect();
        versions.sort_unstable();
        versions
    }

    fn path(&self, version: u64) -> PathBuf {
        self.directory.join(format!("{version:010}.json"))
    }
}

/// Replaces a file by one with this content: at every moment the old or the new one is there, and
/// the new one has reached the disk. Blocks.
///
/// # Errors
///
/// When it cannot be written; then the old one stays.
pub fn write_whole(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".tmp");
    let beside = PathBuf::from(beside);
    let written = (|| {
        // A file that a crash left behind has its own mode.
        let _none = fs::remove_file(&beside);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    })();
    if written.is_err() {
        let _none = fs::remove_file(&beside);
    }
    written?;
    let directory = path.parent().unwrap_or_else(|| Path::new("/"));
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn document(number: u64) -> Document {
        Document::from_json(&serde_json::json!({ "pid": number.to_string() }))
    }

    fn entry(version: u64) -> Entry {
        let changes = vec![format!("change {version}")];
        Entry {
            version,
            at: "now".to_owned(),
            by: "me".into(),
            changes,
        }
    }

    #[test]
    fn what_is_kept_is_whole_private_and_bounded() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("a/b");
        let journal = Journal::new(directory.clone(), 3);
        assert!(journal.latest().unwrap().is_none());
        for version in 1..=5 {
            journal
                .record(&entry(version), 7, &document(version))
                .unwrap();
        }

        let kept: Vec<_> = journal
            .entries()
            .iter()
            .map(|entry| entry.version)
            .collect();
        assert_eq!(kept, [3, 4, 5]);
        let latest = journal.latest().unwrap().unwrap();
        assert_eq!((latest.version, latest.base), (5, 7));
        assert_eq!(latest.document, document(5));
        assert!(journal.kept(2).is_err());
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(directory.clone()), 0o700);
        assert_eq!(mode(directory.join("0000000005.json")), 0o600);
        assert_eq!(
            fs::read_dir(directory).unwrap().count(),
            3,
            "nothing else is left"
        );
    }

    #[test]
    fn a_file_that_was_half_written_is_no_version() {
        let home = tempfile::tempdir().unwrap();
        let journal = Journal::new(home.path().to_owned(), 3);
        journal.record(&entry(1), 7, &document(1)).unwrap();
        fs::write(home.path().join("0000000002.json.tmp"), "{").unwrap();
        assert_eq!(journal.latest().unwrap().unwrap().version, 1);
        fs::write(home.path().join("0000000002.json"), "{").unwrap();
        assert!(journal.latest().is_err());
        assert_eq!(journal.entries().len(), 1);
        journal.record(&entry(2), 7, &document(2)).unwrap();
        assert_eq!(journal.latest().unwrap().unwrap().version, 2);
    }
}
