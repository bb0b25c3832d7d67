//! `servers[0]` and its listeners.

use super::filter::{LISTENER_FILTER, NETWORK_FILTER};
use super::route::ROUTER;
use super::stream::STREAM_FILTER;
use super::tls::TLS;
use crate::config::raw::shape::{
    DURATION, DURATION_OR_NULL, INT, Schema, Shape, later, later_if, never, now,
};

pub(super) static SERVER: Schema = Schema {
    keys: &[
        now("mosn_server_name", Shape::Text),
        now("default_log_path", Shape::Text),
        now("default_log_level", Shape::Text),
        now("global_log_roller", Shape::Text),
        never("use_netpoll_mode", Shape::Bool),
        now("graceful_timeout", DURATION),
        now("processor", Shape::IntegerOrText),
        now("listeners", Shape::List(&Shape::Object(&LISTENER))),
        now("routers", Shape::List(&Shape::Object(&ROUTER))),
    ],
};

pub(crate) static LISTENER: Schema = Schema {
    keys: &[
        now("name", Shape::Text),
        now("type", Shape::Text),
        now("address", Shape::Text),
        now("bind_port", Shape::Bool),
        now("network", Shape::Text),
        later("use_original_dst", Shape::Text),
        now("access_logs", Shape::List(&Shape::Object(&ACCESS_LOG))),
        later(
            "listener_filters",
            Shape::List(&Shape::Tagged(&LISTENER_FILTER)),
        ),
        now("filter_chains", Shape::List(&Shape::Object(&FILTER_CHAIN))),
        now(
            "stream_filters",
            Shape::List(&Shape::Tagged(&STREAM_FILTER)),
        ),
        later("inspector", Shape::Bool),
        now("connection_idle_timeout", DURATION_OR_NULL),
        never("default_read_buffer_size", INT),
    ],
};

static ACCESS_LOG: Schema = Schema {
    keys: &[
        now("log_path", Shape::Text),
        now("log_format", Shape::Text),
        // Ours: an object of formats.
        now("json_format", Shape::Map(&Shape::Text)),
    ],
};

static FILTER_CHAIN: Schema = Schema {
    keys: &[
        never("match", Shape::Text),
        later_if("tls_context", Shape::Object(&TLS), "status"),
        later("tls_context_set", Shape::List(&Shape::Object(&TLS))),
        now("filters", Shape::List(&Shape::Tagged(&NETWORK_FILTER))),
    ],
};
