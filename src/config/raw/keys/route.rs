//! Routers, virtual hosts and routes.

use super::stream::{HEADER_MATCH, KEY_VALUE};
use super::upstream::METADATA;
use crate::config::raw::shape::{DURATION, INT, Schema, Shape, TEXTS, UINT32, never, now};

pub(crate) static ROUTER: Schema = Schema {
    keys: &[
        now("router_config_name", Shape::Text),
        now("virtual_hosts", Shape::List(&Shape::Object(&VIRTUAL_HOST))),
        now("router_configs", Shape::Text),
        now(
            "request_headers_to_add",
            Shape::List(&Shape::Object(&HEADER_TO_ADD)),
        ),
        now(
            "response_headers_to_add",
            Shape::List(&Shape::Object(&HEADER_TO_ADD)),
        ),
        now("request_headers_to_remove", TEXTS),
        now("response_headers_to_remove", TEXTS),
    ],
};

pub(crate) static VIRTUAL_HOST: Schema = Schema {
    keys: &[
        now("name", Shape::Text),
        now("domains", TEXTS),
        now("routers", Shape::List(&Shape::Object(&ROUTE))),
        never("require_tls", Shape::Text),
        now("per_filter_config", Shape::Map(&Shape::Free)),
        now(
            "request_headers_to_add",
            Shape::List(&Shape::Object(&HEADER_TO_ADD)),
        ),
        now(
            "response_headers_to_add",
            Shape::List(&Shape::Object(&HEADER_TO_ADD)),
        ),
        now("request_headers_to_remove", TEXTS),
        now("response_headers_to_remove", TEXTS),
    ],
};

static HEADER_TO_ADD: Schema = Schema {
    keys: &[
        now("header", Shape::Object(&KEY_VALUE)),
        now("append", Shape::Bool),
    ],
};

pub(crate) static ROUTE: Schema = Schema {
    keys: &[
        now("match", Shape::Object(&MATCH)),
        now("route", Shape::Object(&ACTION)),
        now("direct_response", Shape::Object(&DIRECT_RESPONSE)),
        now("redirect", Shape::Object(&REDIRECT)),
        never("metadata", Shape::Object(&METADATA)),
        now("per_filter_config", Shape::Map(&Shape::Free)),
        now("request_mirror_policies", Shape::Object(&MIRROR)),
    ],
};

static MATCH: Schema = Schema {
    keys: &[
        now("prefix", Shape::Text),
        now("path", Shape::Text),
        now("regex", Shape::Text),
        now("headers", Shape::List(&Shape::Object(&HEADER_MATCH))),
        now("variables", Shape::List(&Shape::Object(&VARIABLE_MATCH))),
        now("dsl_expressions", Shape::List(&Shape::Object(&EXPRESSION))),
    ],
};

static VARIABLE_MATCH: Schema = Schema {
    keys: &[
        now("name", Shape::Text),
        now("value", Shape::Text),
        now("regex", Shape::Text),
        now("model", Shape::Text),
    ],
};

static EXPRESSION: Schema = Schema {
    keys: &[now("expression", Shape::Text)],
};

static DIRECT_RESPONSE: Schema = Schema {
    keys: &[now("status", INT), now("body", Shape::Text)],
};

static REDIRECT: Schema = Schema {
    keys: &[
        now("response_code", INT),
        now("path_redirect", Shape::Text),
        now("host_redirect", Shape::Text),
        now("scheme_redirect", Shape::Text),
    ],
};

static MIRROR: Schema = Schema {
    keys: &[
        now("cluster", Shape::Text),
        now("percent", UINT32),
        never("trace_sampled", Shape::Bool),
    ],
};

static ACTION: Schema = Schema {
    keys: &[
        now("cluster_name", Shape::Text),
        now("cluster_variable", Shape::Text),
        never("cluster_header", Shape::Text),
        now(
            "weighted_clusters",
            Shape::List(&Shape::Object(&WEIGHTED_CLUSTER)),
        ),
        now("metadata_match", Shape::Object(&METADATA)),
        now("timeout", DURATION),
        now("retry_policy", Shape::Object(&RETRY_POLICY)),
        now("upstream_protocol", Shape::Text),
        now("hash_policy", Shape::List(&Shape::Object(&HASH_POLICY))),
        now("prefix_rewrite", Shape::Text),
        now("regex_rewrite", Shape::Object(&REGEX_REWRITE)),
        now("host_rewrite", Shape::Text),
        now("auto_host_rewrite_header", Shape::Text),
        now("auto_host_rewrite", Shape::Bool),
        now(
            "request_headers_to_add",
            Shape::List(&Shape::Object(&HEADER_TO_ADD)),
        ),
        now(
            "response_headers_to_add",
            Shape::List(&Shape::Object(&HEADER_TO_ADD)),
        ),
        now("request_headers_to_remove", TEXTS),
        now("response_headers_to_remove", TEXTS),
    ],
};

static WEIGHTED_CLUSTER: Schema = Schema {
    keys: &[now("cluster", Shape::Object(&SHARE))],
};

static SHARE: Schema = Schema {
    keys: &[
        now("name", Shape::Text),
        now("weight", UINT32),
        now("metadata_match", Shape::Object(&METADATA)),
    ],
};

static RETRY_POLICY: Schema = Schema {
    keys: &[
        now("retry_on", Shape::Bool),
        now("retry_timeout", DURATION),
        now("num_retries", UINT32),
        now("status_codes", Shape::List(&UINT32)),
    ],
};

static HASH_POLICY: Schema = Schema {
    keys: &[
        now("header", Shape::Object(&HASH_HEADER)),
        now("cookie", Shape::Object(&HASH_COOKIE)),
        now("source_ip", Shape::Free),
    ],
};

static HASH_HEADER: Schema = Schema {
    keys: &[now("key", Shape::Text)],
};

static HASH_COOKIE: Schema = Schema {
    keys: &[
        now("name", Shape::Text),
        never("path", Shape::Text),
        never("ttl", DURATION),
    ],
};

static REGEX_REWRITE: Schema = Schema {
    keys: &[
        now("pattern", Shape::Object(&REGEX_PATTERN)),
        now("substitution", Shape::Text),
    ],
};

static REGEX_PATTERN: Schema = Schema {
    keys: &[now("regex", Shape::Text), never("google_re2", Shape::Free)],
};
