//! What stands between client and upstream: the proxy that is judged.

use std::fmt::Write;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use banyan::{Plan, Proxy, ProxyHandle};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::wire::Lane;

/// Which proxy, and how it treats what it relays.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Banyan's `proxy` filter.
    Http,
    /// Banyan's `tcp_proxy` filter: bytes.
    Tcp,
    Haproxy,
    Nginx,
}

/// A running proxy with a listener for each lane.
pub(crate) struct Front {
    /// Of the listeners, in the order of the lanes.
    pub(crate) addresses: Vec<SocketAddr>,
    running: Running,
}

enum Running {
    Inside(ProxyHandle),
    Outside(Child, TempDir),
}

impl Front {
    pub(crate) async fn start(way: Way, lanes: &[Lane]) -> Self {
        match way {
            Way::Http | Way::Tcp => Self::inside(way, lanes).await,
            Way::Haproxy => Self::outside(lanes, haproxy, "haproxy", &["-db", "-f"]).await,
            Way::Nginx => Self::outside(lanes, nginx, "nginx", &["-e", "stderr", "-c"]).await,
        }
    }

    async fn inside(way: Way, lanes: &[Lane]) -> Self {
        let named = lanes.iter().enumerate();
        let listeners: Vec<_> = named
            .clone()
            .map(|(at, lane)| listener(way, at, lane))
            .collect();
        let clusters: Vec<_> = named
            .map(|(at, lane)| {
                json!({
                    "name": at.to_string(), "type": "SIMPLE", "lb_type": "LB_RANDOM",
                    "hosts": [{ "address": lane.upstream.to_string() }],
                })
            })
            .collect();
        let document = json!({
            "servers": [{ "listeners": listeners }],
            "cluster_manager": { "clusters": clusters },
        });
        let plan = Plan::from_json(&document.to_string()).unwrap();
        let proxy = Proxy::default().workers(2).run(plan).await.unwrap();
        let overview = proxy.snapshot().await.unwrap();
        let address = |at: usize| {
            let name = at.to_string();
            let mut listeners = overview.listeners.iter();
            let found = listeners.find(|listener| listener.name.as_str() == name);
            found.unwrap().address.parse().unwrap()
        };
        Self {
            addresses: (0..lanes.len()).map(address).collect(),
            running: Running::Inside(proxy),
        }
    }

    async fn outside(
        lanes: &[Lane],
        configuration: fn(&[(u16, SocketAddr)], &TempDir) -> String,
        program: &str,
        arguments: &[&str],
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ports = free_ports(lanes.len());
        let upstreams = lanes.iter().map(|lane| lane.upstream);
        let pairs: Vec<_> = ports.iter().copied().zip(upstreams).collect();
        let file = folder.path().join("configuration");
        std::fs::write(&file, configuration(&pairs, &folder)).unwrap();
        let mut command = Command::new(program);
        command.args(arguments).arg(file);
        let mut child = command.stdin(Stdio::null()).spawn().unwrap();
        let addresses: Vec<SocketAddr> = ports
            .iter()
            .map(|&port| ([127, 0, 0, 1], port).into())
            .collect();
        for &address in &addresses {
            while tokio::net::TcpStream::connect(address).await.is_err() {
                assert_eq!(child.try_wait().unwrap(), None, "{program} ended");
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
        Self {
            addresses,
            running: Running::Outside(child, folder),
        }
    }

    pub(crate) async fn end(self) {
        match self.running {
            Running::Inside(proxy) => proxy.stop().await,
            Running::Outside(mut child, _folder) => {
                let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
                nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
                child.wait().unwrap();
            }
        }
    }
}

fn listener(way: Way, at: usize, lane: &Lane) -> Value {
    let cluster = at.to_string();
    let filter = if way == Way::Tcp {
        json!({ "type": "tcp_proxy", "config": { "cluster": cluster } })
    } else {
        let mut config = json!({ "downstream_protocol": "Http1", "cluster": cluster });
        let with = lane.with.as_object().unwrap().clone();
        config.as_object_mut().unwrap().extend(with);
        // What is sent byte by byte takes long where others work too: no deadline but a case's own.
        let http = &mut config["extend_config"]["Http1"];
        for (key, for_ever) in [("head_timeout", json!("0s")), ("body_min_rate", json!(0))] {
            if http[key].is_null() {
                http[key] = for_ever;
            }
        }
        json!({ "type": "proxy", "config": config })
    };
    json!({
        "name": at.to_string(), "address": "127.0.0.1:0", "bind_port": true,
        "filter_chains": [{ "filters": [filter] }],
    })
}

fn free_ports(count: usize) -> Vec<u16> {
    let held = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let held: Vec<_> = held.collect();
    held.iter()
        .map(|listener| listener.local_addr().unwrap().port())
        .collect()
}

fn haproxy(pairs: &[(u16, SocketAddr)], _: &TempDir) -> String {
    let mut text = String::from(
        "global\n nbthread 2\ndefaults\n mode http\n timeout connect 5s\n timeout client 5s\n \
         timeout server 5s\n http-reuse always\n",
    );
    for (port, upstream) in pairs {
        write!(
            text,
            "frontend f{port}\n bind 127.0.0.1:{port}\n default_backend b{port}\n\
             backend b{port}\n server s {upstream}\n"
        )
        .unwrap();
    }
    text
}

fn nginx(pairs: &[(u16, SocketAddr)], folder: &TempDir) -> String {
    let place = folder.path().display();
    let mut text = format!(
        "daemon off; worker_processes 1; error_log /dev/null; pid {place}/pid;\n\
         events {{ worker_connections 4000; }}\nhttp {{ access_log off; keepalive_timeout 5s;\n\
         proxy_temp_path {place}/proxy; client_body_temp_path {place}/body;\n\
         fastcgi_temp_path {place}/fastcgi; uwsgi_temp_path {place}/uwsgi;\n\
         scgi_temp_path {place}/scgi;\n"
    );
    for (port, upstream) in pairs {
        write!(
            text,
            "upstream u{port} {{ server {upstream}; keepalive 4; }}\n\
             server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://u{port};\n\
             proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
             proxy_set_header Host $http_host; proxy_request_buffering off; }} }}\n"
        )
        .unwrap();
    }
    text.push_str("}\n");
    text
}
