//! `LB_ORIGINAL_DST`: the host is wherever the connection was meant to go.
//!
//! There are no hosts but those that were asked for. Each is kept while it is among the ones asked
//! for lately, so that its connections and counts are found again; health is not looked at, since
//! nobody checks them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::{self, HostAddress};

use super::super::Host;

/// Destinations that are remembered. Beyond that the one goes that was asked for longest ago: an
/// attacker who names ever new ones costs no more memory than this.
const MOST: usize = 1024;

/// The destinations asked for lately.
#[derive(Debug, Default)]
pub(super) struct Destinations {
    hosts: HashMap<HostAddress, (Arc<Host>, u64)>,
    asked: u64,
}

impl Destinations {
    /// The host of a destination, unless it is excluded.
    pub(super) fn pick(
        &mut self,
        destination: &HostAddress,
        excluded: &[Arc<Host>],
    ) -> Option<&Arc<Host>> {
        self.asked += 1;
        if !self.hosts.contains_key(destination) {
            self.make_room();
            let host = Host::new(&config::Host::new(destination.clone()));
            let entry = (Arc::new(host), self.asked);
            self.hosts.insert(destination.clone(), entry);
        }
        let (host, asked) = self.hosts.get_mut(destination)?;
        *asked = self.asked;
        let is_excluded = excluded.iter().any(|tried| tried.is(host));
        (!is_excluded).then_some(host)
    }

    fn make_room(&mut self) {
        if self.hosts.len() < MOST {
            return;
        }
        let oldest = self.hosts.iter().min_by_key(|(_, (_, asked))| *asked);
        let oldest = oldest.map(|(address, _)| address.clone());
        if let Some(oldest) = oldest {
            self.hosts.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::host::tests::configured;
    use super::*;

    #[test]
    fn a_destination_is_the_same_host_as_long_as_it_is_remembered() {
        let mut destinations = Destinations::default();
        let of = |port| configured(port, 1).address;
        let first = destinations.pick(&of(1), &[]).unwrap().clone();
        for port in 2..=1024 {
            destinations.pick(&of(port), &[]).unwrap();
        }
        assert!(destinations.pick(&of(1), &[]).unwrap().is(&first));

        // One more: the longest unasked one goes, which is not the first any more.
        destinations.pick(&of(2000), &[]).unwrap();
        assert!(destinations.pick(&of(1), &[]).unwrap().is(&first));
        assert_eq!(destinations.hosts.len(), MOST);
        assert!(!destinations.hosts.contains_key(&of(2)));
    }

    #[test]
    fn a_destination_that_was_tried_is_not_chosen_again() {
        let mut destinations = Destinations::default();
        let address = configured(1, 1).address;
        let tried = [destinations.pick(&address, &[]).unwrap().clone()];
        assert!(destinations.pick(&address, &tried).is_none());
    }
}
