//! Changes of a plan that are smaller than a new plan.

use std::sync::Arc;

use foldhash::HashSet;

use super::{Cluster, Host, HostAddress, Plan};
use crate::name::ClusterName;

impl Plan {
    /// Replaces the hosts of one cluster by what `change` makes of them, each address once.
    ///
    /// # Errors
    ///
    /// In words, when no cluster has that name, or what `change` refuses; the plan is as before.
    pub fn change_hosts(
        &mut self,
        name: &ClusterName,
        change: impl FnOnce(Vec<Host>) -> Result<Vec<Host>, String>,
    ) -> Result<(), String> {
        let mut clusters = self.clusters.iter();
        let place = clusters.position(|cluster| cluster.name == *name);
        let place = place.ok_or_else(|| format!("no cluster is named `{name}`"))?;
        let hosts = changed(&self.clusters[place], change)?;
        self.put_hosts(place, hosts);
        Ok(())
    }

    /// Replaces the hosts of the cluster that stands there.
    pub(super) fn put_hosts(&mut self, place: usize, hosts: Vec<Host>) {
        // What is as it was must not look like something new.
        if hosts != self.clusters[place].hosts {
            Arc::make_mut(&mut self.clusters[place]).hosts = hosts;
        }
    }
}

/// What `change` makes of the hosts of a cluster, each address once.
pub(super) fn changed(
    cluster: &Cluster,
    change: impl FnOnce(Vec<Host>) -> Result<Vec<Host>, String>,
) -> Result<Vec<Host>, String> {
    change(cluster.hosts.clone()).map(first_of_each)
}

/// The new hosts first, then those running; of each address the first, so that appending a host
/// that is there already replaces it, as in MOSN.
#[must_use]
pub fn append_hosts(mut added: Vec<Host>, running: Vec<Host>) -> Vec<Host> {
    added.extend(running);
    first_of_each(added)
}

/// The hosts without those of some addresses; unknown ones are ignored. The order becomes that of
/// the addresses as text, as in MOSN.
#[must_use]
pub fn remove_hosts(addresses: &[HostAddress], mut running: Vec<Host>) -> Vec<Host> {
    let gone: HashSet<_> = addresses.iter().collect();
    running.retain(|host| !gone.contains(&host.address));
    running.sort_by_cached_key(|host| host.address.to_string());
    running
}

/// The hosts in which the one of an address has another weight.
///
/// # Errors
///
/// In words, when there is no such host.
pub fn weigh_host(
    address: &HostAddress,
    weight: u32,
    mut running: Vec<Host>,
) -> Result<Vec<Host>, String> {
    let host = running.iter_mut().find(|host| host.address == *address);
    let host = host.ok_or_else(|| format!("no host has the address `{address}`"))?;
    host.weight = weight;
    Ok(running)
}

fn first_of_each(hosts: Vec<Host>) -> Vec<Host> {
    let mut seen = HashSet::default();
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
            metadata: Default::default(),
            weight,
        }
    }

    #[test]
    fn appending_a_host_that_is_there_replaces_it_and_puts_it_first() {
        let hosts = append_hosts(vec![host(2, 9)], vec![host(1, 1), host(2, 1)]);

        assert_eq!(hosts, [host(2, 9), host(1, 1)]);
    }

    #[test]
    fn removing_sorts_what_is_left_by_address_as_text() {
        let running = vec![host(9, 1), host(10, 1), host(2, 1)];
        let gone = [host(2, 1).address, host(77, 1).address];

        assert_eq!(remove_hosts(&gone, running), [host(10, 1), host(9, 1)]);
    }

    #[test]
    fn one_host_is_weighed_and_the_others_are_as_before() {
        let running = vec![host(1, 1), host(2, 1)];

        let hosts = weigh_host(&host(2, 1).address, 9, running.clone());

        assert_eq!(hosts, Ok(vec![host(1, 1), host(2, 9)]));
        let refused = weigh_host(&host(3, 1).address, 9, running);
        let why = "no host has the address `192.0.2.1:3`".to_owned();
        assert_eq!(refused, Err(why));
    }

    #[test]
    fn a_cluster_has_each_address_once_whatever_it_is_given() {
        let mut plan = Plan::of([Cluster::new("c", [])], []);

        let changed = plan.change_hosts(&"c".into(), |_| Ok(vec![host(1, 5), host(1, 7)]));

        assert_eq!(changed, Ok(()));
        assert_eq!(plan.clusters[0].hosts, [host(1, 5)]);
    }

    #[test]
    fn the_hosts_of_an_unknown_cluster_cannot_be_changed() {
        let refused = Plan::default().change_hosts(&"api".into(), Ok);

        assert_eq!(refused, Err("no cluster is named `api`".to_owned()));
    }
}
