//! The `proxy` network filter: how HTTP connections are read, and where their requests go.

use std::time::Duration;

use super::Variable;
use crate::name::{ClusterName, RouterName};

/// What the `proxy` filter does with a listener's connections.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpProxy {
    /// Where requests go.
    pub target: Target,
    /// What is accepted of a downstream.
    pub limits: HttpLimits,
    /// How long peers may take.
    pub deadlines: Deadlines,
    /// What becomes of CONNECT requests.
    pub connect: Connect,
    /// Whether local replies name their cause.
    pub causes: Causes,
}

impl HttpProxy {
    /// One that goes to `target`, with every default beside it.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self {
            target,
            limits: HttpLimits::default(),
            deadlines: Deadlines::default(),
            connect: Connect::default(),
            causes: Causes::default(),
        }
    }
}

/// Where the requests of a `proxy` filter go.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// Where the routes of this router say (`router_config_name`).
    Router(RouterName),
    /// All to one cluster (`cluster`).
    Cluster(ClusterName),
    /// Nowhere: every request is answered with 404, as MOSN does without a router.
    Nowhere,
}

/// What is accepted of a downstream (`extend_config.Http1`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Bytes of a request's head, request line and all fields (`max_header_size`, default 8192).
    pub head_bytes: usize,
    /// Fields of a head (default 128).
    pub fields: usize,
    /// Bytes of a request's body (`max_request_body_size`); `None` is any length.
    pub body_bytes: Option<u64>,
    /// Bytes of a request's body that are kept, to send it to another host or as a copy
    /// (`kept_body_size`, default 64 KiB). A longer one is sent once, and not copied.
    pub kept_body_bytes: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            head_bytes: 8192,
            fields: 128,
            body_bytes: None,
            kept_body_bytes: 64 * 1024,
        }
    }
}

/// How long peers may take (`extend_config.Http1`); `None` is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// From a head's first byte to its last (`head_timeout`, default 10 s).
    pub head: Option<Duration>,
    /// A body has to come, and a response to be taken, at so many bytes a second
    /// (`body_min_rate`, default 64), measured from a grace of [`Self::BODY_GRACE`].
    pub body_bytes_per_second: Option<u32>,
    /// How long an upstream may say nothing in the middle of its response, and take nothing of a
    /// request's body (`upstream_silence_timeout`, default 60 s).
    pub upstream_silence: Option<Duration>,
    /// How long a client that expects a 100 waits for the upstream's before it gets ours
    /// (`continue_timeout`, default 1 s).
    pub until_continue: Option<Duration>,
}

impl Deadlines {
    /// How long a body may stand still before its rate counts.
    pub const BODY_GRACE: Duration = Duration::from_secs(10);

    /// MOSN's (`deadlines: "mosn"`): none, and whoever expects a 100 gets it at once.
    pub const MOSN: Self = Self {
        head: None,
        body_bytes_per_second: None,
        upstream_silence: None,
        until_continue: Some(Duration::ZERO),
    };
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            head: Some(Duration::from_secs(10)),
            body_bytes_per_second: Some(64),
            upstream_silence: Some(Duration::from_secs(60)),
            until_continue: Some(Duration::from_secs(1)),
        }
    }
}

/// What becomes of CONNECT requests (`extend_config.Http1.connect`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Connect {
    /// They are answered with 501 (`refuse`).
    #[default]
    Refuse,
    /// They are routed and forwarded; a 2xx makes the connection a tunnel (`tunnel`).
    Tunnel,
}

/// Whether local replies name their cause (`extend_config.Http1.reply_cause`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Causes {
    /// In the header `x-banyan-cause` and in the body.
    #[default]
    Named,
    /// Status and reason phrase only.
    Hidden,
}

/// A log of a listener's requests (`access_logs`).
#[derive(Clone, Debug, PartialEq)]
pub struct AccessLog {
    /// The output as written: empty, `stdout`, `stderr`, `syslog…` or a file.
    pub path: String,
    /// What a line says.
    pub format: AccessFormat,
}

/// What a line of an access log says (`log_format`).
#[derive(Clone, Debug, PartialEq)]
pub enum AccessFormat {
    /// Text and values in turn.
    Text(Vec<Piece>),
    /// An object of these members, in order (`"log_format": "json"`, or `json_format`).
    Json(Vec<(String, Vec<Piece>)>),
}

/// A piece of a format.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// As it is.
    Text(String),
    /// What the variable is worth; `-` where it has no value.
    Value(Variable),
}
