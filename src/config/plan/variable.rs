//! Variables: values of a request, its response and its connection, by MOSN's names.

/// A value of a request, its response or its connection.
///
/// Read by access logs, header additions and variable rules. One without a value prints as `-` in
/// a log and counts as empty elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Variable {
    /// One that has a name of its own.
    Known(Known),
    /// `request_header_<name>` and `Http1_request_header_<name>`; the name in lower case.
    RequestField(String),
    /// `response_header_<name>`; the name in lower case.
    ResponseField(String),
    /// `Http1_request_arg_<name>`.
    QueryArgument(String),
    /// `Http1_cookie_<name>`.
    Cookie(String),
    /// A name that MOSN has and that no HTTP/1 request gives a value.
    Valueless(String),
    /// A name that MOSN does not have. Has never a value.
    Unknown(String),
}

macro_rules! known {
    ($($(#[$doc:meta])* $variant:ident = $($name:literal)|+,)+) => {
        /// A variable with a name of its own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Known { $($(#[$doc])* $variant,)+ }

        impl Known {
            const NAMES: &[&str] = &[$($($name),+),+];

            /// The first of its names.
            pub(super) const fn name(self) -> &'static str {
                match self { $(Self::$variant => [$($name),+][0],)+ }
            }

            fn parse(name: &str) -> Option<Self> {
                match name {
                    $($($name)|+ => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

known! {
    /// When the request began: `YYYY/MM/DD HH:MM:SS.mmm`, local time.
    StartTime = "start_time",
    /// From its begin until it was wholly sent upstream; Go's duration text, as all durations.
    RequestReceivedDuration = "request_received_duration",
    /// From its begin until the response had come.
    ResponseReceivedDuration = "response_received_duration",
    /// From its begin until its end.
    RequestFinishedDuration = "request_finished_duration",
    /// The time that the proxy took itself.
    ProcessTimeDuration = "process_time_duration",
    /// From its begin until now.
    Duration = "duration",
    /// Bytes of the response's body.
    BytesSent = "bytes_sent",
    /// Bytes of the request's body.
    BytesReceived = "bytes_received",
    /// `Http1`.
    Protocol = "protocol" | "downstream_protocol",
    /// As a number; 0 where there was none.
    ResponseCode = "response_code",
    /// `true` when anything went wrong on the way, else `false`.
    ResponseFlag = "response_flag" | "response_flags",
    /// What went wrong, as `0x…`.
    FailureReason = "upstream_transport_failure_reason",
    /// The chosen host's address.
    UpstreamAddress = "upstream_local_address",
    /// The chosen host's `hostname`.
    UpstreamHost = "upstream_host",
    /// The cluster's name.
    UpstreamCluster = "upstream_cluster",
    /// Our end of the downstream's connection.
    DownstreamLocalAddress = "downstream_local_address",
    /// The downstream's end.
    DownstreamRemoteAddress = "downstream_remote_address" | "ori_remote_addr",
    /// Of the request, made up where no tracer makes one.
    TraceId = "trace_id",
    /// Of the downstream's connection; the first one is 1.
    ConnectionId = "connection_id",
    /// Of the upstream's connection.
    UpstreamConnectionId = "upstream_connection_id",
    /// Of the request.
    StreamId = "stream_id",
    /// The listener's name.
    ListenerName = "listener_name",
    /// The port of its address.
    ListenerPort = "listener_port",
    /// `ingress` or `egress`.
    ListenerType = "listener_type",
    /// The request's method.
    Method = "x-mosn-method" | "Http1_request_method",
    /// The path, unescaped and normalised.
    Path = "x-mosn-path" | "Http1_request_path",
    /// The path as it came.
    PathOriginal = "x-mosn-path-original" | "Http1_request_path_original",
    /// The query as it came; no value when there is none.
    Query = "x-mosn-querystring" | "Http1_request_arg",
    /// Path and query as they came.
    Uri = "Http1_request_uri",
    /// The host that the request is for.
    Host = "x-mosn-host",
    /// `http` or `https`.
    Scheme = "x-mosn-scheme" | "Http1_request_scheme",
    /// Bytes of head and body.
    Length = "Http1_request_length",
    /// The host that goes upstream.
    Authority = "authority",
    /// The status that goes downstream.
    Status = "x-mosn-status",
    /// `true` once the proxy answers itself.
    DirectResponse = "proxy_direct_response",
    /// Milliseconds, when the request says so.
    GlobalTimeout = "proxy_global_timeout",
    /// Milliseconds, when the request says so.
    TryTimeout = "proxy_try_timeout",
    /// The `service` field, as RPC routes read it.
    RpcService = "x-mosn-rpc-service",
}

/// Names that MOSN registers and that no HTTP/1 request gives a value.
const VALUELESS: &[&str] = &[
    "Dubbo_method",
    "Dubbo_service",
    "Http2_request_scheme",
    "Http2_request_use_stream",
    "Http2_response_use_stream",
    "accept_buffer",
    "accept_chan",
    "access_logs",
    "conn_default_read_buffer_size",
    "connection",
    "connection_event_listeners",
    "connection_fd",
    "connection_pool_index",
    "downstream_req_headers",
    "downstream_resp_headers",
    "gRPC_serviceName",
    "listener_match_fallback_ip",
    "network_filterchain_factories",
    "protocol_config",
    "proxy_disable_retry",
    "proxy_general_config",
    "proxy_gzip_switch",
    "proxy_hijack_status",
    "requestResult",
    "span_key",
    "trace_span",
    "upstream_index",
    "upstream_protocol",
    "x-mosn-direction",
    "x-mosn-req-raw-data",
    "x-mosn-resp-raw-data",
    "x-mosn-router-meta",
    "x-mosn-rpc-method",
    "x_seata_branch_id",
    "x_seata_xid",
];

/// Makes a variable of what follows the prefix.
type Family = fn(&str) -> Variable;

/// Prefixes of names, longest first where one begins another.
const PREFIXES: &[(&str, Family)] = &[
    ("Http1_request_header_", |rest| {
        Variable::RequestField(rest.to_ascii_lowercase())
    }),
    ("Http1_request_arg_", |rest| {
        Variable::QueryArgument(rest.to_owned())
    }),
    ("Http1_cookie_", |rest| Variable::Cookie(rest.to_owned())),
    ("Http2_request_header_", |rest| {
        Variable::Valueless(rest.to_owned())
    }),
    ("Http2_cookie_", |rest| Variable::Valueless(rest.to_owned())),
    ("request_header_", |rest| {
        Variable::RequestField(rest.to_ascii_lowercase())
    }),
    ("response_header_", |rest| {
        Variable::ResponseField(rest.to_ascii_lowercase())
    }),
];

impl Variable {
    /// Every whole name that MOSN has, those that never have a value here too.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Known::NAMES.iter().chain(VALUELESS).copied()
    }

    /// The variable of this name; names are told apart by case.
    #[must_use]
    pub fn parse(name: &str) -> Self {
        if let Some(known) = Known::parse(name) {
            return Self::Known(known);
        }
        let prefixed = PREFIXES.iter().find_map(|(prefix, make)| {
            let rest = name.strip_prefix(prefix)?;
            Some(make(rest))
        });
        match prefixed {
            Some(variable) => variable,
            None if VALUELESS.contains(&name) => Self::Valueless(name.to_owned()),
            None => Self::Unknown(name.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_variable_of_its_own_or_of_a_family() {
        let text = str::to_owned;
        for (name, expected) in [
            ("x-mosn-path", Variable::Known(Known::Path)),
            ("Http1_request_path", Variable::Known(Known::Path)),
            ("Http1_request_arg", Variable::Known(Known::Query)),
            ("Http1_request_arg_a", Variable::QueryArgument(text("a"))),
            ("request_header_X-Id", Variable::RequestField(text("x-id"))),
            ("Http1_cookie_Id", Variable::Cookie(text("Id"))),
            (
                "upstream_index",
                Variable::Valueless(text("upstream_index")),
            ),
            ("request_path", Variable::Unknown(text("request_path"))),
        ] {
            assert_eq!(Variable::parse(name), expected, "{name}");
        }
    }
}
