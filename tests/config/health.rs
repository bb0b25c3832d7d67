//! What health checks come to.

use std::num::NonZeroU32;
use std::time::Duration;

use banyan::Plan;
use banyan::config::{
    Change, Diagnostics, EventFormat, EventLog, Format, HealthCheck, HttpProbe, Probe, Source,
    diff, parse,
};
use serde_json::{Value, json};

fn parsed(check: &Value) -> (Option<Plan>, Diagnostics) {
    let text = json!({
        "servers": [{}],
        "cluster_manager": { "clusters": [{
            "name": "c", "health_check": check, "hosts": [{ "address": "127.0.0.1:80" }],
        }] },
    })
    .to_string();
    let source = Source {
        file: "main.json",
        format: Format::Json,
        text: text.as_bytes(),
    };
    let loaded = parse(&source, &banyan::config::Alone);
    (loaded.plan, loaded.diagnostics)
}

fn check(check: &Value) -> Option<HealthCheck> {
    let (plan, diagnostics) = parsed(check);
    let plan = plan.unwrap_or_else(|| panic!("{diagnostics}"));
    plan.clusters[0].health_check.clone()
}

fn http(config: &Value) -> Probe {
    let written = json!({ "service_name": "s", "protocol": "Http1",
                          "check_config": { "http_check_config": config } });
    check(&written).unwrap().probe
}

#[test]
fn only_a_service_name_makes_a_check() {
    assert_eq!(check(&json!({})), None);
    assert_eq!(
        check(&json!({ "service_name": "", "protocol": "Http1" })),
        None
    );
    assert_eq!(
        check(&json!({ "service_name": "s" })),
        Some(HealthCheck::new("s"))
    );
}

#[test]
fn every_key_counts() {
    let written = json!({
        "service_name": "s", "protocol": "Http1", "timeout": "2s", "interval": "3s",
        "interval_jitter": "4ms", "initial_delay_seconds": "5s", "healthy_threshold": 6,
        "unhealthy_threshold": 7, "event_log_path": "/var/log/health.log",
        "event_log_format": "json",
        "check_config": { "http_check_config": {
            "port": 8081, "timeout": "9s", "path": "health?deep=1", "method": "HEAD",
            "scheme": "http", "domain": "health.test",
            "codes": [{ "Start": 200, "End": 299 }, { "Start": 404, "End": 404 }],
        } },
    });
    let threshold = |n| NonZeroU32::new(n).unwrap();
    assert_eq!(
        check(&written),
        Some(HealthCheck {
            service_name: "s".to_owned(),
            probe: Probe::Http(HttpProbe {
                port: Some(8081),
                timeout: Duration::from_secs(9),
                target: "/health?deep=1".to_owned(),
                method: "HEAD".to_owned(),
                domain: Some("health.test".to_owned()),
                codes: vec![200..=299, 404..=404],
            }),
            timeout: Duration::from_secs(2),
            interval: Duration::from_secs(3),
            interval_jitter: Duration::from_millis(4),
            initial_delay: Duration::from_secs(5),
            healthy_threshold: threshold(6),
            unhealthy_threshold: threshold(7),
            event_log: Some(EventLog {
                path: "/var/log/health.log".to_owned(),
                format: EventFormat::Json,
            }),
        })
    );
}

#[test]
fn nothing_and_zero_are_the_defaults_of_mosn() {
    let zeros = json!({
        "service_name": "s", "timeout": "0s", "interval": "0s", "interval_jitter": 0,
        "initial_delay_seconds": "-1s", "healthy_threshold": 0, "unhealthy_threshold": 0,
    });
    assert_eq!(check(&zeros), Some(HealthCheck::new("s")));
    let defaults = HealthCheck::new("s");
    assert_eq!(
        (
            defaults.timeout,
            defaults.interval,
            defaults.interval_jitter,
            defaults.initial_delay
        ),
        (
            Duration::from_secs(1),
            Duration::from_secs(15),
            Duration::from_millis(5),
            Duration::from_secs(1)
        )
    );
    assert_eq!(
        http(&json!({ "path": "/" })),
        Probe::Http(HttpProbe::default())
    );
}

#[test]
fn whatever_cannot_be_asked_for_yet_is_only_connected_to() {
    for (config, probe) in [
        (
            json!({ "scheme": "https", "port": 8443 }),
            Probe::Tcp { port: Some(8443) },
        ),
        (json!({ "scheme": "ftp" }), Probe::Tcp { port: None }),
        (json!({}), Probe::Tcp { port: None }),
    ] {
        assert_eq!(http(&config), probe, "{config}");
    }
    let other = json!({ "service_name": "s", "protocol": "Bolt" });
    assert_eq!(check(&other).unwrap().probe, Probe::Tcp { port: None });
}

#[test]
fn a_change_of_the_check_is_a_change_of_its_cluster() {
    let plan = |written: &Value| parsed(written).0.unwrap();
    let (none, some) = (plan(&json!({})), plan(&json!({ "service_name": "s" })));
    let changes = diff(&none, &some);
    let said: Vec<_> = changes.iter().map(Change::to_string).collect();
    assert_eq!(said, ["cluster `c`: `health_check` changed"]);
}
