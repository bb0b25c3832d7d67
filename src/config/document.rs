//! A configuration as a document: what is shown, edited, kept and compared while a proxy runs.

use std::time::Duration;

use super::diagnostics::{Diagnostics, Severity};
use super::list::List;
use super::load::Surroundings;
use super::plan::{Cluster, Plan};
use super::raw::{self, Cursor, Value, keys};
use super::resolve::{called, files, resolve, resolve_cluster};

/// A configuration as it was written, or as edits have made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document(Value);

impl Document {
    pub(super) fn written(value: Value) -> Self {
        Self(value)
    }

    pub(super) fn value_mut(&mut self) -> &mut Value {
        &mut self.0
    }

    /// A document that was kept as JSON.
    #[must_use]
    pub fn from_json(json: &serde_json::Value) -> Self {
        Self(Value::from_json(json))
    }

    /// The document as JSON, keys and order as written. Secrets are in it.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        self.0.to_json()
    }

    /// The document as JSON, as others may see it: secrets are `"(redacted)"` in every section.
    #[must_use]
    pub fn redacted(&self) -> serde_json::Value {
        raw::redacted(&self.0, &keys::TOP).to_json()
    }

    /// Holds the document against the tables and resolves it; `file` names it in findings.
    pub(super) fn plan(
        &self,
        file: &str,
        surroundings: &dyn Surroundings,
        diagnostics: &mut Diagnostics,
    ) -> Plan {
        let path = raw::Path::root(file);
        let node = raw::walk(&self.0, &keys::TOP, &path, Severity::Error, diagnostics);
        let plan = resolve(&Cursor::new(&node, path), surroundings, diagnostics);
        diagnostics.sort();
        plan
    }

    /// Where the cluster of this name stands among the clusters; most likely it is at `guess`.
    pub(super) fn place_of(&self, name: &str, guess: Option<usize>) -> Option<usize> {
        let clusters = self.clusters()?;
        let is_it = |cluster: &Value| cluster.text("name") == Some(name);
        let guessed = guess.filter(|at| clusters.get(*at).is_some_and(is_it));
        guessed.or_else(|| clusters.iter().position(is_it))
    }

    /// The clusters of a document that is [settled](Self::settled), if it has a list of them.
    pub(super) fn clusters(&self) -> Option<&List<Value>> {
        self.0.get("cluster_manager")?.get("clusters")?.items()
    }

    /// As [`Self::plan`], of one of the clusters alone: nothing else has a say in what it is, but
    /// for how long it remembers.
    ///
    /// It is settled on the way. `None` when what is wrong with it leaves nothing.
    pub(super) fn cluster(
        &mut self,
        place: usize,
        memory: Duration,
        surroundings: &dyn Surroundings,
        diagnostics: &mut Diagnostics,
    ) -> Option<Cluster> {
        let written = self.clusters()?.get(place)?;
        let manager = raw::Path::root("configuration").key("cluster_manager");
        let path = manager.key("clusters").index(place);
        let node = raw::walk(written, &keys::CLUSTER, &path, Severity::Error, diagnostics);
        let cluster = resolve_cluster(&Cursor::new(&node, path), memory, surroundings, diagnostics);
        diagnostics.sort();
        let settled = raw::canonical(written, &keys::CLUSTER);
        self.0.entry("cluster_manager").items_mut("clusters")[place] = settled;
        cluster
    }

    /// The same configuration in the form that edits understand: each key by its name, what
    /// directories hold in the document itself, every listener named, each name once.
    ///
    /// # Errors
    ///
    /// What is wrong in a directory.
    pub(super) fn settled(&self, surroundings: &dyn Surroundings) -> Result<Self, Diagnostics> {
        let mut top = raw::canonical(&self.0, &keys::TOP);
        let mut diagnostics = Diagnostics::default();
        if top.get("cluster_manager").is_some() {
            let manager = top.entry("cluster_manager");
            inline(
                manager,
                "clusters_configs",
                "clusters",
                surroundings,
                &mut diagnostics,
            );
            once(manager.items_mut("clusters"), "name");
        }
        if top.items_of("servers").count() == 1 {
            let server = &mut top.items_mut("servers")[0];
            move_routers(server);
            if server.get("routers").is_some() {
                server.items_mut("routers").change_each(|router| {
                    inline(
                        router,
                        "router_configs",
                        "virtual_hosts",
                        surroundings,
                        &mut diagnostics,
                    );
                });
                once(server.items_mut("routers"), "router_config_name");
            }
            if server.get("listeners").is_some() {
                server.items_mut("listeners").change_each(|listener| {
                    if listener.text("name").is_none()
                        && let Some(name) = called(listener, surroundings)
                    {
                        listener.set("name", Value::string(&name));
                    }
                });
                once(server.items_mut("listeners"), "name");
            }
        }
        match diagnostics.has_errors() {
            true => Err(diagnostics),
            false => Ok(Self(raw::canonical(&top, &keys::TOP))),
        }
    }
}

/// Puts what the files of a directory hold in the place of its name.
fn inline(
    object: &mut Value,
    directory: &str,
    items: &str,
    surroundings: &dyn Surroundings,
    diagnostics: &mut Diagnostics,
) {
    let Some(path) = object.text(directory) else {
        return;
    };
    // A directory that cannot be read was said when the document was resolved.
    if let Ok(found) = files(path, surroundings, diagnostics) {
        object.unset(directory);
        let found = found.into_iter().map(|(_, value)| value);
        object.items_mut(items).extend(found);
    }
}

/// Of those with one name the last, in the place of the first, as resolution has it.
fn once(items: &mut List<Value>, name: &str) {
    let mut kept: Vec<Value> = Vec::with_capacity(items.len());
    let mut places = std::collections::HashMap::new();
    for item in items.iter() {
        let known = item.text(name);
        match known.and_then(|known| places.get(known)) {
            Some(&place) => kept[place] = item.clone(),
            None => {
                places.extend(known.map(|known| (known, kept.len())));
                kept.push(item.clone());
            }
        }
    }
    *items = kept.into();
}

/// Moves the routers of `connection_manager` filters, MOSN's elder form, to those of the server.
fn move_routers(server: &mut Value) {
    let mut moved = Vec::new();
    if server.get("listeners").is_none() {
        return;
    }
    server.items_mut("listeners").change_each(|listener| {
        if listener.get("filter_chains").is_none() {
            return;
        }
        listener.items_mut("filter_chains").change_each(|chain| {
            if chain.get("filters").is_none() {
                return;
            }
            chain.items_mut("filters").retain(|filter| {
                let elder = filter.text("type") == Some("connection_manager");
                if let (true, Some(router)) = (elder, filter.get("config")) {
                    moved.push(router.clone());
                }
                !elder
            });
        });
    });
    if !moved.is_empty() {
        let routers = server.items_mut("routers");
        moved.extend(routers.iter().cloned());
        *routers = moved.into();
    }
}
