//! The admin door in the house: how it starts, and whether it is this process'.

use std::time::Duration;

use super::house::House;
use crate::actor::admin::{self, Published};
use crate::actor::root;
use crate::actor::supervisor::{self, ChildSpec, View};
use crate::lifecycle::State;
use crate::supervise::Restart;

/// How long a process that leaves waits for the last answers of its admin door: less than its successor
/// may take to take over.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

impl House {
    /// The admin door, if there is one. It is never started again by this supervisor: it has one
    /// of its own, and when that gives up, the proxy goes on without it.
    pub(super) fn admin(&self, root: root::Handle) -> Option<ChildSpec> {
        let options = self.options.admin.clone()?;
        let published = Published {
            state: self.state_seen.subscribe(),
            open: self.admin_open.subscribe(),
        };
        let log = self.options.log.clone();
        let subtree = supervisor::Slot::<View>::default();
        let filled = subtree.clone();
        let start = move || {
            let (options, root) = (options.clone(), root.clone());
            admin::start(
                options,
                root,
                published.clone(),
                log.clone(),
                filled.clone(),
            )
        };
        Some(ChildSpec::starting("admin", Restart::Temporary, start).supervisor(subtree))
    }

    /// Waits a moment for those whom the admin door still answers, when it is another process' now.
    pub(super) async fn admin_served(&self) {
        if let Some(admin) = &self.options.admin
            && matches!(
                self.state.get(),
                State::Committing { .. } | State::Leaving { .. }
            )
        {
            admin.served(ANSWERS_WITHIN).await;
        }
    }

    /// Publishes where the lifecycle is. The admin door is a predecessor's until it has its successor
    /// take over, and a successor's from then on: were it both processes', counts would seem to fall.
    /// Who connects in between waits in the queue, which is the same.
    pub(super) fn publish_state(&self, state: State) {
        self.state_seen.send_replace(state);
        match state {
            State::Committing { .. } | State::Leaving { .. } => self.admin_open.send_replace(false),
            State::Running => self.admin_open.send_replace(true),
            _ => return,
        };
    }
}
