//! What is settled of a request before it goes to the first host.

use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::{Clue, Permit};
use crate::config::{Forward, Mirror};
use crate::name::ClusterName;
use crate::protocol::rpc::{Edit, Timeout};
use crate::proxy::http::access;
use crate::route::{Chosen, Found, Outcome, Table, Timeouts, chosen};
use crate::upstream::Hosts;

use super::edits::{Change, wanted};
use super::exchange::Exchange;
use super::facts::Telling;
use super::setting::Carrier;
use super::trouble::Trouble;

/// What is settled of a request before it goes to the first host.
pub(super) struct Course<'r> {
    pub(super) forward: &'r Forward,
    pub(super) cluster: ClusterName,
    /// What the choice of its host depends on.
    pub(super) clue: Clue,
    /// Where a copy goes, and what the choice of its host depends on.
    pub(super) mirror: Option<(&'r Mirror, Clue)>,
    pub(super) timeouts: Timeouts,
    /// When the request as a whole is given up; set when it first goes out.
    pub(super) deadline: Option<Instant>,
    /// The header block that goes upstream, where it is not the one that came.
    pub(super) headers: Option<Vec<u8>>,
    /// Tries so far, the present one included.
    pub(super) tries: u32,
    /// Held while a retry is under way.
    pub(super) retry: Option<Permit>,
}

impl<S: Carrier> Exchange<'_, S> {
    /// Settles what does not depend on the host.
    pub(super) fn course<'r>(
        &mut self,
        table: &'r Table,
        found: &'r Found<'r>,
        forward: &'r Forward,
    ) -> Result<Course<'r>, Trouble> {
        let choice = chosen(&forward.cluster, &*self, &mut rand::rng());
        let Some(Chosen { cluster, metadata }) = choice else {
            return Err(Trouble::UnknownCluster(String::new()));
        };
        let cluster = cluster.into_owned();
        let telling = Telling {
            exchange: &*self,
            forward,
            wanted: metadata.unwrap_or(&forward.metadata),
        };
        let hosts = self.hub.connection.setting.hosts();
        let clue = hosts.clue(&cluster, &telling);
        let mirror = found.route.mirror.as_ref();
        let mirror = mirror.map(|mirror| (mirror, hosts.clue(&mirror.cluster, &telling)));
        self.record.cluster = Some(cluster.clone());
        let headers = self.headers(table, found)?;
        Ok(Course {
            forward,
            cluster,
            clue,
            mirror,
            timeouts: self.timeouts(forward),
            deadline: None,
            headers,
            tries: 0,
            retry: None,
        })
    }

    /// What the frame itself says of its timeout is stronger than what its route does.
    fn timeouts(&self, forward: &Forward) -> Timeouts {
        let per_try = forward.retry.try_timeout;
        let asked = self.header("x-mosn-try-timeout");
        let global = match self.message.frame.timeout {
            Timeout::After(after) => Some(after),
            Timeout::Never => None,
            Timeout::Unsaid => {
                let global = self.header("x-mosn-global-timeout");
                return Timeouts::of(forward.timeout, per_try, global, asked);
            }
        };
        Timeouts::of(global, per_try, None, asked)
    }

    fn headers(&self, table: &Table, found: &Found<'_>) -> Result<Option<Vec<u8>>, Trouble> {
        let scopes = [
            &found.route.edits.request,
            &found.virtual_host.edits.request,
            &table.router().edits.request,
        ];
        let changes = wanted(scopes, |variable, out| {
            access::push(&self.subject(), variable, None, None, out);
        });
        if changes.is_empty() {
            return Ok(None);
        }
        let edits: Vec<Edit<'_>> = changes.iter().map(Change::as_edit).collect();
        let (frame, bytes) = (&self.message.frame, &self.message.bytes);
        let block = self.hub.codec().edited(frame, bytes, &edits);
        block.map(Some).map_err(Trouble::Malformed)
    }
}

/// How long a try that begins now may take, and what it means when it takes longer.
pub(super) fn limit(course: &Course<'_>, now: Instant) -> Option<(Instant, Duration, Outcome)> {
    let whole = course.deadline.zip(course.timeouts.global);
    let whole = whole.map(|(at, after)| (at, after, Outcome::GlobalTimedOut));
    let one = course.timeouts.per_try;
    let one = one.map(|after| (now + after, after, Outcome::TryTimedOut));
    whole.into_iter().chain(one).min_by_key(|(at, ..)| *at)
}
