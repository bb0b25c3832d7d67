//! Network filters and listener filters.

use super::route::ROUTER;
use crate::config::diagnostics::Severity;
use crate::config::raw::shape::{
    DURATION, Effect, INT, Schema, Shape, Tagged, UINT8, Variant, never, now,
};

pub(super) static FILTER: Schema = Schema {
    keys: &[
        now("type", Shape::Text),
        now("config", Shape::Free),
        now("go_plugin_config", Shape::Object(&GO_PLUGIN)),
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
        Variant {
            name: "tcp_proxy",
            content: Shape::Object(&STREAM_PROXY),
            effect: Effect::Now,
        },
        Variant {
            name: "proxy",
            content: Shape::Object(&PROXY),
            effect: Effect::Later,
        },
        Variant {
            name: "udp_proxy",
            content: Shape::Object(&STREAM_PROXY),
            effect: Effect::Later,
        },
        Variant {
            name: "connection_manager",
            content: Shape::Object(&ROUTER),
            effect: Effect::Later,
        },
        Variant {
            name: "grpc",
            content: Shape::Object(&GRPC),
            effect: Effect::Later,
        },
        Variant {
            name: "tunnel",
            content: Shape::Free,
            effect: Effect::Later,
        },
    ],
    mismatch: Severity::Warning,
};

pub(super) static LISTENER_FILTER: Tagged = Tagged {
    what: "listener filter",
    schema: &FILTER,
    tag: "type",
    content: "config",
    variants: &[Variant {
        name: "original_dst",
        content: Shape::Object(&ORIGINAL_DST),
        effect: Effect::Later,
    }],
    mismatch: Severity::Warning,
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
        now("extend_config", Shape::Map(&Shape::Free)),
        now("concurrency_num", INT),
        never("validate_clusters", Shape::Bool),
        // Found in files that are in use; a `proxy` goes where its router says.
        never("cluster", Shape::Text),
    ],
};

static GRPC: Schema = Schema {
    keys: &[
        now("server_name", Shape::Text),
        now("grpc_config", Shape::Free),
        now("graceful_stop_timeout", DURATION),
    ],
};
