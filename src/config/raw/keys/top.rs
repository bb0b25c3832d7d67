//! The document itself, and what stands beside servers and clusters.

use super::server::SERVER;
use super::stream::VM;
use super::tls::TLS;
use super::upstream::CLUSTER_MANAGER;
use crate::config::raw::shape::{
    DURATION, INT, Schema, Shape, TEXTS, Tagged, UINT, Variant, later, later_if, never, now,
};

pub(crate) static TOP: Schema = Schema {
    keys: &[
        // Where an editor finds the schema of the file.
        now("$schema", Shape::Text),
        now("servers", Shape::List(&Shape::Object(&SERVER))),
        now("cluster_manager", Shape::Object(&CLUSTER_MANAGER)),
        now("disable_upgrade", Shape::Bool),
        now("close_graceful", Shape::Bool),
        later("inherit_old_mosnconfig", Shape::Bool),
        later_if("tracing", Shape::Tagged(&TRACING), "enable"),
        now("metrics", Shape::Object(&METRICS)),
        later("dynamic_resources", Shape::Free),
        later("static_resources", Shape::Free),
        later("node", Shape::Free),
        now("admin", Shape::Object(&ADMIN)),
        later_if("pprof", Shape::Object(&PPROF), "debug"),
        now("pid", Shape::Text),
        now("uds_dir", Shape::Text),
        later("plugin", Shape::Object(&PLUGIN)),
        later("third_part_codec", Shape::Object(&CODECS)),
        later("extends", Shape::List(&Shape::Tagged(&EXTENSION))),
        later(
            "wasm_global_plugins",
            Shape::List(&Shape::Object(&WASM_PLUGIN)),
        ),
    ],
};

static ADMIN: Schema = Schema {
    keys: &[now("address", Shape::Object(&ADMIN_ADDRESS))],
};

static ADMIN_ADDRESS: Schema = Schema {
    keys: &[now("socket_address", Shape::Object(&SOCKET))],
};

static SOCKET: Schema = Schema {
    keys: &[
        now("address", Shape::Text),
        now("port_value", Shape::Integer(0, 65_535)),
    ],
};

static PPROF: Schema = Schema {
    keys: &[
        now("debug", Shape::Bool),
        now("port_value", Shape::Integer(0, 65_535)),
        now("endpoint", Shape::Text),
    ],
};

static PLUGIN: Schema = Schema {
    keys: &[now("log_base", Shape::Text)],
};

static CODECS: Schema = Schema {
    keys: &[now("codecs", Shape::List(&Shape::Object(&CODEC)))],
};

static CODEC: Schema = Schema {
    keys: &[
        now("enable", Shape::Bool),
        now("type", Shape::Text),
        now("path", Shape::Text),
        now("loader_func_name", Shape::Text),
        now("config", Shape::Free),
    ],
};

static WASM_PLUGIN: Schema = Schema {
    keys: &[
        now("plugin_name", Shape::Text),
        now("vm_config", Shape::Object(&VM)),
        now("instance_num", INT),
    ],
};

static METRICS: Schema = Schema {
    keys: &[
        now("sinks", Shape::List(&Shape::Tagged(&SINK))),
        now("stats_matcher", Shape::Object(&STATS_MATCHER)),
        now("shm_zone", Shape::Text),
        now("shm_size", Shape::ByteSize),
        now("flush_mosn", Shape::Bool),
        now("lazy_flush", Shape::Bool),
        now("ewma_config", Shape::Object(&EWMA)),
    ],
};

static EWMA: Schema = Schema {
    keys: &[
        now("alpha", Shape::Float),
        now("target", Shape::Float),
        now("duration", DURATION),
    ],
};

static STATS_MATCHER: Schema = Schema {
    keys: &[
        now("reject_all", Shape::Bool),
        now("exclusion_labels", TEXTS),
        now("exclusion_keys", TEXTS),
    ],
};

static SINK: Tagged = Tagged {
    what: "metrics sink",
    schema: &EXTENSION_KEYS,
    tag: "type",
    content: "config",
    variants: &[Variant::lenient("prometheus", Shape::Object(&PROMETHEUS))],
};

static PROMETHEUS: Schema = Schema {
    keys: &[
        now("port", Shape::Integer(1, 65_535)),
        now("endpoint", Shape::Text),
        now("percentiles", Shape::List(&Shape::Integer(0, 100))),
        now("disable_collect_process", Shape::Bool),
        never("disable_collect_go", Shape::Bool),
        now("export_url", Shape::Text),
    ],
};

static TRACING: Tagged = Tagged {
    what: "tracing driver",
    schema: &TRACING_KEYS,
    tag: "driver",
    content: "config",
    // SOFATracer's and jaeger's are free-form maps whose keys are not folded.
    variants: &[
        Variant::later("SOFATracer", Shape::Free),
        Variant::later("SkyWalking", Shape::Object(&SKYWALKING)),
        Variant::later("Zipkin", Shape::Object(&ZIPKIN)),
        Variant::later("jaeger", Shape::Free),
        Variant::later("PluginDriver", Shape::Object(&PLUGIN_DRIVER)),
    ],
};

static TRACING_KEYS: Schema = Schema {
    keys: &[
        now("enable", Shape::Bool),
        now("driver", Shape::Text),
        now("config", Shape::Free),
        now("tracer", Shape::Text),
    ],
};

static SKYWALKING: Schema = Schema {
    keys: &[
        now("reporter", Shape::Text),
        now("backend_service", Shape::Text),
        now("service_name", Shape::Text),
        now("max_send_queue_size", INT),
        now("authentication", Shape::Secret),
        now("tls", Shape::Object(&SKYWALKING_TLS)),
    ],
};

static SKYWALKING_TLS: Schema = Schema {
    keys: &[
        now("cert_file", Shape::Text),
        now("server_name_override", Shape::Text),
    ],
};

static ZIPKIN: Schema = Schema {
    keys: &[
        now("service_name", Shape::Text),
        now("reporter", Shape::Text),
        now("sample_rate", Shape::Float),
        now("addresses", TEXTS),
        now("http", Shape::Object(&ZIPKIN_HTTP)),
        now("kafka", Shape::Object(&ZIPKIN_KAFKA)),
    ],
};

static ZIPKIN_HTTP: Schema = Schema {
    keys: &[
        now("timeout", Shape::Free),
        now("batch_size", INT),
        now("batch_interval", Shape::Free),
    ],
};

static ZIPKIN_KAFKA: Schema = Schema {
    keys: &[now("topic", Shape::Text)],
};

static PLUGIN_DRIVER: Schema = Schema {
    keys: &[
        now("sopath", Shape::Text),
        now("factory_method", Shape::Text),
        now("builder", Shape::Free),
    ],
};

static EXTENSION_KEYS: Schema = Schema {
    keys: &[now("type", Shape::Text), now("config", Shape::Free)],
};

static EXTENSION: Tagged = Tagged {
    what: "extension",
    schema: &EXTENSION_KEYS,
    tag: "type",
    content: "config",
    variants: &[
        Variant::later("holmes", Shape::Free),
        Variant::later("dubbo_registry", Shape::Object(&DUBBO_REGISTRY)),
        Variant::later("tunnel_agent", Shape::Object(&TUNNEL_AGENT)),
        Variant::later("transcoder_plugin", Shape::Object(&TRANSCODERS)),
    ],
};

static DUBBO_REGISTRY: Schema = Schema {
    keys: &[
        now("enable", Shape::Bool),
        now("server_port", INT),
        now("api_port", INT),
        now("log_path", Shape::Text),
    ],
};

static TUNNEL_AGENT: Schema = Schema {
    keys: &[
        now("enable", Shape::Bool),
        now("connection_num", UINT),
        now("cluster", Shape::Text),
        now("hosting_listener", Shape::Text),
        now("server_list", TEXTS),
        now("dynamic_server_list_config", Shape::Object(&TUNNEL_SERVERS)),
        now("connect_retry_times", INT),
        now("reconnect_base_duration", DURATION),
        now("connect_timeout_duration", DURATION),
        now("credential_policy", Shape::Text),
        now("graceful_close_max_wait_duration", DURATION),
        now("tls_context", Shape::Object(&TLS)),
    ],
};

static TUNNEL_SERVERS: Schema = Schema {
    keys: &[now("dynamic_server_lister", Shape::Text)],
};

static TRANSCODERS: Schema = Schema {
    keys: &[now("transcoders", Shape::List(&Shape::Object(&TRANSCODER)))],
};

static TRANSCODER: Schema = Schema {
    keys: &[
        now("src_protocol", Shape::Text),
        now("dst_protocol", Shape::Text),
        now("so_path", Shape::Text),
    ],
};
