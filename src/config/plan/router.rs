//! Routers: which cluster a request goes to, and what is changed on its way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Pattern, RouteFilters, Variable};
use crate::name::{ClusterName, RouterName};

/// A named table of routes. A request keeps the one that it started with.
#[derive(Clone, Debug, PartialEq)]
pub struct Router {
    /// Unique.
    pub name: RouterName,
    /// In the order of the file; no two have the same domain.
    pub virtual_hosts: Vec<Arc<VirtualHost>>,
    /// Changes of header fields, after those of route and virtual host.
    pub edits: HeaderEdits,
}

/// The routes of some domains.
#[derive(Clone, Debug, PartialEq)]
pub struct VirtualHost {
    /// For people.
    pub name: String,
    /// The hosts that it is for.
    pub domains: Vec<Domain>,
    /// The first that matches is taken.
    pub routes: Vec<Arc<Route>>,
    /// Changes of header fields, after those of the route.
    pub edits: HeaderEdits,
    /// Settings of stream filters that hold here (`per_filter_config`).
    pub filters: RouteFilters,
}

/// Hosts that a virtual host is for, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Domain {
    /// Which names.
    pub host: DomainHost,
    /// Which ports. Only [`Port::Any`] where the host is [`DomainHost::Any`].
    pub port: Port,
}

/// Which host names a domain is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DomainHost {
    /// All that no other domain takes (`*`).
    Any,
    /// This one; an IPv6 address is in brackets.
    Exact(String),
    /// Those that end so and have at least one character before it (`*.example.com` is
    /// `.example.com` here).
    Suffix(String),
}

/// Which ports a domain is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Port {
    /// All of them, and none (`host:*`).
    Any,
    /// Only requests that name no port (`host`).
    None,
    /// This one, as text (`host:8080`).
    Exact(String),
}

/// One match and what is done then.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Which requests it takes.
    pub matcher: Matcher,
    /// What is done with them.
    pub action: Action,
    /// Changes of header fields.
    pub edits: HeaderEdits,
    /// Settings of stream filters that hold here (`per_filter_config`).
    pub filters: RouteFilters,
    /// Where copies go (`request_mirror_policies`).
    pub mirror: Option<Mirror>,
}

/// Which requests a route takes.
#[derive(Clone, Debug, PartialEq)]
pub enum Matcher {
    /// Those whose path starts so.
    Prefix(String, Vec<FieldMatch>),
    /// Those of this path, in any case of letters.
    Path(String, Vec<FieldMatch>),
    /// Those in whose path the pattern is found.
    Regex(Pattern, Vec<FieldMatch>),
    /// Those whose variables are so.
    Variables(Vec<VariableMatch>),
    /// Those whose `service` field has this value; `None` is any that is not empty.
    Service(Option<String>),
    /// Those with all of these fields; of none, every request.
    Fields(Vec<FieldMatch>),
    /// None: `dsl_expressions` are not yet in effect.
    Never,
}

/// What a request must have.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldMatch {
    /// This method (`name: "method"` in a prefix, path or regex rule).
    Method(String),
    /// A field, its name in lower case, with such a value.
    Field(String, TextMatch),
}

/// What a text must be.
#[derive(Clone, Debug, PartialEq)]
pub enum TextMatch {
    /// Equal.
    Exact(String),
    /// The pattern is found in it.
    Regex(Pattern),
}

/// What a variable must be, and how that is joined to the next one.
#[derive(Clone, Debug, PartialEq)]
pub struct VariableMatch {
    /// One without a value counts as empty text.
    pub variable: Variable,
    /// What it must be.
    pub text: TextMatch,
    /// Joins it to the next item.
    pub model: Model,
}

/// How one item of a variable rule is joined to the next.
///
/// Items are read from left to right. The result starts true; an item after an `And` is joined to
/// it by "and", one after an `Or` replaces it. An item marked `Or` ends the reading when the
/// result is true. At the end the result counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Model {
    /// Both.
    #[default]
    And,
    /// Either.
    Or,
}

/// What is done with a request that a route takes.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// It goes to a host of a cluster.
    Forward(Box<Forward>),
    /// It is answered with another place.
    Redirect(Redirect),
    /// It is answered here.
    Respond {
        /// 200 to 999.
        status: u16,
        /// May be empty.
        body: String,
    },
}

/// How a request is forwarded (`route`).
#[derive(Clone, Debug, PartialEq)]
pub struct Forward {
    /// Which cluster takes it.
    pub cluster: ClusterChoice,
    /// Metadata that its host must have (`metadata_match`).
    pub metadata: Arc<Metadata>,
    /// From the whole request sent to the whole response head (default 60 s); `None` is for ever.
    pub timeout: Option<Duration>,
    /// When it is tried again.
    pub retry: RetryPolicy,
    /// How its path is changed.
    pub path: PathRewrite,
    /// How its host is changed.
    pub host: HostRewrite,
    /// What a consistent hash is made of.
    pub hash: HashKey,
}

/// String pairs by which hosts are told apart (`filter_metadata.mosn.lb`).
pub type Metadata = BTreeMap<String, String>;

/// Which cluster takes a request.
#[derive(Clone, Debug, PartialEq)]
pub enum ClusterChoice {
    /// Always this one.
    One(ClusterName),
    /// The one that the variable names (`cluster_variable`).
    Variable(Variable),
    /// One of these, drawn by weight; their sum is above 0 and fits in 32 bits.
    Weighted(Vec<Share>),
    /// None: the request is answered with 404.
    None,
}

/// One of a route's weighted clusters.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// Where its requests go.
    pub cluster: ClusterName,
    /// Its share of the sum.
    pub weight: u32,
    /// Metadata that its host must have: the route's, and its own beside that.
    pub metadata: Arc<Metadata>,
}

/// When a request is tried again.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// What is tried again.
    pub on: RetryOn,
    /// Tries after the first one.
    pub retries: u32,
    /// How long one try may take; `None` is as long as the request.
    pub try_timeout: Option<Duration>,
}

/// What is tried again.
#[derive(Clone, Debug, PartialEq)]
pub enum RetryOn {
    /// Only what no host has seen: failures to connect (MOSN's default).
    ConnectFailure,
    /// Also tries that timed out, and responses of these statuses; of none, those from 500 on.
    Failures(Vec<u16>),
}

impl Default for RetryPolicy {
    /// MOSN's without a policy: failures to connect, on up to three further hosts.
    fn default() -> Self {
        Self {
            on: RetryOn::ConnectFailure,
            retries: 3,
            try_timeout: None,
        }
    }
}

/// How a request's path is changed. The path before goes in `x-mosn-original-path`.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum PathRewrite {
    /// Not at all.
    #[default]
    Keep,
    /// What matched is replaced (`prefix_rewrite`).
    Prefix(String),
    /// Every match of the pattern is replaced; `$1` stands for a group (`regex_rewrite`).
    Regex(Pattern, String),
}

/// How a request's host is changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum HostRewrite {
    /// Not at all.
    #[default]
    Keep,
    /// To this (`host_rewrite`).
    To(String),
    /// To the value of this field, if it has one (`auto_host_rewrite_header`).
    FromField(String),
    /// To the chosen host's name, in a `STRICT_DNS` cluster (`auto_host_rewrite`).
    UpstreamName,
}

/// What a consistent hash is made of (`hash_policy`).
#[derive(Clone, Debug, Default, PartialEq)]
pub enum HashKey {
    /// The downstream's address.
    #[default]
    SourceIp,
    /// A field's value; its name in lower case.
    Field(String),
    /// A cookie's value.
    Cookie(String),
}

/// Another place for a request. What is `None` stays.
#[derive(Clone, Debug, PartialEq)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    /// Without query, which stays.
    pub path: Option<String>,
    /// May name a port.
    pub host: Option<String>,
    /// In lower case.
    pub scheme: Option<String>,
}

/// Where copies of requests go; their responses are dropped.
#[derive(Clone, Debug, PartialEq)]
pub struct Mirror {
    /// Takes the copies.
    pub cluster: ClusterName,
    /// Share of the requests, 1 to 100.
    pub percent: u8,
}

/// Changes of header fields at one scope: first additions, then removals.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeaderEdits {
    /// Of requests, before they are forwarded.
    pub request: Edits,
    /// Of responses, local replies too.
    pub response: Edits,
}

/// Changes of one head.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Edits {
    /// In order.
    pub add: Vec<Addition>,
    /// Names in lower case.
    pub remove: Vec<String>,
}

/// One field to add.
#[derive(Clone, Debug, PartialEq)]
pub struct Addition {
    /// In lower case.
    pub name: String,
    /// What it is to say.
    pub value: Template,
    /// What becomes of one that is already there.
    pub existing: Existing,
}

/// What becomes of a field that is already there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// It becomes `old,new`, unless it is empty.
    #[default]
    Append,
    /// It is replaced.
    Replace,
}

/// What an added field says.
#[derive(Clone, Debug, PartialEq)]
pub enum Template {
    /// This.
    Text(String),
    /// What the variable is worth for the request; nothing when it has no value.
    Value(Variable),
}
