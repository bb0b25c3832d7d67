//! The hosts that a request was tried on, whatever it speaks.

use std::sync::Arc;

use crate::cluster::{Clue, Host, Work};
use crate::name::ClusterName;
use crate::route::Outcome;
use crate::upstream::{Hosts, PickError, Picked};

use super::passing::Stop;
use super::setback::Setback;

/// How often filters may ask for another host.
const CHOICES: usize = 10;

/// The hosts that a request was tried on, and what the last of them came to.
pub(super) struct Trail<T> {
    hosts: Vec<Arc<Host>>,
    last: Option<T>,
    revisit: Revisit,
    choices: usize,
}

/// Whether a host that was tried may be asked once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Revisit {
    /// It was slow, or said no: it may, when no other is left.
    Allowed,
    /// It could not be reached, or there is none.
    Forbidden,
}

impl<T> Default for Trail<T> {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            last: None,
            revisit: Revisit::Forbidden,
            choices: 0,
        }
    }
}

impl<T: From<Setback>> Trail<T> {
    /// Chooses a host that was not tried.
    pub(super) async fn pick(
        &mut self,
        hosts: &impl Hosts,
        (cluster, clue): (&ClusterName, &Clue),
    ) -> Result<Picked, Stop<T>> {
        let mut picked = hosts.pick(cluster, &self.hosts, Work::Request, clue).await;
        if self.revisit == Revisit::Allowed && matches!(picked, Err(PickError::NoHost { .. })) {
            picked = hosts.pick(cluster, &[], Work::Request, clue).await;
        }
        picked.map_err(|error| match (error, self.last.take()) {
            // What the last host said tells more than that there is no other.
            (PickError::NoHost { .. }, Some(last)) => Stop::Trouble(last),
            (error, _) => Stop::Trouble(Setback::unpicked(cluster, error).into()),
        })
    }

    /// Filters want another host than this; whether they may.
    pub(super) fn passes_over(&mut self, host: &Arc<Host>) -> bool {
        let may = self.choices < CHOICES;
        if may {
            self.choices += 1;
            self.hosts.push(Arc::clone(host));
        }
        may
    }

    /// The try on this host ended so, and another one may follow.
    pub(super) fn leads_on(&mut self, host: &Arc<Host>, outcome: Outcome, trouble: T) {
        self.hosts.push(Arc::clone(host));
        self.last = Some(trouble);
        self.revisit = match outcome {
            Outcome::Status(_) | Outcome::TryTimedOut | Outcome::GlobalTimedOut => Revisit::Allowed,
            Outcome::ConnectFailed | Outcome::Reset(_) | Outcome::Overflow => Revisit::Forbidden,
        };
    }

    /// How many hosts were tried.
    pub(super) fn len(&self) -> usize {
        self.hosts.len()
    }
}
