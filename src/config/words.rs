//! Changes and addresses in words.

use std::collections::HashMap;
use std::fmt;

use super::diff::Change;
use super::plan::{Address, Bind, Cluster, HostAddress, Listener, Router, Server};

/// In words, for logs and replies.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddCluster(cluster) => {
                let hosts = counted(cluster.hosts.len(), "host");
                write!(f, "cluster `{}`: added, {hosts}", cluster.name)
            }
            Self::UpdateCluster { from, to } => {
                let words = cluster_words(from, to).join(", ");
                write!(f, "cluster `{}`: {words}", to.name)
            }
            Self::AddRouter(router) => {
                let hosts = counted(router.virtual_hosts.len(), "virtual host");
                write!(f, "router `{}`: added, {hosts}", router.name)
            }
            Self::UpdateRouter { from, to } => {
                let words = router_words(from, to).join(", ");
                write!(f, "router `{}`: {words}", to.name)
            }
            Self::AddListener(listener) => {
                let Listener { name, address, .. } = &**listener;
                write!(f, "listener `{name}`: added on {address}")
            }
            Self::UpdateListener { from, to } => {
                let words = listener_words(from, to).join(", ");
                write!(f, "listener `{}`: {words}", to.name)
            }
            Self::RemoveListener(name) => write!(f, "listener `{name}`: removed"),
            Self::RemoveRouter(name) => write!(f, "router `{name}`: removed"),
            Self::RemoveCluster(name) => write!(f, "cluster `{name}`: removed"),
            Self::Server { from, to } => {
                let words = server_words(from, to).join(", ");
                write!(f, "server: {words}")
            }
        }
    }
}

/// Whichever of the keys it was.
const DISCOVERY: &str = "type` or `dns_*";

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn cluster_words(from: &Cluster, to: &Cluster) -> Vec<String> {
    let mut words = host_words(from, to);
    let settings = [
        ("lb_type", from.balancer != to.balancer),
        (
            "connect_timeout",
            from.connect_timeout != to.connect_timeout,
        ),
        (DISCOVERY, from.discovery != to.discovery),
        ("idle_timeout", from.idle_timeout != to.idle_timeout),
        ("health_check", from.health_check != to.health_check),
        ("circuit_breakers", from.limits != to.limits),
        ("mark", from.mark != to.mark),
        (
            "outlier_detection",
            from.outlier_detection != to.outlier_detection,
        ),
        (
            "panic_threshold",
            from.panic_threshold != to.panic_threshold,
        ),
    ];
    let changed = settings.iter().filter(|(_, changed)| *changed);
    words.extend(changed.map(|(name, _)| format!("`{name}` changed")));
    if words.is_empty() {
        words.push("order of hosts changed".to_owned());
    }
    words
}

fn host_words(from: &Cluster, to: &Cluster) -> Vec<String> {
    let old: HashMap<_, _> = from
        .hosts
        .iter()
        .map(|host| (&host.address, host))
        .collect();
    let new: HashMap<_, _> = to.hosts.iter().map(|host| (&host.address, host)).collect();
    let added = new
        .keys()
        .filter(|address| !old.contains_key(*address))
        .count();
    let removed = old
        .keys()
        .filter(|address| !new.contains_key(*address))
        .count();
    let kept = || {
        old.iter()
            .filter_map(|(address, old)| Some((*old, *new.get(address)?)))
    };
    let weights = kept().filter(|(old, new)| old.weight != new.weight).count();
    let names = kept()
        .filter(|(old, new)| old.hostname != new.hostname)
        .count();
    let counts = [
        (added, "host", "added"),
        (removed, "host", "removed"),
        (weights, "weight", "changed"),
        (names, "hostname", "changed"),
    ];
    let said = counts.iter().filter(|(count, ..)| *count > 0);
    said.map(|(count, what, how)| format!("{} {how}", counted(*count, what)))
        .collect()
}

/// Each setting of the process, and whether a running one follows it.
fn server_words(from: &Server, to: &Server) -> Vec<String> {
    let port = |server: &Server| server.metrics.prometheus.as_ref().map(|sink| sink.port);
    let rest = |server: &Server| {
        let mut metrics = server.metrics.clone();
        if let Some(sink) = &mut metrics.prometheus {
            sink.port = 0;
        }
        metrics
    };
    let now = [
        ("default_log_level", from.log.level != to.log.level),
        ("metrics", port(from) == port(to) && rest(from) != rest(to)),
        ("mosn_server_name", from.name != to.name),
    ];
    let later = [
        ("admin", from.admin != to.admin),
        ("default_log_path", from.log.path != to.log.path),
        ("disable_upgrade", from.upgrade != to.upgrade),
        ("global_log_roller", from.log.roller != to.log.roller),
        (
            "graceful_timeout",
            from.graceful_timeout != to.graceful_timeout,
        ),
        ("metrics", port(from) != port(to)),
        ("pid", from.pid_file != to.pid_file),
        ("processor", from.workers != to.workers),
        ("uds_dir", from.socket_directory != to.socket_directory),
    ];
    let now = now.iter().filter(|(_, changed)| *changed);
    let now = now.map(|(name, _)| format!("`{name}` changed"));
    let later = later.iter().filter(|(_, changed)| *changed);
    let later = later.map(|(name, _)| format!("`{name}` changed, which the next start follows"));
    now.chain(later).collect()
}

/// Virtual hosts are told apart by their domains: their names are for people.
fn router_words(from: &Router, to: &Router) -> Vec<String> {
    let hosts = |router: &Router| -> HashMap<_, _> {
        let hosts = router.virtual_hosts.iter();
        hosts
            .map(|host| (host.domains.clone(), host.clone()))
            .collect()
    };
    let (old, new) = (hosts(from), hosts(to));
    let added = new.keys().filter(|domains| !old.contains_key(*domains));
    let removed = old.keys().filter(|domains| !new.contains_key(*domains));
    let both = new
        .iter()
        .filter_map(|(domains, to)| Some((old.get(domains)?, to)));
    let counts = [
        (added.count(), "added"),
        (removed.count(), "removed"),
        (both.filter(|(from, to)| from != to).count(), "changed"),
    ];
    let said = counts.iter().filter(|(count, _)| *count > 0);
    let mut words: Vec<String> = said
        .map(|(count, how)| format!("{} {how}", counted(*count, "virtual host")))
        .collect();
    if from.edits != to.edits {
        words.push("header fields changed".to_owned());
    }
    if words.is_empty() {
        words.push("order of virtual hosts changed".to_owned());
    }
    words
}

fn listener_words(from: &Listener, to: &Listener) -> Vec<String> {
    let mut words = Vec::new();
    if from.address != to.address {
        words.push(format!("moved from {} to {}", from.address, to.address));
    }
    if from.bind != to.bind {
        words.push(match to.bind {
            Bind::Port => "bound".to_owned(),
            Bind::Virtual => "unbound".to_owned(),
        });
    }
    if from.idle_timeout != to.idle_timeout {
        words.push("`connection_idle_timeout` changed".to_owned());
    }
    let settings = [
        ("filter", from.filter != to.filter),
        ("`stream_filters`", from.stream_filters != to.stream_filters),
        ("`access_logs`", from.access_logs != to.access_logs),
    ];
    let changed = settings.iter().filter(|(_, changed)| *changed);
    words.extend(changed.map(|(name, _)| format!("{name} changed")));
    words
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => address.fmt(f),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::{LogLevel, Metrics, Process, PrometheusSink, Workers};
    use super::*;

    fn sink(port: u16, percentiles: &[u8]) -> Metrics {
        Metrics {
            prometheus: Some(PrometheusSink {
                port,
                endpoint: "/metrics".to_owned(),
                percentiles: percentiles.to_vec(),
                process: Process::Told,
            }),
            ..Metrics::default()
        }
    }

    #[test]
    fn what_the_next_start_follows_is_said() {
        let mut from = Server {
            metrics: sink(1, &[]),
            ..Server::default()
        };
        let mut to = from.clone();
        to.log.level = LogLevel::Debug;
        to.metrics = sink(1, &[99]);
        to.workers = Workers::Fixed(3);
        let said = |from: &Server, to: &Server| {
            let (from, to) = (Box::new(from.clone()), Box::new(to.clone()));
            Change::Server { from, to }.to_string()
        };
        assert_eq!(
            said(&from, &to),
            "server: `default_log_level` changed, `metrics` changed, `processor` changed, which \
             the next start follows"
        );
        to = from.clone();
        from.metrics = sink(2, &[]);
        assert_eq!(
            said(&from, &to),
            "server: `metrics` changed, which the next start follows"
        );
    }
}
