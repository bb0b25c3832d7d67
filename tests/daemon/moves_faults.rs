//! Moves that go wrong at each of their steps: the connection goes on in one of the two processes, and
//! in one alone.

use std::io::{BufReader, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use nix::sys::signal::Signal;

use crate::home::{Home, Process};
use crate::moves::{KeptAlive, connected, home, numbers};
use crate::peers::{Client, echo};
use crate::upgrade::starting;

/// What goes wrong in the predecessor, and in the successor.
type Faults = [Option<&'static str>; 2];

fn armed(home: &Home, fault: Option<&str>) -> Process {
    let fault = fault.map(|fault| ("BANYAN_UPGRADE_FAULT", fault));
    let waits = ("BANYAN_UPGRADE_PROBATION_S", "0");
    let variables: Vec<_> = fault.into_iter().chain([waits]).collect();
    starting(home, &variables)
}

/// A process that runs, and its successor, which has taken over.
fn replaced<C>(home: &Home, [of_old, of_new]: Faults, client: impl FnOnce() -> C) -> Upgraded<C> {
    let mut old = armed(home, of_old);
    old.says("/logs/mosn.pid");
    let client = client();
    let mut new = armed(home, of_new);
    new.says("/logs/mosn.pid");
    Upgraded { old, new, client }
}

struct Upgraded<C> {
    old: Process,
    new: Process,
    client: C,
}

/// The same with a client whose bytes are relayed.
fn relaying(faults: Faults) -> (Home, Upgraded<Client>) {
    let (home, [_, bytes, _]) = home(echo());
    let client = || Client::served(bytes).expect("it accepts");
    let upgraded = replaced(&home, faults, client);
    (home, upgraded)
}

/// The predecessor dies with a connection on its way: before the successor has it, before it hears of
/// that, and before it says that it lets go.
const DEATHS: [Faults; 3] = [
    [
        Some("send:connection:die"),
        Some("receive:connection:delay"),
    ],
    [Some("receive:held:kill"), None],
    [Some("send:release:kill"), None],
];

#[test]
fn a_predecessor_that_is_killed_takes_nothing_along_that_the_successor_holds() {
    thread::scope(|scope| {
        for faults in DEATHS {
            scope.spawn(move || relayed_bytes_survive(faults));
            scope.spawn(move || a_begun_request_survives(faults));
        }
    });
}

fn relayed_bytes_survive(faults: Faults) {
    let (home, [_, bytes, _]) = home(echo());
    let stop = Arc::new(AtomicBool::new(false));
    let Upgraded {
        mut old,
        mut new,
        client,
    } = replaced(&home, faults, || {
        let stream = connected(bytes);
        let reader = BufReader::new(stream.try_clone().expect("descriptors are left"));
        numbers(stream, reader, Arc::clone(&stop))
    });
    assert_eq!(old.code(), None, "{faults:?}");

    stop.store(true, Relaxed);

    assert!(client.join().expect("nothing was lost") > 0, "{faults:?}");
    assert!(!new.has_ended(), "{faults:?}");
}

fn a_begun_request_survives(faults: Faults) {
    let (home, [http, ..]) = home(echo());
    let Upgraded {
        mut old,
        new: _new,
        mut client,
    } = replaced(&home, faults, || {
        let mut client = connected(http);
        client.write_all(b"GET /be").expect("it is open");
        client
    });
    assert_eq!(old.code(), None, "{faults:?}");

    let rest = client.write_all(b"gun HTTP/1.1\r\nhost: a\r\n\r\n");

    rest.expect("it is open");
    let mut client = KeptAlive::over(client);
    client.hear("/begun");
    client.ask();
}

#[test]
fn whatever_becomes_of_a_message_the_connection_goes_on() {
    let old = |fault| [Some(fault), None];
    let new = |fault| [None, Some(fault)];
    // Those first that take long.
    let all = [
        old("send:pledge:lose"),
        old("send:connection:lose"),
        new("send:held:lose"),
        old("send:release:lose"),
        old("send:done:lose"),
        old("send:pledge:repeat"),
        old("send:connection:cut"),
        old("send:connection:delay"),
        old("send:connection:garble"),
        old("send:connection:repeat"),
        old("send:connection:sleep"),
        old("send:connection:version"),
        new("send:held:cut"),
        new("send:held:delay"),
        new("send:held:garble"),
        new("send:held:repeat"),
        new("send:held:sleep"),
        new("send:held:version"),
        old("send:release:delay"),
        old("send:release:repeat"),
        old("send:release:sleep"),
        old("send:done:garble"),
        old("send:done:repeat"),
    ];
    for some in all.chunks(all.len().div_ceil(2)) {
        thread::scope(|scope| {
            for faults in some {
                scope.spawn(|| goes_on(*faults));
            }
        });
    }
}

fn goes_on(faults: Faults) {
    let (_home, upgraded) = relaying(faults);
    let Upgraded {
        mut old,
        mut new,
        mut client,
    } = upgraded;
    old.says_part("[reconfigure] moved ");

    let served = client.exchange().and_then(|()| client.finish());
    assert!(served.is_ok(), "{faults:?}: {served:?}");
    assert_eq!(old.code(), Some(0), "{faults:?}");
    assert!(!new.has_ended(), "{faults:?}");
}

#[test]
fn what_the_predecessor_has_taken_back_is_not_the_successor_s_when_it_dies() {
    let (_home, upgraded) = relaying([None, Some("send:held:garble")]);
    let Upgraded {
        mut old,
        mut new,
        mut client,
    } = upgraded;
    new.says_part("0 connections have come, and no more can");
    client.exchange().expect("it is the predecessor's");

    old.signal(Signal::SIGKILL);

    assert_eq!(old.code(), None);
    client.sees_its_end();
}
