//! `LB_REQUEST_ROUNDROBIN`: the first host that may be chosen, and for each further try of a
//! request the next one after the last. So the first host takes all, the others stand by.

use super::Eligible;

pub(super) fn pick(eligible: Eligible<'_>) -> Option<usize> {
    let healthy = eligible.hosts.eligible();
    let tried = eligible.excluded.last();
    let last = tried.and_then(|tried| {
        let hosts = eligible.hosts.hosts();
        hosts.iter().position(|host| host.is(tried))
    });
    let from = last.map_or(0, |last| healthy.partition_point(|&index| index <= last));
    let (before, after) = healthy.split_at(from);
    let mut turn = after.iter().chain(before).copied();
    turn.find(|&index| eligible.admits(index))
}
