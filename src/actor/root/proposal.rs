//! What a change of the running configuration may be asked to be, and what is answered.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::config::{Change, Configuration, Diagnostic, Edit, Host, Loaded, Server, Summary};
use crate::name::ClusterName;

/// What is wanted to run.
pub enum Want {
    /// This, whatever runs.
    Configuration(Box<Configuration>),
    /// What runs, edited.
    Edits(Vec<Edit>),
    /// What runs, with the hosts of a cluster changed.
    Hosts(ClusterName, ChangeHosts),
    /// What the source says now.
    Reload,
    /// What ran as this version.
    Rollback(u64),
    /// What ran before the change that waits to be confirmed.
    Revert,
}

/// Makes other hosts of those that a cluster has, or says in words why it cannot.
pub type ChangeHosts = Box<dyn FnOnce(Vec<Host>) -> Result<Vec<Host>, String> + Send>;

/// Where a configuration comes from when it is asked for again: a file, as a rule. It may block.
pub trait Source: Send + Sync {
    /// Reads it.
    fn load(&self) -> Loaded;

    /// Decides what the process decides, whatever a configuration says of it.
    fn overrule(&self, server: &mut Server);

    /// Hears what runs now, each time that it has changed: the process follows it as far as it can.
    /// It must not block.
    fn follow(&self, _server: &Server) {}
}

/// On which terms a change is to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Only when this version runs; any, when it is not said.
    pub version: Option<u64>,
    /// Whether it is carried out.
    pub trial: Trial,
    /// It is rolled back by itself unless it is confirmed within this time.
    pub confirm_within: Option<Duration>,
    /// Who asks, for the history.
    pub by: Arc<str>,
}

/// Whether a change is carried out or only thought through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trial {
    /// It is carried out.
    #[default]
    Real,
    /// Nothing is touched; what it would come to is answered.
    DryRun,
}

/// What a change came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The version that runs now.
    pub version: u64,
    /// What changed, or would.
    pub changes: Vec<Change>,
    /// The same in words.
    pub summary: Summary,
    /// What is doubtful in the new configuration and was not in the one before.
    pub warnings: Vec<Diagnostic>,
    /// Whether it was carried out.
    pub trial: Trial,
    /// It is rolled back then, unless it is confirmed.
    pub confirm_until: Option<SystemTime>,
}

/// What runs, as everyone may read it.
#[derive(Clone, Debug)]
pub struct Running {
    /// Counts the changes that were carried out; 0 is before the first one.
    pub version: u64,
    /// What runs.
    pub configuration: Configuration,
    /// Since when.
    pub since: SystemTime,
    /// Until when it must be confirmed.
    pub confirm_until: Option<SystemTime>,
}

impl Running {
    /// The empty plan, from which the first change leads.
    pub(super) fn nothing(version: u64) -> Self {
        Self {
            version,
            configuration: Configuration::default(),
            since: SystemTime::now(),
            confirm_until: None,
        }
    }
}

/// One version that ran.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Entry {
    /// Its number.
    pub version: u64,
    /// When it began to run, as RFC 3339 writes it.
    pub at: String,
    /// Who asked for it.
    pub by: Arc<str>,
    /// What it changed.
    pub changes: Vec<String>,
}

/// How the source differs from what runs.
#[derive(Clone, Debug)]
pub enum Drift {
    /// What a reload would change.
    Changes(Summary),
    /// It cannot be loaded: everything found.
    Refused(crate::config::Diagnostics),
}
