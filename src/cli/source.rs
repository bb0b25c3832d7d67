//! The configuration file, as it is now, and what of it was changed and kept at run time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use slog::{Logger, info, warn};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::levels::Levels;
use super::settings::{KeepChanges, Settings, Watch};
use super::signals::Signal;
use crate::actor::root::{Journal, Keeping, Kept, Source};
use crate::config::{self, Configuration, Diagnostics, Loaded, Machine, Server};

/// Versions that are kept on disk.
const KEPT: usize = 50;

/// The configuration file and the settings that go before it.
pub(super) struct ConfigurationFile {
    pub(super) path: PathBuf,
    pub(super) settings: Settings,
}

/// The same of a process that runs, which follows what it says.
pub(super) struct Followed {
    pub(super) file: Arc<ConfigurationFile>,
    pub(super) levels: Arc<Levels>,
}

impl Source for Followed {
    fn load(&self) -> Loaded {
        self.file.load()
    }

    fn overrule(&self, server: &mut Server) {
        self.file.overrule(server);
    }

    fn follow(&self, server: &Server) {
        self.levels.follow(server.log.level);
    }
}

impl ConfigurationFile {
    fn load(&self) -> Loaded {
        config::load(&self.path)
    }

    fn overrule(&self, server: &mut Server) {
        self.settings.overrule(server);
    }

    /// What the file says and what is doubtful in it, or everything that is wrong with it.
    pub(super) fn read(&self) -> Result<(Configuration, Diagnostics), Diagnostics> {
        let loaded = self.load();
        let found = loaded.diagnostics.clone();
        let configuration = Configuration::of(loaded, &Machine)?;
        let configuration = configuration.overruled(|server| self.overrule(server));
        Ok((configuration, found))
    }

    /// What is to be started with: the file or, where that is wanted, what was kept over it.
    pub(super) fn begin(&self, file: Configuration, log: &Logger) -> (Configuration, Keeping) {
        let base = file.digest();
        let journal = match self.settings.keep_changes {
            KeepChanges::No => {
                return (
                    file,
                    Keeping {
                        base,
                        ..Keeping::default()
                    },
                );
            }
            KeepChanges::History | KeepChanges::Restart => {
                Journal::new(history_of(&self.path), KEPT)
            }
        };
        let latest = journal.latest().unwrap_or_else(|error| {
            warn!(log, "changes that were kept cannot be read: {}", error);
            None
        });
        let version = latest.as_ref().map_or(0, |latest| latest.version);
        let keeping = Keeping {
            journal: Some(journal),
            base,
            version,
        };
        let restarts = self.settings.keep_changes == KeepChanges::Restart;
        let kept = latest
            .filter(|_| restarts)
            .and_then(|kept| self.kept(&kept, base, log));
        (kept.unwrap_or(file), keeping)
    }

    /// What was kept, if it was made over the file as it is and can run.
    fn kept(&self, kept: &Kept, base: u64, log: &Logger) -> Option<Configuration> {
        let version = kept.version;
        if kept.base != base {
            warn!(
                log,
                "the file was edited since version {} was kept: the file runs; \
                 `banyan rollback {}` brings that version back",
                version,
                version
            );
            return None;
        }
        match Configuration::of_document(&kept.document, &Machine) {
            Ok(kept) => {
                info!(log, "version {} runs, which was kept", version);
                Some(kept.overruled(|server| self.overrule(server)))
            }
            Err(found) => {
                let why = found.summary();
                warn!(
                    log,
                    "version {} was kept and cannot run ({}): the file runs", version, why
                );
                None
            }
        }
    }
}

/// Where versions of a configuration file are kept: beside it.
fn history_of(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".history");
    file.with_file_name(name)
}

/// How often a watched file is looked at.
const LOOKS_EVERY: Duration = Duration::from_secs(1);

/// A file that may be edited.
pub(super) struct Watched {
    path: PathBuf,
    watch: Watch,
    stamp: Option<Stamp>,
}

impl Watched {
    pub(super) fn new(path: &Path, watch: Watch) -> Self {
        Self {
            path: path.to_owned(),
            watch,
            stamp: Stamp::of(path),
        }
    }

    /// Waits until the file is another than it was, and has stayed so for a look: an editor may
    /// write it in pieces.
    pub(super) async fn edited(&mut self) -> Signal {
        if self.watch == Watch::No {
            return std::future::pending().await;
        }
        let mut seen = self.stamp;
        loop {
            sleep(LOOKS_EVERY).await;
            let path = self.path.clone();
            // A file system that is far away may not answer at once.
            let Ok(stamp) = spawn_blocking(move || Stamp::of(&path)).await else {
                continue;
            };
            if stamp.is_some() && stamp != self.stamp && stamp == seen {
                self.stamp = stamp;
                return Signal::Edited;
            }
            seen = stamp;
        }
    }
}

/// What tells that a file was edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl Stamp {
    /// Of the file that a name leads to; `None` when it leads nowhere, as while it is replaced.
    fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let found = std::fs::metadata(path).ok()?;
        Some(Self {
            modified: found.modified().ok(),
            length: found.len(),
            inode: found.ino(),
        })
    }
}
