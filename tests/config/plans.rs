//! What a configuration comes to, and what it asks of its surroundings.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use banyan::config::{
    Balancer, Bias, Bind, Choices, Code, Format, HostAddress, Loaded, LogLevel, NetworkFilter,
    OutlierDetection, Plan, Roller, Source, Surroundings, TcpProxy, Upgrade, Workers, parse,
};

/// A world of one name and two files.
#[derive(Default)]
struct Small {
    asked: RefCell<Vec<String>>,
}

impl Surroundings for Small {
    fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.asked.borrow_mut().push(host.to_owned());
        match host {
            "both" => Ok(vec![
                format!("[::1]:{port}").parse().unwrap(),
                format!("127.0.0.9:{port}").parse().unwrap(),
            ]),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn entries(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let names = ["a.json", "b.json", "empty.json", "notes.txt"];
        Ok(names.iter().map(|name| directory.join(name)).collect())
    }

    fn read(&self, file: &Path) -> io::Result<Vec<u8>> {
        Ok(match file.file_name().unwrap().to_str().unwrap() {
            "a.json" => br#"{"name": "a", "hosts": [{"address": "10.0.0.1:80"}]}"#.to_vec(),
            "b.json" => b"{\n  \"name\": \"b\",\n  \"lb_typ\": \"LB_RANDOM\"\n}".to_vec(),
            "empty.json" => Vec::new(),
            other => panic!("{other} is not a cluster's file"),
        })
    }
}

fn loaded(text: &str) -> Loaded {
    let source = Source {
        file: "main.json",
        format: Format::Json,
        text: text.as_bytes(),
    };
    parse(&source, &Small::default())
}

fn plan(text: &str) -> Plan {
    let loaded = loaded(text);
    loaded
        .plan
        .unwrap_or_else(|| panic!("{}", loaded.diagnostics))
}

#[test]
fn an_empty_server_has_every_default() {
    let plan = plan(r#"{"servers": [{}]}"#);
    assert_eq!(plan.server.workers, Workers::Auto);
    assert_eq!(plan.server.upgrade, Upgrade::Enabled);
    assert_eq!(plan.server.graceful_timeout, Duration::from_secs(30));
    assert_eq!(plan.server.log.path, None);
    assert_eq!(plan.server.log.level, LogLevel::Info);
    assert_eq!(
        plan.server.log.roller,
        Roller::Time {
            hours: 24,
            keep: 10
        }
    );
    assert_eq!((plan.clusters.len(), plan.listeners.len()), (0, 0));
}

#[test]
fn a_listener_and_a_cluster_have_mosn_s_defaults() {
    let plan = plan(
        r#"{"servers": [{"listeners": [{"address": ":80",
            "filter_chains": [{"filters": [{"type": "tcp_proxy", "config": {"cluster": "c"}}]}]}]}],
            "cluster_manager": {"clusters": [{"name": "c", "hosts": [{"address": "h:1"}]}]}}"#,
    );
    let listener = plan.listener(":80").expect("it is named by its address");
    assert_eq!(listener.address.to_string(), "[::]:80");
    assert_eq!(listener.bind, Bind::Virtual);
    assert_eq!(listener.idle_timeout, Some(Duration::from_secs(90)));
    let expected = NetworkFilter::TcpProxy(TcpProxy::Cluster("c".into()));
    assert_eq!(listener.filter, expected);
    let cluster = plan.cluster("c").unwrap();
    assert_eq!(cluster.balancer, Balancer::RoundRobin);
    assert_eq!(cluster.connect_timeout, Duration::from_secs(10));
    assert_eq!((cluster.idle_timeout, cluster.mark), (None, None));
    assert_eq!(cluster.hosts[0].address, HostAddress::Name("h".into(), 1));
    assert_eq!(cluster.hosts[0].weight, 1);
}

#[test]
fn keys_are_read_in_any_letter_case() {
    let plan = plan(
        r#"{"SERVERS": [{"Default_Log_Level": "DEBUG", "processor": "3"}],
            "Cluster_Manager": {"CLUSTERS": [{"Name": "c", "LB_TYPE": "LB_LEAST_REQUEST",
            "LbConfig": {"Choice_Count": 0}, "hoſts": [{"ADDRESS": "unix:/s"}]}]}}"#,
    );
    assert_eq!(plan.server.log.level, LogLevel::Debug);
    assert_eq!(plan.server.workers, Workers::Fixed(3));
    let cluster = plan.cluster("c").unwrap();
    assert_eq!(cluster.balancer, Balancer::LeastRequest(Choices::All));
    assert_eq!(cluster.hosts[0].address.to_string(), "unix:/s");
}

#[test]
fn zero_is_never_or_the_default_and_null_is_absence() {
    let plan = plan(
        r#"{"servers": [{"graceful_timeout": 0, "processor": 0, "default_log_path": null,
            "listeners": [{"address": "127.0.0.1:1", "connection_idle_timeout": 0,
            "filter_chains": [{"filters": [{"type": "tcp_proxy", "config": {"cluster": "c"}}]}]},
            {"address": "127.0.0.1:2", "connection_idle_timeout": null,
            "filter_chains": [{"filters": [{"type": "tcp_proxy", "config": {"cluster": "c"}}]}]}]}],
            "cluster_manager": {"clusters": [{"name": "c", "connect_timeout": "0s", "hosts": null,
            "lbconfig": null}]}, "close_graceful": true}"#,
    );
    assert_eq!(plan.server.graceful_timeout, Duration::from_secs(30));
    assert_eq!(plan.server.workers, Workers::Auto);
    assert_eq!(plan.server.upgrade, Upgrade::Disabled);
    assert_eq!(plan.listeners[0].idle_timeout, None);
    assert_eq!(
        plan.listeners[1].idle_timeout,
        Some(Duration::from_secs(90))
    );
    assert_eq!(
        plan.cluster("c").unwrap().connect_timeout,
        Duration::from_secs(10)
    );
}

#[test]
fn objects_given_twice_are_merged_and_later_values_count() {
    let plan = plan(
        r#"{"servers": [{}], "pid": "first", "PID": "second",
            "cluster_manager": {"clusters": [{"name": "c"}]}, "cluster_manager": {}}"#,
    );
    assert_eq!(plan.server.pid_file.as_deref(), Some(Path::new("second")));
    assert!(plan.cluster("c").is_some());
}

#[test]
fn a_listener_s_host_name_is_resolved_to_ipv4_where_it_can_be() {
    let listen = |address: &str| {
        format!(
            r#"{{"servers": [{{"listeners": [{{"name": "l", "address": "{address}",
            "filter_chains": [{{"filters": []}}]}}]}}]}}"#
        )
    };
    let plan = plan(&listen("both:http"));
    assert_eq!(
        plan.listener("l").unwrap().address.to_string(),
        "127.0.0.9:80"
    );
    let refused = loaded(&listen("nobody:80"));
    assert_eq!(
        refused.diagnostics.errors().next().unwrap().code,
        Code::BadAddress
    );
}

#[test]
fn hosts_are_not_resolved_when_a_file_is_read() {
    let surroundings = Small::default();
    let text = br#"{"servers": [{}], "cluster_manager": {"clusters": [
        {"name": "c", "type": "STRICT_DNS", "hosts": [{"address": "nobody"}]}]}}"#;
    let source = Source {
        file: "x",
        format: Format::Json,
        text,
    };
    let plan = parse(&source, &surroundings).plan.unwrap();
    assert_eq!(plan.clusters[0].hosts[0].address.to_string(), "nobody:80");
    assert!(surroundings.asked.borrow().is_empty());
}

#[test]
fn clusters_come_from_the_files_of_a_directory() {
    let loaded = loaded(r#"{"servers": [{}], "cluster_manager": {"clusters_configs": "d"}}"#);
    let names: Vec<String> = loaded
        .plan
        .unwrap()
        .clusters
        .iter()
        .map(|cluster| cluster.name.to_string())
        .collect();
    assert_eq!(names, ["a", "b"]);
    let found = loaded.diagnostics.iter().next().unwrap();
    assert_eq!((&*found.file, found.line, found.column), ("d/b.json", 3, 3));
    assert_eq!(found.suggestion.as_deref(), Some("lb_type"));
}

#[test]
fn weights_are_clamped_and_the_first_of_equal_hosts_counts() {
    let plan = plan(
        r#"{"servers": [{}], "cluster_manager": {"clusters": [{"name": "c", "hosts": [
            {"address": "10.0.0.1:1", "weight": 0}, {"address": "10.0.0.2:1", "weight": 500},
            {"address": "10.0.0.1:1", "weight": 7}]}]}}"#,
    );
    let weights: Vec<u32> = plan.clusters[0]
        .hosts
        .iter()
        .map(|host| host.weight)
        .collect();
    assert_eq!(weights, [1, 128]);
}

#[test]
fn routes_of_a_tcp_proxy_are_networks_and_port_ranges() {
    let plan = plan(include_str!("../../config/tcp_proxy.json"));
    let NetworkFilter::TcpProxy(TcpProxy::Routes(routes)) =
        &plan.listener("by-port").unwrap().filter
    else {
        panic!("it has routes");
    };
    assert_eq!(routes[0].sources, ["127.0.0.0/8".parse().unwrap()]);
    assert_eq!(routes[0].source_ports, [1024..=65535]);
    assert_eq!(routes[0].destination_ports, [2048..=2048]);
}

#[test]
fn a_finding_reads_as_a_compiler_s() {
    let text = "{\n  \"servers\": [{ \"default_log_level\": \"debug\" }]\n}";
    assert_eq!(
        loaded(text).diagnostics.to_text(),
        "main.json:2:38: warning[unknown-value]: INFO is used instead of this level\n  \
         at: $.servers[0].default_log_level\n  \
         found: \"debug\"\n  \
         accepted: FATAL, ERROR, WARN, INFO, DEBUG, TRACE\n  \
         help: did you mean `DEBUG`?\n\n\
         1 warning\n"
    );
}

#[test]
fn a_file_that_is_not_there_is_a_finding() {
    let loaded = banyan::config::load(Path::new("no/such/file.json"));
    let found = loaded.diagnostics.errors().next().unwrap();
    assert_eq!(
        (found.code, &*found.file),
        (Code::Unreadable, "no/such/file.json")
    );
}

#[test]
fn plans_come_from_json_without_asking_the_machine() {
    assert!(Plan::from_json(r#"{"servers": [{}]}"#).is_ok());
    let refused = Plan::from_json("{}").unwrap_err();
    assert!(
        refused
            .to_string()
            .starts_with("<json>:1:1: error[wrong-count]"),
        "{refused}"
    );
}

/// The only cluster of a configuration, with these keys.
fn cluster_with(keys: &str) -> std::sync::Arc<banyan::config::Cluster> {
    let text = format!(
        r#"{{"servers": [{{}}], "cluster_manager": {{"clusters": [{{"name": "c"{keys}}}]}}}}"#
    );
    plan(&text).clusters[0].clone()
}

#[test]
fn outlier_detection_is_off_unless_it_is_given_and_then_has_its_defaults() {
    let absent = cluster_with("");
    assert_eq!(
        (&absent.outlier_detection, absent.panic_threshold),
        (&None, 0)
    );
    let null = cluster_with(r#", "outlier_detection": null"#);
    assert_eq!(null.outlier_detection, None);
    let empty = cluster_with(r#", "outlier_detection": {}"#);
    assert_eq!(empty.outlier_detection, Some(OutlierDetection::default()));
}

#[test]
fn outlier_detection_and_the_panic_threshold_are_what_is_written() {
    let cluster = cluster_with(
        r#", "panic_threshold": 50, "outlier_detection": {
            "consecutive_5xx": 0, "consecutive_gateway_failure": 3,
            "consecutive_local_origin_failure": 7, "interval": "2s",
            "base_ejection_time": "10m", "max_ejection_percent": 100 }"#,
    );
    let expected = OutlierDetection {
        consecutive_5xx: 0,
        consecutive_gateway_failure: 3,
        consecutive_local_origin_failure: 7,
        interval: Duration::from_secs(2),
        base_ejection_time: Duration::from_secs(600),
        // No less than the first one.
        max_ejection_time: Duration::from_secs(600),
        max_ejection_percent: 100,
    };
    assert_eq!(cluster.outlier_detection, Some(expected));
    assert_eq!(cluster.panic_threshold, 50);
}

#[test]
fn what_is_known_of_hosts_fades_as_mosn_says() {
    let memory = |config: &str| {
        let plan = plan(&format!(
            r#"{{"servers": [{{}}], "metrics": {{"ewma_config": {config}}}, "cluster_manager":
               {{"clusters": [{{"name": "a", "lb_type": "LB_PEAK_EWMA"}}, {{"name": "b"}}]}}}}"#
        ));
        let of = |name| plan.cluster(name).unwrap().bias.memory;
        // Others have no use for it, so it is no change of theirs.
        assert_eq!(of("b"), Bias::MEMORY);
        assert_eq!(of("a"), plan.server.metrics.memory);
        of("a").as_secs_f64()
    };
    for (config, seconds) in [
        ("null", 6.0),
        (r#"{"alpha": 0.5}"#, 1.0 / 2.0_f64.ln()),
        (r#"{"target": 0.5, "duration": "1s"}"#, 1.0 / 2.0_f64.ln()),
        (r#"{"target": 0.00673794699908547, "duration": "30s"}"#, 6.0),
        (
            r#"{"target": 0.5, "duration": "100ms"}"#,
            0.1 / 2.0_f64.ln(),
        ),
    ] {
        let found = memory(config);
        assert!((found - seconds).abs() < 1e-6, "{config}: {found}");
    }
    // Beyond what a duration can say, it says the most or the least that it can.
    assert_eq!(memory(r#"{"alpha": 1e-300}"#), Duration::MAX.as_secs_f64());
    let least = memory(r#"{"target": 1e-300, "duration": "1ns"}"#);
    assert!(least > 0.0, "{least}");
}
