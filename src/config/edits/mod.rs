//! Edits of a document, each smaller than a new document.

mod read;
mod routes;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::document::Document;
use super::list::List;
use super::plan::{Host, HostAddress, Metadata};
use super::raw::{Value, is_redacted};
use crate::name::{ClusterName, ListenerName, RouterName};

/// A part of a configuration as a document writes it: a cluster, a listener, a host.
#[derive(Clone, Debug, PartialEq)]
pub struct Fragment(Value);

/// One edit of a running document. Objects are as a configuration writes them; what is put in takes
/// the place of what had its name.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// Adds a route behind those of the virtual host for a domain; `""` is the default one.
    AddRoute {
        /// Of which router.
        router: RouterName,
        /// As a virtual host writes it.
        domain: String,
        /// The route.
        route: Fragment,
    },
    /// Puts hosts before those of a cluster; one whose address is there already replaces it.
    AppendHosts {
        /// Which cluster.
        cluster: ClusterName,
        /// The hosts.
        hosts: Vec<Fragment>,
    },
    /// Adds or replaces a cluster, its hosts included.
    PutCluster(Fragment),
    /// Replaces the whole configuration.
    PutConfiguration(Fragment),
    /// Adds extensions, each in the place of one of its `type`.
    PutExtensions(Vec<Fragment>),
    /// Replaces the hosts of a cluster.
    PutHosts {
        /// Which cluster.
        cluster: ClusterName,
        /// The hosts.
        hosts: Vec<Fragment>,
    },
    /// Adds or replaces a listener.
    PutListener(Fragment),
    /// Adds or replaces a router.
    PutRouter(Fragment),
    /// Adds or replaces a virtual host, known by its `name`.
    PutVirtualHost {
        /// Of which router.
        router: RouterName,
        /// The virtual host.
        virtual_host: Fragment,
    },
    /// Removes a cluster.
    RemoveCluster(ClusterName),
    /// Removes hosts of a cluster; unknown addresses are ignored.
    RemoveHosts {
        /// Which cluster.
        cluster: ClusterName,
        /// Their addresses, as the cluster writes them.
        addresses: Vec<String>,
    },
    /// Removes a listener.
    RemoveListener(ListenerName),
    /// Removes a router.
    RemoveRouter(RouterName),
    /// Removes every route of the virtual host for a domain; `""` is the default one.
    RemoveRoutes {
        /// Of which router.
        router: RouterName,
        /// As a virtual host writes it.
        domain: String,
    },
    /// Removes a virtual host.
    RemoveVirtualHost {
        /// Of which router.
        router: RouterName,
        /// Its `name`.
        name: String,
    },
}

/// Why an edit makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// No such key, a wrong type, or an edit that nobody knows.
    #[error("{0}")]
    Malformed(String),
    /// What it names is not there.
    #[error("{0}")]
    NotFound(String),
    /// It holds a secret as others are shown it, which would replace the real one.
    #[error("a redacted secret cannot be put back: write the secret itself")]
    Redacted,
}

impl EditError {
    pub(super) fn none(what: &str, name: &impl std::fmt::Display) -> Self {
        Self::NotFound(format!("no {what} is named `{name}`"))
    }

    fn nameless(what: &str, key: &str) -> Self {
        Self::Malformed(format!("a {what} that is put in needs a `{key}`"))
    }
}

impl Edit {
    /// Edits a document; on an error it may be edited in part. `place_of` says where a cluster stands
    /// most likely.
    pub(super) fn apply(
        &self,
        document: &mut Document,
        place_of: impl Fn(&str) -> Option<usize>,
    ) -> Result<(), EditError> {
        if let Some(name) = self.only_cluster() {
            let place = document.place_of(name, place_of(name));
            return self.apply_to_cluster(document.value_mut(), name, place);
        }
        let top = document.value_mut();
        match self {
            Self::PutConfiguration(whole) => {
                *top = taken(whole)?;
                Ok(())
            }
            Self::PutExtensions(extensions) => {
                let running = top.items_mut("extends");
                let mut all = all_taken(extensions)?.into_iter();
                all.try_for_each(|one| put(running, "extension", "type", one))
            }
            Self::PutListener(listener) => {
                put(listeners(top), "listener", "name", taken(listener)?)
            }
            Self::RemoveListener(name) => remove(listeners(top), "listener", "name", name.as_str()),
            Self::RemoveCluster(name) => remove(clusters(top), "cluster", "name", name.as_str()),
            Self::PutCluster(_) => Err(EditError::nameless("cluster", "name")),
            Self::AppendHosts { .. } | Self::PutHosts { .. } | Self::RemoveHosts { .. } => {
                unreachable!("it is of one cluster")
            }
            Self::AddRoute { .. }
            | Self::PutRouter(_)
            | Self::PutVirtualHost { .. }
            | Self::RemoveRouter(_)
            | Self::RemoveRoutes { .. }
            | Self::RemoveVirtualHost { .. } => self.apply_to_routers(top),
        }
    }

    /// The cluster that it puts or whose hosts it changes, when nothing else is another after it.
    pub(super) fn only_cluster(&self) -> Option<&str> {
        match self {
            Self::AppendHosts { cluster, .. }
            | Self::PutHosts { cluster, .. }
            | Self::RemoveHosts { cluster, .. } => Some(cluster.as_str()),
            Self::PutCluster(cluster) => cluster.0.text("name"),
            _ => None,
        }
    }

    fn apply_to_cluster(
        &self,
        top: &mut Value,
        name: &str,
        place: Option<usize>,
    ) -> Result<(), EditError> {
        let clusters = clusters(top);
        if let Self::PutCluster(cluster) = self {
            let cluster = taken(cluster)?;
            match place {
                Some(place) => clusters[place] = cluster,
                None => clusters.push(cluster),
            }
            return Ok(());
        }
        let place = place.ok_or_else(|| EditError::none("cluster", &name))?;
        let running = clusters[place].items_mut("hosts");
        match self {
            Self::AppendHosts { hosts, .. } => {
                let mut all = all_taken(hosts)?;
                all.extend(running.iter().cloned());
                *running = first_of_each(all).into();
            }
            Self::PutHosts { hosts, .. } => *running = all_taken(hosts)?.into(),
            Self::RemoveHosts { addresses, .. } => {
                let gone: HashSet<_> = addresses.iter().map(String::as_str).collect();
                let is_gone =
                    |host: &Value| host.text("address").is_some_and(|at| gone.contains(at));
                running.retain(|host| !is_gone(host));
            }
            _ => unreachable!("it changes no hosts"),
        }
        Ok(())
    }

    fn apply_to_routers(&self, top: &mut Value) -> Result<(), EditError> {
        const NAME: &str = "router_config_name";
        match self {
            Self::AddRoute {
                router,
                domain,
                route,
            } => routes::add(found_router(top, router)?, domain, taken(route)?),
            Self::PutRouter(router) => put(routers(top), "router", NAME, taken(router)?),
            Self::PutVirtualHost {
                router,
                virtual_host,
            } => {
                let hosts = found_router(top, router)?.items_mut("virtual_hosts");
                put(hosts, "virtual host", "name", taken(virtual_host)?)
            }
            Self::RemoveRouter(name) => remove(routers(top), "router", NAME, name.as_str()),
            Self::RemoveRoutes { router, domain } => {
                routes::clear(found_router(top, router)?, domain)
            }
            Self::RemoveVirtualHost { router, name } => {
                let hosts = found_router(top, router)?.items_mut("virtual_hosts");
                remove(hosts, "virtual host", "name", name)
            }
            _ => unreachable!("it is none of routers"),
        }
    }

    /// Replaces the hosts of a cluster by these; of those that are as they were, what the document
    /// says stays. The cluster stands most likely at `place` there.
    pub(crate) fn hosts(
        cluster: ClusterName,
        hosts: &[Host],
        running: Option<(&Document, usize)>,
    ) -> Self {
        let written = running.and_then(|(document, place)| {
            let place = document.place_of(cluster.as_str(), Some(place))?;
            document.clusters()?.get(place)
        });
        let written = written.into_iter().flat_map(|one| one.items_of("hosts"));
        // There may be thousands, and of two with one address the first counts.
        let written = written
            .rev()
            .filter_map(|one| Some((one.text("address")?, one)));
        let written: HashMap<_, _> = written.collect();
        let fragment = |host: &Host| {
            let made = written_as(host);
            let before = made.text("address").and_then(|at| written.get(at));
            let same = |one: &&&Value| SAID.iter().all(|key| said(one, key) == said(&made, key));
            let stays = before.filter(same).map(|one| (*one).clone());
            Fragment(stays.unwrap_or(made))
        };
        Self::PutHosts {
            hosts: hosts.iter().map(fragment).collect(),
            cluster,
        }
    }
}

/// What a [`Host`] says.
const SAID: [&str; 4] = ["address", "hostname", "metadata", "weight"];

/// A key's value as it counts: a weight that is not given is 1.
fn said<'v>(host: &'v Value, key: &str) -> std::borrow::Cow<'v, str> {
    match (host.get(key), key) {
        (_, "metadata") => format!("{:?}", metadata_of(host)).into(),
        (Some(value), _) => value.brief().into(),
        (None, "weight") => "1".into(),
        (None, _) => "".into(),
    }
}

/// The texts of `metadata.filter_metadata["mosn.lb"]`.
fn metadata_of(host: &Value) -> Metadata {
    let found = host
        .get("metadata")
        .and_then(|value| value.get("filter_metadata"))
        .and_then(|value| value.get("mosn.lb"));
    let json = found.map(Value::to_json);
    let pairs = json.as_ref().and_then(|json| json.as_object());
    let pairs = pairs.into_iter().flatten();
    let text = |(key, value): (&String, &serde_json::Value)| {
        let value = value.as_str()?;
        Some((key.clone(), value.to_owned()))
    };
    pairs.filter_map(text).collect()
}

/// A host as a configuration writes it.
fn written_as(host: &Host) -> Value {
    let Host {
        address,
        hostname,
        metadata,
        weight,
    } = host;
    let address = match address {
        HostAddress::Socket(super::Address::Unix(path)) => path.display().to_string(),
        other => other.to_string(),
    };
    let mut value = Value::object([("address", Value::string(&address))]);
    if let Some(hostname) = hostname {
        value.set("hostname", Value::string(hostname));
    }
    if !metadata.is_empty() {
        let pairs = metadata
            .iter()
            .map(|(key, value)| (key.as_str(), Value::string(value)));
        let balanced = Value::object([("mosn.lb", Value::object(pairs))]);
        let metadata = Value::object([("filter_metadata", balanced)]);
        value.set("metadata", metadata);
    }
    if *weight != 1 {
        value.set("weight", Value::number(*weight));
    }
    value
}

fn taken(fragment: &Fragment) -> Result<Value, EditError> {
    match is_redacted(&fragment.0) {
        true => Err(EditError::Redacted),
        false => Ok(fragment.0.clone()),
    }
}

fn all_taken(fragments: &[Fragment]) -> Result<Vec<Value>, EditError> {
    fragments.iter().map(taken).collect()
}

fn clusters(top: &mut Value) -> &mut List<Value> {
    top.entry("cluster_manager").items_mut("clusters")
}

fn server(top: &mut Value) -> &mut Value {
    let servers = top.items_mut("servers");
    if servers.is_empty() {
        servers.push(Value::object([]));
    }
    &mut servers[0]
}

fn listeners(top: &mut Value) -> &mut List<Value> {
    server(top).items_mut("listeners")
}

fn routers(top: &mut Value) -> &mut List<Value> {
    server(top).items_mut("routers")
}

fn found_router<'t>(top: &'t mut Value, name: &RouterName) -> Result<&'t mut Value, EditError> {
    let named = |router: &Value| router.text("router_config_name") == Some(name.as_str());
    let routers = routers(top);
    let found = routers.iter().position(named);
    let found = found.and_then(|place| routers.get_mut(place));
    found.ok_or_else(|| EditError::none("router", name))
}

fn put(items: &mut List<Value>, what: &str, key: &str, item: Value) -> Result<(), EditError> {
    let Some(name) = item.text(key) else {
        return Err(EditError::nameless(what, key));
    };
    let place = items
        .iter()
        .position(|running| running.text(key) == Some(name));
    match place {
        Some(place) => items[place] = item,
        None => items.push(item),
    }
    Ok(())
}

fn remove(items: &mut List<Value>, what: &str, key: &str, name: &str) -> Result<(), EditError> {
    let before = items.len();
    items.retain(|item| item.text(key) != Some(name));
    match items.len() == before {
        true => Err(EditError::none(what, &name)),
        false => Ok(()),
    }
}

fn first_of_each(hosts: Vec<Value>) -> Vec<Value> {
    let mut seen = HashSet::<Arc<str>>::new();
    let mut hosts = hosts;
    hosts.retain(|host| match host.text("address") {
        Some(address) => seen.insert(address.into()),
        None => true,
    });
    hosts
}

#[cfg(test)]
mod tests;
