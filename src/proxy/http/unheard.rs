//! What is no request: a head that is refused, or that does not end in time.

use std::sync::Arc;

use tokio::time::Instant;

use crate::config::Causes;
use crate::protocol::http1::{Refusal, Request};

use super::exchange::After;
use super::facts::{Path, Subject};
use super::record::{Origin, Record};
use super::reply::{Asked, Ends, LocalReply};
use super::trouble::Trouble;
use super::{Connection, Fitting, Setting, access};

/// Answers what is no request, and ends the connection. It began at `since`.
pub(super) async fn refuse<S: Setting>(
    connection: &Connection<S>,
    refusal: Refusal,
    since: Instant,
    asked: Asked,
) -> After {
    answer(connection, &Trouble::Refused(refusal), since, asked).await
}

/// Answers a head that does not end, and ends the connection. It began at `since`.
pub(super) async fn too_slow<S: Setting>(
    connection: &Connection<S>,
    since: Instant,
    asked: Asked,
) -> After {
    answer(connection, &Trouble::TooSlow, since, asked).await
}

/// It is counted and logged as a request of which nothing is known.
async fn answer<S: Setting>(
    connection: &Connection<S>,
    trouble: &Trouble,
    since: Instant,
    asked: Asked,
) -> After {
    let setting = &connection.setting;
    setting.counters().begin();
    let fitting = setting.fitting();
    let proxy = fitting.proxy();
    let causes = proxy.map_or(Causes::Hidden, |proxy| proxy.causes);
    let deadlines = proxy.map(|proxy| proxy.deadlines).unwrap_or_default();
    let mut record = Record::new(since, setting.next_id());
    let reply = LocalReply::of(trouble, causes);
    record.status = reply.status;
    record.origin = Origin::Local;
    record.flags |= trouble.flags();
    let sent = reply.send(&connection.stream, Ends::Yes, asked, deadlines);
    let after = match sent.await {
        Ok(()) => {
            let sent = reply.sent_body(asked).len();
            record.body_sent = sent as u64;
            connection.flow.add_sent(sent);
            After::Linger
        }
        Err(_) => {
            record.reset = true;
            After::Reset
        }
    };
    tell(connection, &fitting, &record);
    after
}

/// Logs and counts what is no request, as one of which nothing is known.
pub(in crate::proxy) fn tell<S: Setting>(
    connection: &Connection<S>,
    fitting: &Arc<Fitting>,
    record: &Record,
) {
    let setting = &connection.setting;
    if !fitting.listener.access_logs.is_empty() {
        let subject = Subject {
            request: &Request::default(),
            path: &Path::AsItCame,
            record,
            response: None,
            fitting,
            connection,
        };
        setting.log(fitting, &mut |format, line| {
            access::write(&subject, format, line);
        });
    }
    record.count(setting.counters());
}
