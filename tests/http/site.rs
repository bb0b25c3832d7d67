//! Configurations with one HTTP listener, and proxies that run them.

use std::net::SocketAddr;

use banyan::{ListenerView, Plan, Proxy, ProxyHandle};
use serde_json::{Value, json};

use crate::support::{active, address, until};
use crate::talk::{Message, Peer};

/// A configuration with one listener, `app`, that has a router `r`.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) listener: Value,
    pub(crate) routers: Vec<Value>,
    pub(crate) clusters: Vec<Value>,
}

impl Site {
    /// With this router, but for its name.
    pub(crate) fn router(mut router: Value) -> Self {
        router["router_config_name"] = json!("r");
        Self {
            listener: listener("app", "r"),
            routers: vec![router],
            clusters: Vec::new(),
        }
    }

    /// With these virtual hosts.
    pub(crate) fn hosts(hosts: Value) -> Self {
        Self::router(json!({ "virtual_hosts": hosts }))
    }

    /// With these routes, for every host.
    pub(crate) fn routes(routes: Value) -> Self {
        Self::hosts(json!([{ "name": "all", "domains": ["*"], "routers": routes }]))
    }

    /// With one route that forwards all to the cluster `main`, which has these hosts; `how` goes
    /// beside the cluster's name.
    pub(crate) fn forwarding(hosts: &[SocketAddr], how: Value) -> Self {
        Self::routes(json!([to("main", how)])).cluster("main", hosts)
    }

    pub(crate) fn cluster(self, name: &str, hosts: &[SocketAddr]) -> Self {
        self.with_cluster(cluster(name, hosts))
    }

    pub(crate) fn with_cluster(mut self, cluster: Value) -> Self {
        self.clusters.push(cluster);
        self
    }

    /// Sets a key of the listener.
    pub(crate) fn listener(mut self, key: &str, value: Value) -> Self {
        self.listener[key] = value;
        self
    }

    /// Sets the settings of HTTP/1.
    pub(crate) fn settings(mut self, settings: Value) -> Self {
        self.listener["filter_chains"][0]["filters"][0]["config"]["extend_config"] = settings;
        self
    }

    pub(crate) fn plan(&self) -> Plan {
        plan(
            std::slice::from_ref(&self.listener),
            &self.routers,
            &self.clusters,
        )
    }

    pub(crate) async fn start(&self) -> Running {
        self.start_as(Proxy::default()).await
    }

    pub(crate) async fn start_as(&self, proxy: Proxy) -> Running {
        let proxy = proxy.workers(2).run(self.plan()).await.unwrap();
        let to = address(&proxy, "app").await;
        Running { proxy, to }
    }
}

pub(crate) fn plan(listeners: &[Value], routers: &[Value], clusters: &[Value]) -> Plan {
    let document = json!({
        "servers": [{ "listeners": listeners, "routers": routers }],
        "cluster_manager": { "clusters": clusters },
    });
    Plan::from_json(&document.to_string()).unwrap()
}

/// A listener on any free port with a router.
pub(crate) fn listener(name: &str, router: &str) -> Value {
    let proxy = json!({ "downstream_protocol": "Http1", "router_config_name": router });
    json!({
        "name": name, "address": "127.0.0.1:0", "bind_port": true,
        "filter_chains": [{ "filters": [{ "type": "proxy", "config": proxy }] }],
    })
}

/// A cluster that takes its hosts in turn.
pub(crate) fn cluster(name: &str, hosts: &[SocketAddr]) -> Value {
    let hosts = hosts
        .iter()
        .map(|host| json!({ "address": host.to_string() }));
    let hosts: Vec<_> = hosts.collect();
    json!({ "name": name, "type": "SIMPLE", "lb_type": "LB_ROUNDROBIN", "hosts": hosts })
}

/// A route of every request to a cluster.
pub(crate) fn to(cluster: &str, mut how: Value) -> Value {
    how["cluster_name"] = json!(cluster);
    json!({ "match": { "prefix": "/" }, "route": how })
}

/// A route that answers with this text.
pub(crate) fn says(matcher: Value, text: &str) -> Value {
    json!({ "match": matcher, "direct_response": { "status": 200, "body": text } })
}

/// A proxy, and where its listener `app` accepts.
pub(crate) struct Running {
    pub(crate) proxy: ProxyHandle,
    pub(crate) to: SocketAddr,
}

impl Running {
    pub(crate) async fn client(&self) -> Peer {
        Peer::connect(self.to).await
    }

    /// Sends a request over a connection of its own.
    pub(crate) async fn ask(&self, request: impl AsRef<[u8]>) -> Message {
        self.client().await.ask(request).await
    }

    /// The listener as it is now.
    pub(crate) async fn app(&self) -> ListenerView {
        let overview = self.proxy.snapshot().await.unwrap();
        let mut listeners = overview.listeners.into_iter();
        let found = listeners.find(|listener| listener.name.as_str() == "app");
        found.unwrap()
    }

    /// Waits until nothing is in flight any more, and no client is connected.
    pub(crate) async fn rests(&self) {
        until("nothing counts as active", || async {
            let app = self.app().await;
            let requests = requests_active(&self.proxy).await + app.requests.request_active;
            requests + app.totals.connections_active == 0
        })
        .await;
    }

    /// Waits until no request is in flight any more.
    pub(crate) async fn rests_but_clients(&self) {
        until("no request counts as active", || async {
            let app = self.app().await;
            requests_active(&self.proxy).await + app.requests.request_active == 0
        })
        .await;
    }

    /// Waits until no upstream connection is left.
    pub(crate) async fn lets_go(&self) {
        until("every upstream connection is given back", || async {
            active(&self.proxy).await == 0
        })
        .await;
    }

    /// Ends the proxy, and waits for that.
    pub(crate) async fn end(&self) {
        self.proxy.stop().await;
        self.proxy.ended().await.unwrap();
    }
}

async fn requests_active(proxy: &ProxyHandle) -> u64 {
    let overview = proxy.snapshot().await.unwrap();
    let hosts = overview.clusters.iter().flat_map(|cluster| &cluster.hosts);
    hosts.map(|host| host.requests_active).sum()
}
