//! Every metric there is, by MOSN's types, labels and keys; what MOSN has not is marked.

use super::object::{Metric, Table, counter, distribution, gauge};

/// What is counted of all listeners together.
pub static GLOBAL: Table = Table {
    kind: "downstream",
    labels: &["proxy"],
    metrics: DOWNSTREAM,
};

/// What is counted of each listener.
pub static LISTENER: Table = Table {
    kind: "downstream",
    labels: &["listener"],
    metrics: DOWNSTREAM,
};

/// What is counted of each cluster, removed hosts of it included.
pub static CLUSTER: Table = Table {
    kind: "upstream",
    labels: &["cluster"],
    metrics: &[
        CONNECTION_TOTAL,
        CONNECTION_ACTIVE,
        CONNECTION_CON_FAIL,
        CONNECTION_CLOSE,
        CONNECTION_LOCAL_CLOSE,
        CONNECTION_REMOTE_CLOSE,
        CONNECTION_LOCAL_CLOSE_WITH_ACTIVE_REQUEST,
        CONNECTION_REMOTE_CLOSE_WITH_ACTIVE_REQUEST,
        CONNECTION_CLOSE_NOTIFY,
        counter(
            "connection_retry",
            "Relayed connections whose host could not be connected to, each host for itself.",
        ),
        counter(
            "connection_overflow",
            "Connections refused by `max_connections`. Not in MOSN.",
        ),
        counter("connection_bytes_read_total", "Bytes that came from hosts."),
        counter("connection_bytes_write", "Bytes that went to hosts."),
        REQUEST_TOTAL,
        REQUEST_ACTIVE,
        REQUEST_LOCAL_RESET,
        REQUEST_REMOTE_RESET,
        counter("request_retry", "Requests tried again."),
        counter(
            "request_retry_overflow",
            "Retries refused by `max_retries` or the retry budget.",
        ),
        REQUEST_TIMEOUT,
        counter(
            "request_pending_overflow",
            "Requests refused by `max_requests`.",
        ),
        REQUEST_DURATION_TIME,
        REQUEST_DURATION_TIME_TOTAL,
        RESPONSE_SUCCESS,
        RESPONSE_FAILED,
        RESPONSE_STRAY,
        REQUEST_FAILURE_EJECT,
        gauge("lb_subsets_created", "Subsets that the hosts make."),
        counter(
            "lb_subsets_fallback",
            "Choices that fell back from the subset that was asked for.",
        ),
        gauge("hosts", "Hosts of the cluster. Not in MOSN."),
        gauge("hosts_healthy", "Hosts that may be chosen. Not in MOSN."),
    ],
};

/// What is counted of each host.
pub static HOST: Table = Table {
    kind: "upstream",
    labels: &["cluster", "host"],
    metrics: &[
        CONNECTION_TOTAL,
        CONNECTION_ACTIVE,
        CONNECTION_CON_FAIL,
        CONNECTION_CLOSE,
        CONNECTION_LOCAL_CLOSE,
        CONNECTION_REMOTE_CLOSE,
        CONNECTION_LOCAL_CLOSE_WITH_ACTIVE_REQUEST,
        CONNECTION_REMOTE_CLOSE_WITH_ACTIVE_REQUEST,
        CONNECTION_CLOSE_NOTIFY,
        REQUEST_TOTAL,
        REQUEST_ACTIVE,
        REQUEST_LOCAL_RESET,
        REQUEST_REMOTE_RESET,
        REQUEST_TIMEOUT,
        REQUEST_DURATION_TIME,
        REQUEST_DURATION_TIME_TOTAL,
        RESPONSE_SUCCESS,
        RESPONSE_FAILED,
        RESPONSE_STRAY,
        gauge(
            "host_healthy",
            "1 while the host may be chosen, else 0. Not in MOSN.",
        ),
    ],
};

/// What is counted of health checks, by the names of their services.
pub static HEALTH_CHECK: Table = Table {
    kind: "healthcheck",
    labels: &["service"],
    metrics: &[
        counter("attempt", "Probes begun."),
        counter("success", "Probes that passed."),
        counter("failure", "Probes that failed."),
        counter(
            "active_failure",
            "Probes that failed because the host refused, or answered so.",
        ),
        counter(
            "network_failure",
            "Probes that failed because no answer came in time.",
        ),
        counter("passive_failure", "Always 0, as in MOSN."),
        counter("verify_cluster", "Always 0, as in MOSN."),
        counter(
            "inconclusive",
            "Probes that could not be made for want of descriptors, say. Not in MOSN.",
        ),
        gauge(
            "healty",
            "Hosts that the check finds healthy. The misspelling is MOSN's.",
        ),
    ],
};

/// Every table, in the order in which they are written.
pub static TABLES: [&Table; 5] = [&GLOBAL, &LISTENER, &CLUSTER, &HOST, &HEALTH_CHECK];

const DOWNSTREAM: &[Metric] = &[
    counter("connection_total", "Connections accepted."),
    counter("connection_destroy", "Connections that have ended."),
    gauge("connection_active", "Connections that are open."),
    counter(
        "connection_idle_close",
        "Connections closed because they were idle for too long. Not in MOSN.",
    ),
    counter(
        "connection_failed",
        "Relayed connections that got no upstream. Not in MOSN.",
    ),
    counter(
        "connection_http2_unspoken",
        "Connections that speak HTTP/2 where several protocols are told apart. Not in MOSN.",
    ),
    counter(
        "connection_dubbo_unspoken",
        "Connections that speak Dubbo there. Not in MOSN.",
    ),
    counter(
        "connection_dubbo_thrift_unspoken",
        "Connections that speak Dubbo over Thrift there. Not in MOSN.",
    ),
    counter(
        "connection_tars_unspoken",
        "Connections that speak Tars there. Not in MOSN.",
    ),
    counter("bytes_read_total", "Bytes that came from downstream."),
    counter("bytes_write_total", "Bytes that went downstream."),
    counter("request_total", "Requests that came."),
    gauge("request_active", "Requests under way."),
    counter(
        "request_reset",
        "Requests whose downstream went away before the response was complete.",
    ),
    counter(
        "request_failed",
        "Requests that were not forwarded, or not answered by a host.",
    ),
    counter(
        "request_time_total",
        "Nanoseconds from the heads of all requests to the ends of their responses.",
    ),
    counter(
        "process_time_total",
        "Nanoseconds that the proxy itself took of request_time_total.",
    ),
    counter("request_200_total", "Requests that ended with this status."),
    counter("request_206_total", "Requests that ended with this status."),
    counter("request_302_total", "Requests that ended with this status."),
    counter("request_304_total", "Requests that ended with this status."),
    counter("request_400_total", "Requests that ended with this status."),
    counter("request_403_total", "Requests that ended with this status."),
    counter("request_404_total", "Requests that ended with this status."),
    counter("request_416_total", "Requests that ended with this status."),
    counter("request_499_total", "Requests that ended with this status."),
    counter("request_500_total", "Requests that ended with this status."),
    counter("request_502_total", "Requests that ended with this status."),
    counter("request_503_total", "Requests that ended with this status."),
    counter("request_504_total", "Requests that ended with this status."),
    counter(
        "request_other_code",
        "Requests that ended with any other status.",
    ),
    distribution(
        "request_time",
        "Nanoseconds from the head of a request to the end of its response.",
    ),
    distribution(
        "process_time",
        "Nanoseconds that the proxy itself took of request_time.",
    ),
];

const CONNECTION_TOTAL: Metric = counter(
    "connection_total",
    "Connections begun, failed ones included.",
);
const CONNECTION_ACTIVE: Metric = gauge("connection_active", "Connections open or being opened.");
const CONNECTION_CON_FAIL: Metric =
    counter("connection_con_fail", "Connections that could not be made.");
const CONNECTION_CLOSE: Metric = counter(
    "connection_close",
    "Connections that were open and have ended.",
);
const CONNECTION_LOCAL_CLOSE: Metric = counter(
    "connection_local_close",
    "Connections that the proxy closed.",
);
const CONNECTION_REMOTE_CLOSE: Metric = counter(
    "connection_remote_close",
    "Connections that the host closed, or reset.",
);
const CONNECTION_LOCAL_CLOSE_WITH_ACTIVE_REQUEST: Metric = counter(
    "connection_local_close_with_active_request",
    "Connections that the proxy closed in the middle of a request.",
);
const CONNECTION_REMOTE_CLOSE_WITH_ACTIVE_REQUEST: Metric = counter(
    "connection_remote_close_with_active_request",
    "Connections that the host closed in the middle of a request.",
);
const CONNECTION_CLOSE_NOTIFY: Metric = counter(
    "connection_close_notify",
    "Connections on which the host said that it wants no more requests there: by `Connection: close`, or by a goaway of Bolt.",
);
const REQUEST_TOTAL: Metric = counter("request_total", "Requests sent, each try for itself.");
const REQUEST_ACTIVE: Metric = gauge("request_active", "Requests under way.");
const REQUEST_LOCAL_RESET: Metric = counter(
    "request_local_reset",
    "Requests given up while the host was at work.",
);
const REQUEST_REMOTE_RESET: Metric =
    counter("request_remote_reset", "Requests that the host cut off.");
const REQUEST_FAILURE_EJECT: Metric = counter(
    "request_failure_eject",
    "Times that a host was ejected because its work failed.",
);
const REQUEST_TIMEOUT: Metric = counter(
    "request_timeout",
    "Requests that were not answered in time.",
);
const REQUEST_DURATION_TIME: Metric = distribution(
    "request_duration_time",
    "Nanoseconds from a request's first byte to the end of its response.",
);
const REQUEST_DURATION_TIME_TOTAL: Metric = counter(
    "request_duration_time_total",
    "Nanoseconds that all responses together took.",
);
const RESPONSE_SUCCESS: Metric = counter("response_success", "Responses with a status below 500.");
const RESPONSE_FAILED: Metric = counter(
    "response_failed",
    "Requests that failed: status 500 or above, or no response; each try for itself.",
);
const RESPONSE_STRAY: Metric = counter(
    "response_stray",
    "Responses of RPC that nobody waited for: too late, twice, or of an unknown id. Not in MOSN.",
);

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_name_means_one_thing_and_stands_once_in_a_table() {
        let mut known: HashMap<(&str, &str), &Metric> = HashMap::new();
        for table in TABLES {
            let mut keys: Vec<_> = table.metrics.iter().map(|metric| metric.key).collect();
            for metric in table.metrics {
                let first = *known.entry((table.kind, metric.key)).or_insert(metric);
                assert_eq!(
                    (first.kind, first.help),
                    (metric.kind, metric.help),
                    "{}",
                    metric.key
                );
            }
            keys.sort_unstable();
            let len = keys.len();
            keys.dedup();
            assert_eq!(keys.len(), len, "{}{:?}", table.kind, table.labels);
            assert!(table.labels.is_sorted());
        }
    }
}
