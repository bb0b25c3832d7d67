//! What is settled of a request before it goes to the first host.

use crate::cluster::Clue;
use crate::config::{Forward, Mirror};
use crate::name::ClusterName;
use crate::protocol::rpc::{Edit, Timeout};
use crate::proxy::http::access;
use crate::proxy::telling::{Aim, Arrival};
use crate::proxy::tries::Tries;
use crate::route::{Found, Table, Timeouts};

use super::edits::{Change, wanted};
use super::exchange::Exchange;
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
    /// The header block that goes upstream, where it is not the one that came.
    pub(super) headers: Option<Vec<u8>>,
    pub(super) tries: Tries,
}

impl<S: Carrier> Exchange<'_, S> {
    /// Settles what does not depend on the host.
    pub(super) fn course<'r>(
        &mut self,
        table: &'r Table,
        found: &'r Found<'r>,
        forward: &'r Forward,
    ) -> Result<Course<'r>, Trouble> {
        let connection = &self.hub.connection;
        let arrival = Arrival {
            facts: &*self,
            connection,
            listener: &self.fitting.listener.address,
            filtered: &self.remarks.metadata,
        };
        let Aim {
            cluster,
            clue,
            mirror,
        } = arrival.aim(found, forward, connection.setting.hosts())?;
        self.record.cluster = Some(cluster.clone());
        let headers = self.headers(table, found)?;
        Ok(Course {
            forward,
            cluster,
            clue,
            mirror,
            headers,
            tries: Tries::within(self.timeouts(forward)),
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
