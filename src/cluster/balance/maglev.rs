//! Consistent hashing by a table in which each host has an equal share of the slots (Maglev,
//! section 3.4 of the paper), with MOSN's sizes and hashes.
//!
//! A key goes to the host of its slot. Where that one may not be chosen it goes to the host of the
//! next slot whose host may: neighbouring slots are of hosts that are as good as random, so what
//! an unhealthy host had is spread over all others, and comes back to it when it does.

use std::sync::Arc;

use rand::Rng;
use siphasher::sip::SipHasher24;

use super::super::Host;
use super::{Eligible, random};

/// Slots of the usual table; a prime.
const SLOTS: u32 = 65_537;

/// Slots of the table for so many hosts that the usual one would not share them out evenly.
const MANY_SLOTS: u32 = 655_373;

/// As many hosts are many.
const MANY_HOSTS: usize = 30_000;

/// MOSN's key for hosts.
const HOST_KEY: u64 = 0xdead_beef_cafe_babe;

/// Slots that are looked at before the hosts are in turn. With a tenth of them eligible it is in
/// vain once in 10^47 times.
const LOOKS: usize = 1024;

/// Which host each slot belongs to.
#[derive(Debug)]
pub struct Table {
    slots: Box<[u32]>,
}

impl Table {
    /// Fills a table for hosts in this order.
    #[must_use]
    pub fn new(hosts: &[Arc<Host>]) -> Self {
        let size = match hosts.len() {
            0 => 0,
            MANY_HOSTS.. => MANY_SLOTS,
            _ => SLOTS,
        };
        Self {
            slots: fill(hosts, size),
        }
    }

    /// Positions of hosts from the slot of a key on; none when there are no hosts.
    fn from(&self, key: u64) -> impl Iterator<Item = usize> {
        let len = self.slots.len() as u64;
        let start = key.checked_rem(len).map_or(0, |slot| slot as usize);
        let (before, after) = self.slots.split_at(start);
        after.iter().chain(before).map(|&index| index as usize)
    }
}

const FREE: u32 = u32::MAX;

/// In turn each host takes the slot that it likes best of those still free.
fn fill(hosts: &[Arc<Host>], size: u32) -> Box<[u32]> {
    let hash = SipHasher24::new_with_keys(HOST_KEY, 0);
    let mut wishes: Vec<_> = hosts
        .iter()
        .take(size as usize)
        .map(|host| {
            let hash = hash.hash(host.to_string().as_bytes());
            let (high, low) = ((hash >> 32) as u32, hash as u32);
            (high % size, low % (size - 1) + 1)
        })
        .collect();
    let mut slots = vec![FREE; size as usize];
    let mut free = slots.len();
    while free > 0 {
        for (index, (wish, skip)) in (0..).zip(&mut wishes) {
            // Slots and skips are below 2^20: no sum overflows.
            while slots[*wish as usize] != FREE {
                *wish = (*wish + *skip) % size;
            }
            slots[*wish as usize] = index;
            free -= 1;
            if free == 0 {
                break;
            }
        }
    }
    slots.into()
}

/// Without a key there is nothing to be consistent with: the choice is uniform.
pub(super) fn pick(eligible: Eligible<'_>, key: Option<u64>, rng: &mut impl Rng) -> Option<usize> {
    let Some(key) = key else {
        return random::pick(eligible, rng);
    };
    let is_eligible = |&index: &usize| eligible.hosts.is_fit(index) && eligible.admits(index);
    let table = eligible.hosts.table();
    let near = table.from(key).take(LOOKS).find(is_eligible);
    near.or_else(|| {
        let len = eligible.hosts.eligible().len() as u64;
        let start = key.checked_rem(len)? as usize;
        let (before, after) = eligible.hosts.eligible().split_at(start);
        after.iter().chain(before).copied().find(is_eligible)
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::HostSet;
    use super::super::super::host::tests::configured;
    use super::*;

    fn hosts(ports: impl Iterator<Item = u16>) -> HostSet {
        let hosts: Vec<_> = ports.map(|port| configured(port, 1)).collect();
        HostSet::new(&hosts)
    }

    fn shares(table: &Table, hosts: usize) -> Vec<usize> {
        let mut shares = vec![0; hosts];
        for &slot in &table.slots {
            shares[slot as usize] += 1;
        }
        shares
    }

    #[test]
    fn the_hash_is_siphash_as_its_paper_has_it() {
        // Appendix A of the paper: the key 00 … 0f and the message 00 … 0e.
        let hash = SipHasher24::new_with_keys(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        let message: Vec<u8> = (0..15).collect();
        assert_eq!(hash.hash(&message), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn every_host_has_its_share_of_the_slots_to_one() {
        for count in [1, 2, 3, 7, 100, 5000] {
            let set = hosts(0..count);
            let shares = shares(set.table(), usize::from(count));
            let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
            assert!(most - least <= 1, "{count}: {least} to {most}");
        }
    }

    #[test]
    fn many_hosts_have_the_greater_table() {
        let set = hosts(0..30_000);
        assert_eq!(set.table().slots.len(), 655_373);
        assert_eq!(hosts(0..29_999).table().slots.len(), 65_537);
    }

    #[test]
    fn no_hosts_have_no_slots() {
        assert_eq!(Table::new(&[]).from(7).count(), 0);
    }

    #[test]
    fn a_host_that_goes_moves_little_but_what_it_had() {
        let (before, after) = (hosts(0..100), hosts((0..100).filter(|port| *port != 40)));
        let name = |set: &HostSet, slot: u32| set.hosts()[slot as usize].to_string();
        let slots = before.table().slots.iter().zip(&after.table().slots);
        let names = slots.map(|(&one, &other)| (name(&before, one), name(&after, other)));
        let moved = names
            .filter(|(one, other)| one != other && one != "127.0.0.1:40")
            .count();
        // The paper finds about as many as the host had; modulo the number of hosts moves 99 %.
        assert!(moved < 65_537 * 4 / 100, "{moved} slots moved");
    }
}
