//! The proxies compared: how each is found, configured and started.
//!
//! A new peer is a new row of [`PEERS`]. Each is configured as its manual advises for the traffic at
//! hand, with the same number of workers, the same balancing and no logs.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::rivals;
use crate::scenarios::Traffic;

/// What a configuration is written for.
pub(crate) struct Setup<'a> {
    /// The port of 127.0.0.1 to listen on.
    pub(crate) port: u16,
    /// The ports of 127.0.0.1 to balance over, by least connections.
    pub(crate) origins: &'a [u16],
    /// Threads, or processes, that carry traffic.
    pub(crate) workers: usize,
    /// Whatever the proxy has to write goes here.
    pub(crate) directory: &'a Path,
    pub(crate) traffic: Traffic,
}

/// A row of the comparison.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) part: Part,
}

/// What a row is there for.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    /// No proxy at all: what the load and the origin could do.
    Floor,
    /// The proxy that is compared …
    Ours(Proxy),
    /// … with the best of these.
    Rival(Proxy),
}

/// How to run a proxy in the foreground.
#[derive(Clone, Copy)]
pub(crate) struct Proxy {
    /// Its name in `PATH`, or its whole path.
    program: &'static str,
    /// What makes it print its version.
    version: &'static str,
    /// The text of its configuration file.
    pub(crate) configuration: fn(&Setup<'_>) -> String,
    /// The name of that file; some go by the extension.
    pub(crate) file: &'static str,
    /// The arguments that go before the file's path; [`WORKERS`] among them stands for the number.
    pub(crate) arguments: &'static [&'static str],
}

/// The argument that is replaced by the number of workers.
pub(crate) const WORKERS: &str = "{workers}";

/// All rows, in the order they take turns.
pub(crate) const PEERS: &[Peer] = &[
    Peer {
        name: "direct",
        part: Part::Floor,
    },
    Peer {
        name: "banyan",
        part: Part::Ours(Proxy {
            program: env!("CARGO_BIN_EXE_banyan"),
            version: "version",
            configuration: banyan,
            file: "banyan.json",
            arguments: &["start", "-c"],
        }),
    },
    Peer {
        name: "haproxy",
        part: Part::Rival(Proxy {
            program: "haproxy",
            version: "-v",
            configuration: rivals::haproxy,
            file: "haproxy.cfg",
            arguments: &["-db", "-f"],
        }),
    },
    Peer {
        name: "nginx",
        part: Part::Rival(Proxy {
            program: "nginx",
            version: "-v",
            configuration: rivals::nginx,
            file: "nginx.conf",
            arguments: &["-e", "stderr", "-c"],
        }),
    },
    Peer {
        name: "envoy",
        part: Part::Rival(Proxy {
            program: "envoy",
            version: "--version",
            configuration: rivals::envoy,
            file: "envoy.json",
            arguments: &[
                "--use-dynamic-base-id",
                "--concurrency",
                WORKERS,
                "--log-level",
                "error",
                "-c",
            ],
        }),
    },
];

impl Proxy {
    /// The path of its program, if it is there. A variable of its name in capitals comes first.
    pub(crate) fn find(&self) -> Option<PathBuf> {
        let name = Path::new(self.program).file_name()?.to_str()?;
        if let Some(program) = std::env::var_os(name.to_uppercase()) {
            return Some(program.into());
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let directories = std::env::split_paths(&path);
        let system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
        // Joining a whole path gives that path.
        directories
            .chain(system)
            .map(|at| at.join(self.program))
            .find(|at| at.is_file())
    }

    /// The first line, not empty, that `program` prints when asked for its version.
    pub(crate) fn version(&self, program: &Path) -> String {
        let Ok(output) = Command::new(program).arg(self.version).output() else {
            return "unknown".to_owned();
        };
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let line = text.lines().find(|line| !line.is_empty());
        line.unwrap_or("unknown").trim().to_owned()
    }
}

fn banyan(setup: &Setup<'_>) -> String {
    let directory = setup.directory;
    let hosts: Vec<_> = setup
        .origins
        .iter()
        .map(|port| json!({ "address": format!("127.0.0.1:{port}") }))
        .collect();
    let filter = match setup.traffic {
        Traffic::Messages | Traffic::Bulk => {
            json!({ "type": "tcp_proxy", "config": { "cluster": "origin" } })
        }
        Traffic::Http => json!({
            "type": "proxy",
            "config": { "downstream_protocol": "Http1", "cluster": "origin" },
        }),
        Traffic::Rpc => json!({
            "type": "proxy",
            "config": { "downstream_protocol": "bolt", "cluster": "origin" },
        }),
    };
    let listener = json!({
        "name": "comparison",
        "address": format!("127.0.0.1:{}", setup.port),
        "bind_port": true,
        "connection_idle_timeout": "1h",
        "filter_chains": [{ "filters": [filter] }],
    });
    let configuration = json!({
        "pid": directory.join("banyan.pid"),
        "uds_dir": directory,
        "servers": [{
            "default_log_path": directory.join("banyan.log"),
            "default_log_level": "ERROR",
            "processor": setup.workers,
            "listeners": [listener],
        }],
        "cluster_manager": { "clusters": [{
            "name": "origin",
            "type": "SIMPLE",
            "lb_type": "LB_LEAST_CONNECTION",
            "hosts": hosts,
        }] },
    });
    configuration.to_string()
}
