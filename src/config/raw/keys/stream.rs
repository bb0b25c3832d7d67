//! Stream filters: the hooks on requests.

use super::filter::FILTER;
use crate::config::raw::shape::{
    DURATION, INT, Schema, Shape, TEXTS, Tagged, UINT, UINT32, Variant, now,
};

pub(super) static STREAM_FILTER: Tagged = Tagged {
    what: "stream filter",
    schema: &FILTER,
    tag: "type",
    content: "config",
    variants: &[
        Variant::strict("fault", Shape::Object(&FAULT)),
        Variant::strict("payload_limit", Shape::Object(&PAYLOAD_LIMIT)),
        Variant::later("gzip", Shape::Object(&GZIP)),
        // Read as a map: its keys are not folded.
        Variant::strict("mirror", Shape::Map(&Shape::Free)),
        Variant::later("dsl", Shape::Object(&DSL)),
        Variant::strict("ip_access", Shape::Object(&IP_ACCESS)),
        Variant::strict("header_to_metadata", Shape::Object(&HEADER_TO_METADATA)),
        Variant::later("flowControlFilter", Shape::Object(&FLOW_CONTROL)),
        Variant::later("fault_tolerance", Shape::Object(&FAULT_TOLERANCE)),
        Variant::later("transcoder", Shape::Object(&TRANSCODER)),
        Variant::later("dubbo_stream", Shape::Object(&DUBBO_STREAM)),
        Variant::later("grpc_metric", Shape::Free),
        Variant::later("seata", Shape::Free),
        // Every key that is not its own is handed to the module.
        Variant::later("proxywasm", Shape::Free),
        Variant::later("mixer", Shape::Free),
        Variant::later("istio.stats", Shape::Free),
        Variant::later("jwt_authn", Shape::Free),
    ],
};

pub(crate) static FAULT: Schema = Schema {
    keys: &[
        now("delay", Shape::Object(&DELAY)),
        now("abort", Shape::Object(&ABORT)),
        now("upstream_cluster", Shape::Text),
        now("headers", Shape::List(&Shape::Object(&HEADER_MATCH))),
    ],
};

static DELAY: Schema = Schema {
    keys: &[now("fixed_delay", DURATION), now("percentage", UINT32)],
};

static ABORT: Schema = Schema {
    keys: &[now("status", INT), now("percentage", UINT32)],
};

pub(super) static HEADER_MATCH: Schema = Schema {
    keys: &[
        now("name", Shape::Text),
        now("value", Shape::Text),
        now("regex", Shape::Bool),
    ],
};

pub(crate) static PAYLOAD_LIMIT: Schema = Schema {
    // MOSN reads the size only under the key with the blank.
    keys: &[
        now("http_status", INT),
        now("max_entity_size ", UINT),
        now("max_entity_size", UINT),
    ],
};

static GZIP: Schema = Schema {
    keys: &[
        now("gzip_level", Shape::Integer(0, 9)),
        now("content_length", UINT),
        now("content_types", TEXTS),
    ],
};

static DSL: Schema = Schema {
    keys: &[
        now("before_router_by_dsl", Shape::Text),
        now("after_router_by_dsl", Shape::Text),
        now("after_balancer_by_dsl", Shape::Text),
        now("send_filter_by_dsl", Shape::Text),
        now("log_filter_by_dsl", Shape::Text),
        now("debug", Shape::Free),
    ],
};

static IP_ACCESS: Schema = Schema {
    keys: &[
        now("default_action", Shape::Text),
        now("header", Shape::Text),
        now("ips", Shape::List(&Shape::Object(&IP_LIST))),
    ],
};

static IP_LIST: Schema = Schema {
    keys: &[now("action", Shape::Text), now("addrs", TEXTS)],
};

static HEADER_TO_METADATA: Schema = Schema {
    keys: &[now(
        "request_rules",
        Shape::List(&Shape::Object(&METADATA_RULE)),
    )],
};

static METADATA_RULE: Schema = Schema {
    keys: &[
        now("header", Shape::Text),
        now("on_header_present", Shape::Object(&KEY_VALUE)),
        now("on_header_missing", Shape::Object(&KEY_VALUE)),
        now("remove", Shape::Bool),
    ],
};

pub(super) static KEY_VALUE: Schema = Schema {
    keys: &[now("key", Shape::Text), now("value", Shape::Text)],
};

static FLOW_CONTROL: Schema = Schema {
    keys: &[
        now("app_name", Shape::Text),
        now("log_path", Shape::Text),
        now("global_switch", Shape::Bool),
        now("monitor", Shape::Bool),
        now("limit_key_type", Shape::Text),
        now("action", Shape::Object(&FLOW_ACTION)),
        now("rules", Shape::List(&Shape::Free)),
        now("callback_name", Shape::Text),
        now("direction", Shape::Text),
    ],
};

static FLOW_ACTION: Schema = Schema {
    keys: &[now("status", INT), now("body", Shape::Text)],
};

static FAULT_TOLERANCE: Schema = Schema {
    keys: &[
        now("enabled", Shape::Bool),
        now("exceptionTypes", Shape::Free),
        now("timeWindow", INT),
        now("leastWindowCount", INT),
        now("exceptionRateMultiple", Shape::Float),
        now("maxIpCount", UINT),
        now("maxIpRatio", Shape::Float),
        now("recoverTime", INT),
        now("taskSize", INT),
    ],
};

static TRANSCODER: Schema = Schema {
    keys: &[
        now("type", Shape::Text),
        now("trans", Shape::Map(&Shape::Free)),
        now("rules", Shape::List(&Shape::Object(&TRANSCODER_RULE))),
    ],
};

static TRANSCODER_RULE: Schema = Schema {
    keys: &[
        now("matcher_config", Shape::Object(&TRANSCODER_MATCHER)),
        now("rule_info", Shape::Object(&TRANSCODER_RULE_INFO)),
    ],
};

static TRANSCODER_MATCHER: Schema = Schema {
    keys: &[now("matcher_type", Shape::Text), now("config", Shape::Free)],
};

static TRANSCODER_RULE_INFO: Schema = Schema {
    keys: &[
        now("upstream_protocol", Shape::Text),
        now("description", Shape::Text),
        now("config", Shape::Free),
    ],
};

static DUBBO_STREAM: Schema = Schema {
    keys: &[now("subset", Shape::Text)],
};

pub(super) static VM: Schema = Schema {
    keys: &[
        now("engine", Shape::Text),
        now("path", Shape::Text),
        now("url", Shape::Text),
        now("md5", Shape::Text),
        now("cpu", INT),
        now("mem", INT),
    ],
};
