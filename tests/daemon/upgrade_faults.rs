//! Upgrades that go wrong at each of their steps, in each way: clients notice nothing, one process
//! is left, and the next upgrade works.

use std::fs;

use nix::sys::signal::Signal;

use crate::home::{Home, Process, until};
use crate::upgrade::{Load, home, pid_in, running, starting};

/// What the predecessor sends.
pub(crate) const OLD: [&str; 4] = ["offer", "sockets", "accept", "commit"];

/// What it sends too, when it has carried anything.
const BUSY: [&str; 1] = ["counted"];

/// What the successor sends.
pub(crate) const NEW: [&str; 4] = ["hello", "prepared", "accepting", "committed"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Old,
    New,
}

/// Waits until one of the two has ended, and the other is in charge.
fn left(home: &Home, old: Process, new: Process) -> Process {
    let mut two = [old, new];
    until("one of the two has ended", || {
        two.iter_mut().any(Process::has_ended)
    });
    let [mut old, new] = two;
    let stays = if old.has_ended() { new } else { old };
    until("the other one is in charge", || {
        pid_in(home) == Some(stays.id())
    });
    stays
}

/// Whether a process may have as many descriptors as it ever may.
fn may_open_all(process: &Process) -> bool {
    let limits = fs::read_to_string(format!("/proc/{}/limits", process.id()));
    let limits = limits.expect("it runs");
    let mut lines = limits.lines();
    let line = lines.find_map(|line| line.strip_prefix("Max open files"));
    let mut numbers = line.expect("it is limited").split_whitespace();
    numbers.next() == numbers.next()
}

/// One upgrade with a fault, and one without.
fn upgrade(fault: &str, side: Side) {
    let (home, to) = home();
    let armed = [
        ("BANYAN_UPGRADE_FAULT", fault),
        ("BANYAN_UPGRADE_TIMEOUT_S", "2"),
    ];
    let waits = [("BANYAN_UPGRADE_TIMEOUT_S", "2")];
    let (of_old, of_new) = match side {
        Side::Old => (&armed[..], &waits[..]),
        Side::New => (&waits[..], &armed[..]),
    };
    let mut old = starting(&home, of_old);
    old.says("/logs/mosn.pid");
    let load = Load::on(to);
    let new = starting(&home, of_new);

    let mut stays = left(&home, old, new);

    let (done, wrong) = load.ends();
    assert!(done > 0, "{fault} of {side:?}");
    // Whoever is killed takes along what it has accepted, and without descriptors there is no way to
    // a host.
    if !fault.ends_with(":kill") && !fault.ends_with(":descriptors") {
        assert_eq!(wrong, Vec::<String>::new(), "{fault} of {side:?}");
    }
    if fault.ends_with(":descriptors") {
        until("there are descriptors again", || may_open_all(&stays));
    }
    let load = Load::on(to);
    let next = running(&home);
    assert_eq!(pid_in(&home), Some(next.id()), "{fault} of {side:?}");
    assert_eq!(stays.code(), Some(0), "{fault} of {side:?}");
    let (_, wrong) = load.ends();
    assert_eq!(wrong, Vec::<String>::new(), "after {fault} of {side:?}");
    next.signal(Signal::SIGTERM);
}

fn each_step(fault: &str) {
    for message in OLD.into_iter().chain(BUSY) {
        upgrade(&format!("send:{message}:{fault}"), Side::Old);
        upgrade(&format!("receive:{message}:{fault}"), Side::New);
    }
    for message in NEW {
        upgrade(&format!("send:{message}:{fault}"), Side::New);
        upgrade(&format!("receive:{message}:{fault}"), Side::Old);
    }
}

fn each_message(fault: &str) {
    OLD.iter()
        .chain(&BUSY)
        .for_each(|message| upgrade(&format!("send:{message}:{fault}"), Side::Old));
    NEW.iter()
        .for_each(|message| upgrade(&format!("send:{message}:{fault}"), Side::New));
}

#[test]
fn either_process_may_be_killed_at_any_step() {
    each_step("kill");
}

#[test]
fn any_message_may_be_lost() {
    each_message("lose");
}

#[test]
fn any_message_may_be_late() {
    each_message("delay");
}

#[test]
fn any_message_may_be_cut() {
    each_message("cut");
}

#[test]
fn any_message_may_be_garbled() {
    each_message("garble");
}

#[test]
fn any_message_may_come_twice() {
    each_message("repeat");
}

#[test]
fn any_message_may_be_of_another_version() {
    each_message("version");
}

#[test]
fn either_process_may_stop_for_a_while() {
    each_message("sleep");
}

#[test]
fn either_process_may_lack_descriptors_at_any_step() {
    each_step("descriptors");
}
