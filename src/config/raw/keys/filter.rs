//! Network filters and listener filters.

use super::route::ROUTER;
use crate::config::raw::shape::{
    DURATION, INT, Schema, Shape, Tagged, UINT8, UINT32, Variant, later, never, now,
};

pub(super) static FILTER: Schema = Schema {
    keys: &[
        now("type", Shape::Text),
        now("config", Shape::Free),
        later("go_plugin_config", Shape::Object(&GO_PLUGIN)),
    ],
};

static GO_PLUGIN: Schema = Schema {
    keys: &[
        now("so_path", Shape::Text),
        now("factory_method", Shape::Text),
    ],
};

/// MOSN skips a filter whose configuration it cannot read, and starts: so a wrong type is a warning.
pub(super) static NETWORK_FILTER: Tagged = Tagged {
    what: "network filter",
    schema: &FILTER,
    tag: "type",
    content: "config",
    variants: &[
        Variant::lenient("tcp_proxy", Shape::Object(&STREAM_PROXY)),
        Variant::lenient("proxy", Shape::Object(&PROXY)),
        Variant::later("udp_proxy", Shape::Object(&STREAM_PROXY)),
        // MOSN does not start where it cannot read this one.
        Variant::strict("connection_manager", Shape::Object(&ROUTER)),
        Variant::later("grpc", Shape::Object(&GRPC)),
        Variant::later("tunnel", Shape::Free),
    ],
};

pub(super) static LISTENER_FILTER: Tagged = Tagged {
    what: "listener filter",
    schema: &FILTER,
    tag: "type",
    content: "config",
    variants: &[Variant::later("original_dst", Shape::Object(&ORIGINAL_DST))],
};

static ORIGINAL_DST: Schema = Schema {
    keys: &[
        now("type", Shape::Text),
        now("fallback_to_local", Shape::Bool),
    ],
};

static STREAM_PROXY: Schema = Schema {
    keys: &[
        now("cluster", Shape::Text),
        now("routes", Shape::List(&Shape::Object(&STREAM_ROUTE))),
        never("idle_timeout", INT),
        never("stat_prefix", Shape::Text),
        never("max_connect_attempts", INT),
    ],
};

/// Named as in Go: the file's keys are the bare names of the fields.
static STREAM_ROUTE: Schema = Schema {
    keys: &[
        now("Cluster", Shape::Text),
        now("SourceAddrs", Shape::List(&Shape::Object(&NETWORK))),
        now("DestinationAddrs", Shape::List(&Shape::Object(&NETWORK))),
        now("SourcePort", Shape::Text),
        now("DestinationPort", Shape::Text),
    ],
};

static NETWORK: Schema = Schema {
    keys: &[now("Address", Shape::Text), now("Length", UINT8)],
};

static PROXY: Schema = Schema {
    keys: &[
        never("name", Shape::Text),
        now("downstream_protocol", Shape::Text),
        never("upstream_protocol", Shape::Text),
        now("router_config_name", Shape::Text),
        now("router_handler_name", Shape::Text),
        now("fallback_for_unknown_protocol", Shape::Bool),
        // Flat or by protocol: whoever reads it knows which.
        now("extend_config", Shape::Map(&Shape::Free)),
        now("concurrency_num", INT),
        never("validate_clusters", Shape::Bool),
        // Ours: how long to wait for what tells a protocol.
        now("detection_timeout", DURATION),
        // Ours: all requests to one cluster, without a router.
        now("cluster", Shape::Text),
    ],
};

/// What `extend_config` says about HTTP/1: the first two keys are MOSN's.
pub(crate) static HTTP1: Schema = Schema {
    keys: &[
        now("max_header_size", INT),
        now("max_request_body_size", INT),
        now("body_min_rate", UINT32),
        now("connect", Shape::Text),
        now("continue_timeout", DURATION),
        now("deadlines", Shape::Text),
        now("head_timeout", DURATION),
        // Each connection may hold as much.
        now("kept_body_size", Shape::Integer(0, 16 << 20)),
        now("max_headers", Shape::Integer(1, 65_535)),
        now("reply_cause", Shape::Bool),
        // Where the protocol is written as `X`.
        now("sub_protocol", Shape::Text),
        now("upstream_silence_timeout", DURATION),
    ],
};

/// What `extend_config` says about protocols whose requests share connections: the first key is
/// MOSN's.
pub(crate) static RPC: Schema = Schema {
    keys: &[
        now("enable_bolt_goaway", Shape::Bool),
        // A kilobyte at least: a class and a few headers have to fit.
        now("max_frame_size", Shape::Integer(1024, 1 << 30)),
        // Ours: in MOSN each codec has its own.
        now("pool_mode", Shape::Text),
        // Where the protocol is written as `X`.
        now("sub_protocol", Shape::Text),
    ],
};

static GRPC: Schema = Schema {
    keys: &[
        now("server_name", Shape::Text),
        now("grpc_config", Shape::Free),
        now("graceful_stop_timeout", DURATION),
    ],
};
