//! `cluster_manager`, clusters and hosts.

use super::tls::TLS;
use crate::config::raw::shape::{
    DURATION, DURATION_OR_NULL, INT, Schema, Shape, TEXTS, UINT8, UINT16, UINT32, later, later_if,
    never, now,
};

pub(super) static CLUSTER_MANAGER: Schema = Schema {
    keys: &[
        now("clusters", Shape::List(&Shape::Object(&CLUSTER))),
        now("clusters_configs", Shape::Text),
        later_if("tls_context", Shape::Object(&TLS), "status"),
    ],
};

pub(crate) static CLUSTER: Schema = Schema {
    keys: &[
        now("name", Shape::Text),
        now("type", Shape::Text),
        never("sub_type", Shape::Text),
        now("lb_type", Shape::Text),
        never("max_request_per_conn", UINT32),
        never("conn_buffer_limit_bytes", UINT32),
        now("mark", UINT32),
        now("circuit_breakers", Shape::List(&Shape::Object(&LIMITS))),
        now("health_check", Shape::Object(&HEALTH_CHECK)),
        never("spec", Shape::Object(&SPEC)),
        now("lb_subset_config", Shape::Object(&SUBSETS)),
        now("original_dst_lb_config", Shape::Object(&ORIGINAL_DST)),
        later("cluster_manager_tls", Shape::Bool),
        later_if("tls_context", Shape::Object(&TLS), "status"),
        now("hosts", Shape::List(&Shape::Object(&HOST))),
        now("connect_timeout", DURATION_OR_NULL),
        now("idle_timeout", DURATION_OR_NULL),
        now("lbconfig", Shape::Object(&LB_CONFIG)),
        now("outlier_detection", Shape::Object(&OUTLIERS)),
        now("panic_threshold", Shape::Integer(0, 100)),
        now("slow_start", Shape::Object(&SLOW_START)),
        now("dns_refresh_rate", DURATION_OR_NULL),
        now("respect_dns_ttl", Shape::Bool),
        now("dns_lookup_family", Shape::Text),
        now("dns_resolvers", Shape::Object(&DNS_RESOLVERS)),
        now("dns_resolver_file", Shape::Text),
        now("dns_resolver_port", Shape::Text),
    ],
};

static LB_CONFIG: Schema = Schema {
    keys: &[
        now("choice_count", UINT32),
        now("active_request_bias", Shape::Float),
        now("client_error_bias", Shape::Float),
        now("server_error_bias", Shape::Float),
    ],
};

static SLOW_START: Schema = Schema {
    keys: &[
        now("mode", Shape::Text),
        now("slow_start_duration", DURATION_OR_NULL),
        now("aggression", Shape::Float),
        now("min_weight_percent", Shape::Float),
    ],
};

/// Ours, in Envoy's words.
static OUTLIERS: Schema = Schema {
    keys: &[
        now("consecutive_5xx", UINT16),
        now("consecutive_gateway_failure", UINT16),
        now("consecutive_local_origin_failure", UINT16),
        now("interval", DURATION_OR_NULL),
        now("base_ejection_time", DURATION_OR_NULL),
        now("max_ejection_time", DURATION_OR_NULL),
        now("max_ejection_percent", Shape::Integer(1, 100)),
    ],
};

static LIMITS: Schema = Schema {
    keys: &[
        now("max_connections", UINT32),
        never("max_pending_requests", UINT32),
        now("max_requests", UINT32),
        now("max_retries", UINT32),
    ],
};

static HEALTH_CHECK: Schema = Schema {
    keys: &[
        now("service_name", Shape::Text),
        now("protocol", Shape::Text),
        now("timeout", DURATION),
        now("interval", DURATION),
        now("interval_jitter", DURATION),
        now("initial_delay_seconds", DURATION),
        now("healthy_threshold", UINT32),
        now("unhealthy_threshold", UINT32),
        now("check_config", Shape::Object(&CHECK_CONFIG)),
        now("event_log_path", Shape::Text),
        now("event_log_format", Shape::Text),
        now("common_callbacks", TEXTS),
    ],
};

static CHECK_CONFIG: Schema = Schema {
    keys: &[now("http_check_config", Shape::Object(&HTTP_CHECK))],
};

static HTTP_CHECK: Schema = Schema {
    keys: &[
        now("port", INT),
        now("timeout", DURATION),
        now("path", Shape::Text),
        now("method", Shape::Text),
        now("scheme", Shape::Text),
        now("domain", Shape::Text),
        now("codes", Shape::List(&Shape::Object(&CODES))),
    ],
};

static CODES: Schema = Schema {
    keys: &[now("Start", INT), now("End", INT)],
};

static SPEC: Schema = Schema {
    keys: &[now("subscribe", Shape::List(&Shape::Object(&SUBSCRIPTION)))],
};

static SUBSCRIPTION: Schema = Schema {
    keys: &[
        now("subscriber", Shape::Text),
        now("service_name", Shape::Text),
    ],
};

static SUBSETS: Schema = Schema {
    keys: &[
        now("fall_back_policy", UINT8),
        now("default_subset", Shape::Map(&Shape::Text)),
        now("subset_selectors", Shape::List(&TEXTS)),
    ],
};

static ORIGINAL_DST: Schema = Schema {
    keys: &[
        now("use_header", Shape::Bool),
        now("header_name", Shape::Text),
        now("replace_local", Shape::Bool),
    ],
};

static DNS_RESOLVERS: Schema = Schema {
    keys: &[
        now("servers", TEXTS),
        now("search", TEXTS),
        now("port", Shape::Text),
        now("ndots", INT),
        now("timeout", INT),
        now("attempts", INT),
    ],
};

pub(crate) static HOST: Schema = Schema {
    keys: &[
        now("address", Shape::Text),
        now("hostname", Shape::Text),
        now("weight", UINT32),
        now("metadata", Shape::Object(&METADATA)),
        later("tls_disable", Shape::Bool),
    ],
};

pub(super) static METADATA: Schema = Schema {
    keys: &[now(
        "filter_metadata",
        Shape::Map(&Shape::Map(&Shape::Free)),
    )],
};
