//! Changes of a plan that are smaller than a new plan.

use std::sync::Arc;

use super::{Host, Plan};
use crate::name::ClusterName;

impl Plan {
    /// Replaces the hosts of one cluster by what `change` makes of them.
    ///
    /// # Errors
    ///
    /// In words, when no cluster has that name; the plan is as before.
    pub fn change_hosts(
        &mut self,
        name: &ClusterName,
        change: impl FnOnce(Vec<Host>) -> Vec<Host>,
    ) -> Result<(), String> {
        let cluster = self
            .clusters
            .iter_mut()
            .find(|cluster| cluster.name == *name);
        let cluster = cluster.ok_or_else(|| format!("no cluster is named `{name}`"))?;
        let cluster = Arc::make_mut(cluster);
        cluster.hosts = first_of_each(change(std::mem::take(&mut cluster.hosts)));
        Ok(())
    }
}

/// The new hosts first, then those running; of each address the first, so that appending a host
/// that is there already replaces it, as in MOSN.
#[must_use]
pub fn append_hosts(mut added: Vec<Host>, running: Vec<Host>) -> Vec<Host> {
    added.extend(running);
    first_of_each(added)
}

fn first_of_each(hosts: Vec<Host>) -> Vec<Host> {
    let mut seen = std::collections::HashSet::new();
    hosts
        .into_iter()
        .filter(|host| seen.insert(host.address.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Address, HostAddress};

    fn host(port: u16, weight: u32) -> Host {
        let address = HostAddress::Socket(Address::Tcp(([192, 0, 2, 1], port).into()));
        Host {
            address,
            hostname: None,
            weight,
        }
    }

    #[test]
    fn appending_a_host_that_is_there_replaces_it_and_puts_it_first() {
        let hosts = append_hosts(vec![host(2, 9)], vec![host(1, 1), host(2, 1)]);

        assert_eq!(hosts, [host(2, 9), host(1, 1)]);
    }

    #[test]
    fn the_hosts_of_an_unknown_cluster_cannot_be_changed() {
        let refused = Plan::default().change_hosts(&"api".into(), |hosts| hosts);

        assert_eq!(refused, Err("no cluster is named `api`".to_owned()));
    }
}
