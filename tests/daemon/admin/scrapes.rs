//! Metrics, at the admin door and at a sink of their own.

use serde_json::json;

use super::{Admin, configuration};
use crate::http::ask;

#[test]
fn a_sink_shows_the_metrics_at_its_endpoint_and_nothing_else() {
    // Port 0 is no port of a sink; one that was free a moment ago most likely still is.
    let free = std::net::TcpListener::bind("[::]:0").expect("a port is free");
    let port = free.local_addr().expect("it is bound").port();
    drop(free);
    let mut configuration = configuration();
    let sink = json!({ "port": port, "endpoint": "/scrape", "percentiles": [99] });
    configuration["metrics"] = json!({
        "flush_mosn": true,
        "stats_matcher": { "exclusion_keys": ["request_reset"] },
        "sinks": [{ "type": "prometheus", "config": sink }],
    });
    let admin = Admin::of(&configuration, "");
    let sink = ([127, 0, 0, 1], port).into();

    let page = ask(sink, "GET", "/scrape", "", "");

    assert_eq!(page.status, 200);
    assert_eq!(
        page.field("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    for line in [
        "downstream_connection_total{listener=\"web\"} 0.0",
        "meta_mosn_state_code{mosn=\"info\"} 6.0",
        "# TYPE process_resident_memory_bytes gauge",
    ] {
        assert!(
            page.body.lines().any(|found| found == line),
            "{line}: {}",
            page.body
        );
    }
    assert!(page.body.contains("percentile=\"P99\""), "{}", page.body);
    assert!(!page.body.contains("request_reset"), "{}", page.body);
    assert_eq!(ask(sink, "GET", "/api/v1/config_dump", "", "").status, 404);
    assert_eq!(ask(sink, "POST", "/scrape", "", "").status, 405);
    let at_the_door = admin.get("/metrics");
    assert_eq!(at_the_door.status, 200);
    assert!(
        at_the_door.body.contains("upstream_hosts_healthy{"),
        "{}",
        at_the_door.body
    );
}
