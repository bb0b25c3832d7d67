//! What would become of a request, without sending it: as for HTTP, but only its headers count.

use std::borrow::Cow;
use std::sync::Arc;

use tokio::time::Instant;

use crate::config::{Action, Variable};
use crate::protocol::http1::{Fields, Request};
use crate::proxy::http::explain::{Nowhere, shares, timeouts};
use crate::proxy::http::facts::{Path, Subject};
use crate::proxy::http::record::Record;
use crate::proxy::http::{Asked, Explained, Fitting, Forwarded, Outcome, access};
use crate::proxy::setback::Setback;
use crate::route::{Facts, Found, Table};

use super::edits::{Change, wanted};
use super::trouble::Trouble;

/// A request of which only the headers are known.
struct Call<'a>(Subject<'a>);

impl Facts for Call<'_> {
    /// Its letters as they are, or else in any case.
    fn field(&self, name: &str) -> Option<&[u8]> {
        let fields = &self.0.request.fields;
        let mut all = fields.iter();
        let exact = all.find(|(known, _)| *known == name.as_bytes());
        exact.map(|(_, value)| value).or_else(|| fields.get(name))
    }

    fn variable(&self, variable: &Variable) -> Option<Cow<'_, [u8]>> {
        access::value(&self.0, variable)
    }
}

/// Says what would become of a request of the protocol `speaks` to a listener whose routes are those
/// of `table`.
#[must_use]
pub fn explain(
    fitting: &Arc<Fitting>,
    table: Option<&Table>,
    asked: &Asked,
    speaks: &'static str,
) -> Explained {
    let mut explained = Explained::default();
    let mut request = Request::default();
    for (name, value) in &asked.fields {
        request.fields.push(name.as_bytes(), value.as_bytes());
    }
    let Some(table) = table else {
        explained.filter(fitting, None, &mut request);
        explained.outcome = reply(&Setback::NoRouter.into());
        return explained;
    };
    explained.router = Some(table.router().name.to_string());
    let call = Call(Subject {
        request: &request,
        path: &Path::AsItCame,
        record: &Record::new(Instant::now(), 0),
        response: None,
        fitting,
        connection: &Nowhere {
            addresses: asked.addresses,
            speaks,
        },
    });
    explained.look(table, &call);
    let mut seen = Request::default();
    seen.fields = request.fields.clone();
    let Some(found) = table.find(&call) else {
        explained.filter(fitting, None, &mut seen);
        explained.outcome = reply(&Setback::NoRoute(table.router().name.clone()).into());
        return explained;
    };
    let filtered = explained.filter(fitting, Some(&found), &mut seen);
    explained.outcome = match &found.route.action {
        Action::Respond { status, .. } => Outcome::responds(*status),
        Action::Redirect(_) => reply(&Trouble::Redirected),
        Action::Forward(forward) => {
            let shares = shares(forward, &call).into_iter();
            let clusters = shares.map(|share| share.with(&filtered)).collect();
            let timeouts = timeouts(forward, &request.fields);
            let head = head(&seen.fields, table, &found, &call.0);
            Outcome::Forward(Forwarded::to(clusters, head, &timeouts, &found, forward))
        }
    };
    explained
}

/// The headers as they go upstream.
fn head(fields: &Fields, table: &Table, found: &Found<'_>, subject: &Subject<'_>) -> Vec<String> {
    let scopes = [
        &found.route.edits.request,
        &found.virtual_host.edits.request,
        &table.router().edits.request,
    ];
    let changes = wanted(scopes, |variable, out| {
        access::push(subject, variable, None, None, out);
    });
    let own = |(name, value): (&[u8], &[u8])| (name.to_vec(), value.to_vec());
    let mut headers: Vec<_> = fields.iter().map(own).collect();
    for change in changes {
        apply(change, &mut headers);
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let line = |(name, value): &(Vec<u8>, Vec<u8>)| format!("{}: {}", text(name), text(value));
    headers.iter().map(line).collect()
}

/// As a codec does it in a header block.
fn apply(change: Change, headers: &mut Vec<(Vec<u8>, Vec<u8>)>) {
    let (name, value, is_appended) = match change {
        Change::Remove(name) => return headers.retain(|(known, _)| *known != name),
        Change::Set(name, value) => (name, value, false),
        Change::Append(name, value) => (name, value, true),
    };
    match headers.iter_mut().find(|(known, _)| *known == name) {
        None => headers.push((name, value)),
        Some((_, known)) if is_appended => {
            known.push(b',');
            known.extend(value);
        }
        Some((_, known)) => *known = value,
    }
}

fn reply(trouble: &Trouble) -> Outcome {
    Outcome::Reply {
        status: trouble.code(),
        cause: trouble.to_string(),
    }
}
