//! What would become of a request, without sending it.
//!
//! It goes the way of a served request, [`Table::find`] and the changes of its head included, and
//! stops before a host is asked for. Of stream filters only what they do is said: to ask them might act.

mod filters;

use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::config::{
    Action, ClusterChoice, Forward, Metadata, Redirect, RetryOn, Spoken, VirtualHost,
};
use crate::filter::RouteView;
use crate::protocol::http1::{Fields, HeadLimits, Parsed, Request};
use crate::proxy::{setback::Setback, site::Site};
use crate::route::{Facts, Found, Table, Timeouts, location, why_not};

use super::facts::{Path, Subject};
use super::heading::{Heading, target};
use super::record::Record;
use super::trouble::Trouble;
use super::{Addresses, Fitting};
pub use filters::FilterSeen;

/// Routes that are told one by one; a number stands for the rest.
const MOST_ROUTES: usize = 50;

/// A request that somebody asks about.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Such as `GET`.
    pub method: String,
    /// Path and query, or any other form of a target.
    pub target: String,
    /// Its `Host`; none when absent.
    pub host: Option<String>,
    /// Further fields, in order.
    pub fields: Vec<(String, String)>,
    /// Where it comes from, as far as that is known.
    pub addresses: Addresses,
    /// What it speaks, where its listener takes several protocols; HTTP, unless it is said.
    pub protocol: Option<String>,
}

/// What would become of a request.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Explained {
    /// Stream filters of the listener, in order; each may still answer or change the request.
    pub filters: Vec<FilterSeen>,
    /// The router that was asked.
    pub router: Option<String>,
    /// The virtual host that its host belongs to.
    pub virtual_host: Option<VirtualHostSeen>,
    /// Routes before the one that takes it, and why each does not.
    pub passed_over: Vec<RouteSeen>,
    /// The route that takes it.
    pub route: Option<RouteSeen>,
    /// What the route does.
    pub outcome: Outcome,
}

/// A virtual host.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct VirtualHostSeen {
    /// As configured.
    pub name: String,
    /// The hosts that it is for.
    pub domains: Vec<String>,
}

/// A route of a virtual host.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct RouteSeen {
    /// Its place in the virtual host; the first one is 0.
    pub index: usize,
    /// What it asks for.
    pub matches: String,
    /// Why it does not take the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
}

/// What a route does with a request.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing could be found out.
    #[default]
    Unknown,
    /// The proxy answers it.
    Reply {
        /// With this status.
        status: u16,
        /// For this reason.
        cause: String,
    },
    /// It goes to a host of a cluster.
    Forward(Forwarded),
}

/// A request as it would be forwarded.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Forwarded {
    /// The clusters that may take it.
    pub clusters: Vec<ShareSeen>,
    /// Its head as a host would see it, line by line; each connection's own fields are not in it.
    pub head: Vec<String>,
    /// How long it may take, in milliseconds; `None` is for ever.
    pub timeout_ms: Option<u64>,
    /// When it is tried again.
    pub retries: String,
    /// Where a copy goes, and of how many in a hundred.
    pub mirror: Option<(String, u8)>,
}

/// A cluster that may take a request.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ShareSeen {
    /// Its name.
    pub cluster: String,
    /// Of a hundred requests it takes so many.
    pub percent: f64,
    /// What its host must have, by route, weighted cluster and filters.
    pub metadata: Metadata,
}

/// Says what would become of a request to a listener whose routes are those of `table`.
#[must_use]
pub fn explain(fitting: &Arc<Fitting>, table: Option<&Table>, asked: &Asked) -> Explained {
    let mut explained = Explained::default();
    let outcome = match (read(fitting, asked), table) {
        (Ok(request), Some(table)) => explained.route(fitting, table, request, asked),
        (Ok(mut request), None) => {
            explained.filter(fitting, None, &mut request);
            reply(&Setback::NoRouter.into())
        }
        (Err(trouble), _) => reply(&trouble),
    };
    explained.outcome = outcome;
    explained
}

impl Explained {
    /// Goes the way of the request through the routes, and notes what it comes by.
    fn route(
        &mut self,
        fitting: &Arc<Fitting>,
        table: &Table,
        mut request: Request,
        asked: &Asked,
    ) -> Outcome {
        self.router = Some(table.router().name.to_string());
        let mut path = Path::of(&request);
        let record = Record::new(Instant::now(), 0);
        let site = Nowhere {
            addresses: asked.addresses,
            speaks: Spoken::HTTP1,
        };
        let subject = Subject {
            request: &request,
            path: &path,
            record: &record,
            response: None,
            fitting,
            connection: &site,
        };
        self.look(table, &subject);
        let Some(found) = table.find(&subject) else {
            self.filter(fitting, None, &mut request);
            return reply(&Setback::NoRoute(table.router().name.clone()).into());
        };
        let shares = match &found.route.action {
            Action::Forward(forward) => shares(forward, &subject),
            Action::Respond { .. } | Action::Redirect(_) => Vec::new(),
        };
        let filtered = self.filter(fitting, Some(&found), &mut request);
        match &found.route.action {
            Action::Respond { status, .. } => Outcome::responds(*status),
            Action::Redirect(redirect) => redirected(redirect, &request, &path),
            Action::Forward(forward) => {
                let more = |share: ShareSeen| share.with(&filtered);
                let clusters = shares.into_iter().map(more).collect();
                let heading = Heading {
                    request: &mut request,
                    path: &mut path,
                    record: &record,
                    fitting,
                    connection: &site,
                };
                forwarded(heading, table, &found, forward, clusters)
            }
        }
    }
}

fn redirected(redirect: &Redirect, request: &Request, path: &Path) -> Outcome {
    let scheme = request.scheme().unwrap_or(b"http");
    let scheme = String::from_utf8_lossy(scheme);
    let host = request.host().unwrap_or_default();
    let path = path.as_bytes(request);
    let to = location(redirect, &scheme, host, path, request.query());
    Outcome::Reply {
        status: redirect.status,
        cause: format!("the route redirects it to {}", String::from_utf8_lossy(&to)),
    }
}

impl Forwarded {
    /// A request that goes to one of these clusters with this head.
    pub(in crate::proxy) fn to(
        clusters: Vec<ShareSeen>,
        head: Vec<String>,
        timeouts: &Timeouts,
        found: &Found<'_>,
        forward: &Forward,
    ) -> Self {
        let mirror = found.route.mirror.as_ref();
        Self {
            clusters,
            head,
            timeout_ms: timeouts.global.map(|global| millis(global.as_millis())),
            retries: retries(forward),
            mirror: mirror.map(|mirror| (mirror.cluster.to_string(), mirror.percent)),
        }
    }
}

impl Outcome {
    pub(in crate::proxy) fn responds(status: u16) -> Self {
        Self::Reply {
            status,
            cause: "the route answers it itself".to_owned(),
        }
    }
}

fn forwarded(
    mut heading: Heading<'_>,
    table: &Table,
    found: &Found<'_>,
    forward: &Forward,
    clusters: Vec<ShareSeen>,
) -> Outcome {
    let timeouts = timeouts(forward, &heading.request.fields);
    heading.rehead(table, found, forward);
    let head = lines(&heading);
    Outcome::Forward(Forwarded::to(clusters, head, &timeouts, found, forward))
}

impl ShareSeen {
    /// The same, where filters have made some metadata too.
    pub(in crate::proxy) fn with(mut self, filtered: &Metadata) -> Self {
        self.metadata.extend(filtered.clone());
        self
    }
}

impl Explained {
    /// Notes what the stream filters do; what metadata they make is returned.
    pub(in crate::proxy) fn filter(
        &mut self,
        fitting: &Fitting,
        found: Option<&Found<'_>>,
        request: &mut Request,
    ) -> Metadata {
        let route = found.map(|found| RouteView {
            virtual_host: found.virtual_host,
            route: found.route,
        });
        let filters = &fitting.listener.stream_filters;
        let (seen, metadata) = filters::see(filters, route, &mut request.fields);
        self.filters = seen;
        metadata
    }

    /// Notes the virtual host of a request, and its routes.
    pub(in crate::proxy) fn look(&mut self, table: &Table, facts: &impl Facts) {
        if let Some(virtual_host) = table.virtual_host(facts) {
            self.virtual_host = Some(VirtualHostSeen::of(virtual_host));
            self.pass_over(virtual_host, facts);
        }
    }

    /// Tells every route up to the one that takes the request.
    fn pass_over(&mut self, host: &VirtualHost, facts: &impl Facts) {
        for (index, route) in host.routes.iter().enumerate() {
            let why_not = why_not(&route.matcher, facts);
            let taken = why_not.is_none();
            let seen = || RouteSeen {
                index,
                matches: route.matcher.to_string(),
                why_not,
            };
            match taken {
                true => {
                    self.route = Some(seen());
                    return;
                }
                false if self.passed_over.len() < MOST_ROUTES => self.passed_over.push(seen()),
                false => {}
            }
        }
    }
}

impl VirtualHostSeen {
    fn of(host: &VirtualHost) -> Self {
        Self {
            name: host.name.clone(),
            domains: host.domains.iter().map(ToString::to_string).collect(),
        }
    }
}

/// The end of a connection that nobody has made.
pub(in crate::proxy) struct Nowhere {
    pub(in crate::proxy) addresses: Addresses,
    pub(in crate::proxy) speaks: &'static str,
}

impl Site for Nowhere {
    fn id(&self) -> u64 {
        0
    }

    fn speaks(&self) -> &'static str {
        self.speaks
    }

    fn addresses(&self) -> Addresses {
        self.addresses
    }

    fn original_destination(&self) -> Option<SocketAddr> {
        None
    }
}

/// The request as the codec reads it, so that what it refuses is refused here.
fn read(fitting: &Fitting, asked: &Asked) -> Result<Request, Trouble> {
    let mut head = format!("{} {} HTTP/1.1\r\n", asked.method, asked.target);
    let host = asked.host.iter().map(|host| ("Host", host.as_str()));
    let fields = asked
        .fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in host.chain(fields) {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    let limits = fitting
        .proxy()
        .map(|proxy| proxy.limits)
        .unwrap_or_default();
    let limits = HeadLimits {
        bytes: limits.head_bytes,
        fields: limits.fields,
    };
    let mut request = Request::default();
    match request.parse(head.as_bytes(), &limits) {
        Ok(Parsed::Whole(_)) => Ok(request),
        Ok(Parsed::Partial) => Err(Trouble::TooSlow),
        Err(refusal) => Err(Trouble::Refused(refusal)),
    }
}

fn reply(trouble: &Trouble) -> Outcome {
    Outcome::Reply {
        status: trouble.status(),
        cause: trouble.to_string(),
    }
}

/// The clusters that may take a request.
pub(in crate::proxy) fn shares(forward: &Forward, facts: &impl Facts) -> Vec<ShareSeen> {
    let whole = |cluster: String| ShareSeen {
        cluster,
        percent: 100.0,
        metadata: Metadata::clone(&forward.metadata),
    };
    match &forward.cluster {
        ClusterChoice::One(cluster) => vec![whole(cluster.to_string())],
        ClusterChoice::Variable(variable) => {
            let name = facts.variable(variable).unwrap_or_default();
            vec![whole(String::from_utf8_lossy(&name).into_owned())]
        }
        ClusterChoice::Weighted(shares) => {
            let sum: u64 = shares.iter().map(|share| u64::from(share.weight)).sum();
            let percent = |weight: u32| f64::from(weight) * 100.0 / sum.max(1) as f64;
            let shares = shares.iter().map(|of| ShareSeen {
                cluster: of.cluster.to_string(),
                percent: percent(of.weight),
                metadata: Metadata::clone(&of.metadata),
            });
            shares.collect()
        }
        ClusterChoice::None => Vec::new(),
    }
}

/// How long a request may take, as far as its route and its fields say.
pub(in crate::proxy) fn timeouts(forward: &Forward, fields: &Fields) -> Timeouts {
    Timeouts::of(
        forward.timeout,
        forward.retry.try_timeout,
        fields.get("x-mosn-global-timeout"),
        fields.get("x-mosn-try-timeout"),
    )
}

fn millis(millis: u128) -> u64 {
    u64::try_from(millis).unwrap_or(u64::MAX)
}

fn retries(forward: &Forward) -> String {
    let retries = forward.retry.retries;
    match &forward.retry.on {
        _ if retries == 0 => "never".to_owned(),
        RetryOn::ConnectFailure => format!("up to {retries} times, when no host has seen it"),
        RetryOn::Failures(statuses) if statuses.is_empty() => {
            format!("up to {retries} times, after failures and statuses from 500 on")
        }
        RetryOn::Failures(statuses) => {
            let statuses: Vec<_> = statuses.iter().map(ToString::to_string).collect();
            format!(
                "up to {retries} times, after failures and {}",
                statuses.join(", ")
            )
        }
    }
}

fn lines(heading: &Heading<'_>) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let method = text(heading.request.method_text());
    let mut lines = vec![format!(
        "{method} {} HTTP/1.1",
        text(&target(heading.request, heading.path))
    )];
    let fields = heading.request.fields.iter();
    lines.extend(fields.map(|(name, value)| format!("{}: {}", text(name), text(value))));
    lines
}
