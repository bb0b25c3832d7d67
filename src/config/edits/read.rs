//! Edits as JSON writes them: an array of objects, each with one key that names the edit.

use super::{Edit, EditError, Fragment};
use crate::config::diagnostics::Diagnostics;
use crate::config::load::{Format, Source, read};
use crate::config::raw::{Kind, Schema, Value, canonical, keys};

/// Every edit by its name in JSON.
const NAMES: [&str; 15] = [
    "add_route",
    "append_hosts",
    "put_cluster",
    "put_configuration",
    "put_extensions",
    "put_hosts",
    "put_listener",
    "put_router",
    "put_virtual_host",
    "remove_cluster",
    "remove_hosts",
    "remove_listener",
    "remove_router",
    "remove_routes",
    "remove_virtual_host",
];

impl Fragment {
    /// Reads a part of a configuration.
    ///
    /// # Errors
    ///
    /// In words, when the text is not JSON; the first fault, with its line and column.
    pub fn read(text: &[u8]) -> Result<Self, EditError> {
        let mut diagnostics = Diagnostics::default();
        let source = Source {
            file: "request",
            format: Format::Json,
            text,
        };
        read(&source, &mut diagnostics).map(Self).ok_or_else(|| {
            let fault = diagnostics
                .errors()
                .next()
                .map_or_else(String::new, |fault| {
                    format!(
                        "line {}, column {}: {}",
                        fault.line, fault.column, fault.message
                    )
                });
            EditError::Malformed(format!("this is not JSON: {fault}"))
        })
    }

    /// What stands under a key; letter case counts.
    ///
    /// # Errors
    ///
    /// When nothing does.
    pub fn part(&self, key: &str) -> Result<Self, EditError> {
        let part = self.0.get(key).cloned().map(Self);
        part.ok_or_else(|| EditError::Malformed(format!("the key `{key}` is missing")))
    }

    /// The text under a key.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn text(&self, key: &str) -> Result<String, EditError> {
        let text = self.0.get(key).and_then(Value::as_text).map(str::to_owned);
        text.ok_or_else(|| EditError::Malformed(format!("`{key}` is to be a string")))
    }

    /// The elements of an array, each a part by itself.
    ///
    /// # Errors
    ///
    /// When it is no array.
    pub fn parts(&self) -> Result<Vec<Self>, EditError> {
        match &self.0.kind {
            Kind::Array(items) => Ok(items.iter().cloned().map(Self).collect()),
            _ => Err(EditError::Malformed(format!(
                "this is to be an array: {}",
                self.0.brief()
            ))),
        }
    }

    /// The text that it is.
    fn whole_text(&self) -> Result<String, EditError> {
        let text = self.0.as_text().map(str::to_owned);
        text.ok_or_else(|| {
            EditError::Malformed(format!("this is to be a string: {}", self.0.brief()))
        })
    }

    /// The same with its keys by their names; it must be an object.
    fn of(self, schema: &'static Schema) -> Result<Self, EditError> {
        match &self.0.kind {
            Kind::Object(_) => Ok(Self(canonical(&self.0, schema))),
            _ => Err(EditError::Malformed(format!(
                "this is to be an object: {}",
                self.0.brief()
            ))),
        }
    }

    /// The same with `name` under `key`, where it says no other.
    ///
    /// # Errors
    ///
    /// When it says another.
    pub fn named(mut self, key: &str, name: &str) -> Result<Self, EditError> {
        match self.0.text(key) {
            Some(own) if own != name => {
                let message = format!("its `{key}` is \"{own}\" where \"{name}\" is changed");
                Err(EditError::Malformed(message))
            }
            _ if !matches!(self.0.kind, Kind::Object(_)) => Err(EditError::Malformed(format!(
                "this is to be an object: {}",
                self.0.brief()
            ))),
            _ => {
                self.0.set(key, Value::string(name));
                Ok(self)
            }
        }
    }
}

impl Edit {
    /// Adds or replaces a cluster.
    ///
    /// # Errors
    ///
    /// When it is no object.
    pub fn put_cluster(cluster: Fragment) -> Result<Self, EditError> {
        cluster.of(&keys::CLUSTER).map(Self::PutCluster)
    }

    /// Adds or replaces a listener.
    ///
    /// # Errors
    ///
    /// When it is no object.
    pub fn put_listener(listener: Fragment) -> Result<Self, EditError> {
        listener.of(&keys::LISTENER).map(Self::PutListener)
    }

    /// Adds or replaces a router.
    ///
    /// # Errors
    ///
    /// When it is no object.
    pub fn put_router(router: Fragment) -> Result<Self, EditError> {
        router.of(&keys::ROUTER).map(Self::PutRouter)
    }

    /// Adds or replaces a virtual host of a router.
    ///
    /// # Errors
    ///
    /// When it is no object.
    pub fn put_virtual_host(router: &str, host: Fragment) -> Result<Self, EditError> {
        let virtual_host = host.of(&keys::VIRTUAL_HOST)?;
        Ok(Self::PutVirtualHost {
            router: router.into(),
            virtual_host,
        })
    }

    /// Adds a route.
    ///
    /// # Errors
    ///
    /// When it is no object.
    pub fn add_route(router: &str, domain: String, route: Fragment) -> Result<Self, EditError> {
        let route = route.of(&keys::ROUTE)?;
        Ok(Self::AddRoute {
            router: router.into(),
            domain,
            route,
        })
    }

    /// Replaces the whole configuration.
    ///
    /// # Errors
    ///
    /// When it is no object.
    pub fn put_configuration(whole: Fragment) -> Result<Self, EditError> {
        whole.of(&keys::TOP).map(Self::PutConfiguration)
    }

    /// Hosts as a cluster writes them.
    ///
    /// # Errors
    ///
    /// When they are no array of objects.
    pub fn fragments_of_hosts(hosts: &Fragment) -> Result<Vec<Fragment>, EditError> {
        hosts
            .parts()?
            .into_iter()
            .map(|host| host.of(&keys::HOST))
            .collect()
    }

    /// Reads `{"edits": [{"put_cluster": {…}}, …]}`; [the manual](crate) lists every edit.
    ///
    /// # Errors
    ///
    /// [`EditError`] by the first that cannot be read.
    pub fn read_all(body: &Fragment) -> Result<Vec<Self>, EditError> {
        let edits = body.part("edits")?.parts()?;
        edits
            .into_iter()
            .enumerate()
            .map(|(n, edit)| {
                Self::read_one(&edit).map_err(|error| match error {
                    EditError::Malformed(why) => EditError::Malformed(format!("edits[{n}]: {why}")),
                    other => other,
                })
            })
            .collect()
    }

    fn read_one(edit: &Fragment) -> Result<Self, EditError> {
        let Kind::Object(members) = &edit.0.kind else {
            return Err(EditError::Malformed(format!(
                "an edit is an object: {}",
                edit.0.brief()
            )));
        };
        let [one] = &members[..] else {
            return Err(EditError::Malformed(
                "an edit has exactly one key, its name".to_owned(),
            ));
        };
        let content = Fragment(one.value.clone());
        let read = match &*one.key {
            name if name.ends_with("cluster") || name.ends_with("hosts") => {
                Self::read_of_clusters(name, &content)?
            }
            name => Self::read_of_others(name, &content)?,
        };
        read.ok_or_else(|| {
            let names = NAMES.join(", ");
            let message = format!("no edit is called `{}`; there are {names}", one.key);
            EditError::Malformed(message)
        })
    }

    fn read_of_clusters(name: &str, content: &Fragment) -> Result<Option<Self>, EditError> {
        let cluster = || content.text("cluster").map(Into::into);
        let hosts = || Self::fragments_of_hosts(&content.part("hosts")?);
        Ok(Some(match name {
            "append_hosts" => Self::AppendHosts {
                cluster: cluster()?,
                hosts: hosts()?,
            },
            "put_cluster" => Self::put_cluster(content.clone())?,
            "put_hosts" => Self::PutHosts {
                cluster: cluster()?,
                hosts: hosts()?,
            },
            "remove_cluster" => Self::RemoveCluster(content.whole_text()?.into()),
            "remove_hosts" => {
                let addresses = content.part("addresses")?.parts()?;
                let addresses = addresses.iter().map(Fragment::whole_text);
                Self::RemoveHosts {
                    cluster: cluster()?,
                    addresses: addresses.collect::<Result<_, _>>()?,
                }
            }
            _ => return Ok(None),
        }))
    }

    fn read_of_others(name: &str, content: &Fragment) -> Result<Option<Self>, EditError> {
        let text = |key| content.text(key);
        Ok(Some(match name {
            "add_route" => {
                Self::add_route(&text("router")?, text("domain")?, content.part("route")?)?
            }
            "put_configuration" => Self::put_configuration(content.clone())?,
            "put_extensions" => Self::PutExtensions(content.parts()?),
            "put_listener" => Self::put_listener(content.clone())?,
            "put_router" => Self::put_router(content.clone())?,
            "put_virtual_host" => {
                Self::put_virtual_host(&text("router")?, content.part("virtual_host")?)?
            }
            "remove_listener" => Self::RemoveListener(content.whole_text()?.into()),
            "remove_router" => Self::RemoveRouter(content.whole_text()?.into()),
            "remove_routes" => Self::RemoveRoutes {
                router: text("router")?.into(),
                domain: text("domain")?,
            },
            "remove_virtual_host" => Self::RemoveVirtualHost {
                router: text("router")?.into(),
                name: text("name")?,
            },
            _ => return Ok(None),
        }))
    }
}
