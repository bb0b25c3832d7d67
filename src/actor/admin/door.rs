//! What the answers are made of: the door to the root, what is published, and the process around.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::task::spawn_blocking;

use super::options::Options;
use crate::actor::root;
use crate::actor::view::{ClusterView, ListenerView};
use crate::lifecycle::State;
use crate::telemetry::metrics::{Object, StatsMatcher};

/// What anyone may read without asking.
#[derive(Clone)]
pub(in crate::actor) struct Published {
    /// Where the process is in its life.
    pub(in crate::actor) state: watch::Receiver<State>,
    /// Whether the door is this process': a successor's when it is in charge, a predecessor's until it says so.
    pub(in crate::actor) open: watch::Receiver<bool>,
}

/// What the answers are made of.
pub(super) struct Door {
    pub(super) root: root::Handle,
    pub(super) published: Published,
    pub(super) options: Options,
    pub(super) log: slog::Logger,
    /// How many more answers of everything that was counted may be made at once: each takes memory
    /// in proportion to the hosts. Others wait.
    pub(super) turns: Semaphore,
}

/// One answer is made while another is sent.
pub(super) const TURNS: usize = 2;

impl Door {
    /// MOSN's number of the state of the lifecycle.
    pub(super) fn state(&self) -> u8 {
        self.published.state.borrow().number()
    }

    pub(super) fn listeners(&self) -> Vec<ListenerView> {
        self.root.counts().listeners()
    }

    pub(super) fn clusters(&self) -> Vec<ClusterView> {
        self.root.counts().clusters()
    }

    /// Waits until something large may be made. `None` never happens: nobody closes it.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
    }

    /// What was counted and may be shown, made into something by `shown` on a thread of its own: it
    /// may be much. `None` when that panics.
    pub(super) async fn counted<T: Send + 'static>(
        &self,
        shown: impl FnOnce(Vec<Object>, &StatsMatcher) -> T + Send + 'static,
    ) -> Option<T> {
        let _turn = self.turn().await;
        let counts = self.root.counts().clone();
        let running = self.root.running();
        let shown = spawn_blocking(move || {
            let matcher = &running.configuration.plan().server.metrics.matcher;
            shown(counts.objects(matcher), matcher)
        });
        shown.await.ok()
    }

    /// The document that runs, without its secrets, made into something by `shown` on a thread of its
    /// own: it may be large. `None` when the plan that runs was not made of one.
    pub(super) async fn document<T: Send + 'static>(
        &self,
        shown: impl FnOnce(Value) -> T + Send + 'static,
    ) -> (u64, Option<T>) {
        let running = self.root.running();
        let version = running.version;
        let rendered = spawn_blocking(move || {
            let document = running.configuration.document()?;
            Some(shown(document.redacted()))
        });
        (version, rendered.await.unwrap_or_default())
    }
}

/// One request, as a handler gets it.
pub(super) struct Call {
    pub(super) door: Rc<Door>,
    /// Who asks, for the history.
    pub(super) by: Arc<str>,
    /// What stands in the path for each `{…}` of the pattern.
    pub(super) places: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Call {
    /// The value of a parameter that is given once or more; of more the first.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let mut named = self.query.iter().filter(|(key, _)| key == name);
        named.next().map(|(_, value)| value.as_str())
    }

    /// How many different parameters there are.
    pub(super) fn distinct(&self) -> usize {
        let mut names: Vec<_> = self.query.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        names.len()
    }

    pub(super) fn place(&self, index: usize) -> &str {
        self.places.get(index).map_or("", String::as_str)
    }
}

/// How long a query for the tree may take.
pub(super) const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
