//! Configurations with one listener that speaks Bolt, and proxies that run them.

use std::net::SocketAddr;

use banyan::protocol::Codecs;
use banyan::{ListenerView, Plan, Proxy, ProxyHandle};
use serde_json::{Value, json};

use crate::peers::{Caller, Host};
use crate::support::{address, until};

/// A configuration with one listener, `app`, that has a router `r`.
pub(crate) struct Site {
    pub(crate) proxy: Value,
    pub(crate) listener: Value,
    pub(crate) routes: Value,
    pub(crate) clusters: Vec<Value>,
    workers: usize,
    codecs: Codecs,
}

impl Site {
    /// With these routes.
    pub(crate) fn routes(routes: Value) -> Self {
        Self {
            proxy: json!({
                "downstream_protocol": "X", "upstream_protocol": "X",
                "extend_config": { "sub_protocol": "bolt" }, "router_config_name": "r",
            }),
            listener: json!({ "name": "app", "address": "127.0.0.1:0", "bind_port": true }),
            routes,
            clusters: Vec::new(),
            workers: 1,
            codecs: Codecs::default(),
        }
    }

    /// With one route that forwards all to the cluster `main`, which has these hosts; `how` goes
    /// beside the cluster's name.
    pub(crate) fn forwarding(hosts: &[&Host], mut how: Value) -> Self {
        how["cluster_name"] = json!("main");
        Self::routes(json!([{ "match": {}, "route": how }])).cluster("main", hosts)
    }

    pub(crate) fn cluster(mut self, name: &str, hosts: &[&Host]) -> Self {
        let hosts = hosts
            .iter()
            .map(|host| json!({ "address": host.address.to_string() }));
        let hosts: Vec<_> = hosts.collect();
        let cluster =
            json!({ "name": name, "type": "SIMPLE", "lb_type": "LB_ROUNDROBIN", "hosts": hosts });
        self.clusters.push(cluster);
        self
    }

    /// Sets a key of the `proxy` filter.
    pub(crate) fn proxy(mut self, key: &str, value: Value) -> Self {
        self.proxy[key] = value;
        self
    }

    /// Says who shares a connection to a host.
    pub(crate) fn pool_mode(mut self, mode: &str) -> Self {
        self.proxy["extend_config"]["pool_mode"] = json!(mode);
        self
    }

    /// Sets a key of the listener.
    pub(crate) fn listener(mut self, key: &str, value: Value) -> Self {
        self.listener[key] = value;
        self
    }

    /// Sets a key of the first cluster.
    pub(crate) fn main(mut self, key: &str, value: Value) -> Self {
        self.clusters[0][key] = value;
        self
    }

    /// With protocols of its own.
    pub(crate) fn codecs(mut self, codecs: Codecs) -> Self {
        self.codecs = codecs;
        self
    }

    pub(crate) fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    fn plan(&self) -> Plan {
        let mut listener = self.listener.clone();
        listener["filter_chains"] =
            json!([{ "filters": [{ "type": "proxy", "config": self.proxy }] }]);
        let document = json!({
            "servers": [{ "listeners": [listener], "routers": [{
                "router_config_name": "r",
                "virtual_hosts": [{ "name": "all", "domains": ["*"], "routers": self.routes }],
            }] }],
            "cluster_manager": { "clusters": self.clusters },
        });
        Plan::from_json(&document.to_string()).unwrap()
    }

    pub(crate) async fn start(&self) -> Running {
        let proxy = Proxy::default().workers(self.workers);
        let proxy = proxy.codecs(self.codecs.clone());
        let proxy = proxy.run(self.plan()).await.unwrap();
        let to = address(&proxy, "app").await;
        Running { proxy, to }
    }
}

/// A proxy, and where its listener `app` accepts.
pub(crate) struct Running {
    pub(crate) proxy: ProxyHandle,
    pub(crate) to: SocketAddr,
}

impl Running {
    pub(crate) async fn caller(&self) -> Caller {
        Caller::to(self.to).await
    }

    /// The listener as it is now.
    pub(crate) async fn app(&self) -> ListenerView {
        let overview = self.proxy.snapshot().await.unwrap();
        let mut listeners = overview.listeners.into_iter();
        let found = listeners.find(|listener| listener.name.as_str() == "app");
        found.unwrap()
    }

    /// Waits until nothing is in flight any more.
    pub(crate) async fn rests(&self) {
        until("no request counts as active", || async {
            let overview = self.proxy.snapshot().await.unwrap();
            let hosts = overview.clusters.iter().flat_map(|cluster| &cluster.hosts);
            let requests: u64 = hosts.map(|host| host.requests_active).sum();
            requests + self.app().await.requests.request_active == 0
        })
        .await;
    }
}
