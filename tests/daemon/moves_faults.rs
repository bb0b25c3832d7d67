//! Moves that go wrong at each of their steps: the connection goes on in one of the two processes, and
//! in one alone.

use std::fs;
use std::io::{BufReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::home::{Home, Process};
use crate::moves::{KeptAlive, connected, head, home, numbers};
use crate::peers::{Client, echo};
use crate::upgrade::starting;

/// What goes wrong in the predecessor, and in the successor.
type Faults<'f> = [Option<&'f str>; 2];

fn armed(home: &Home, fault: Option<&str>) -> Process {
    let fault = fault.map(|fault| ("BANYAN_UPGRADE_FAULT", fault));
    let waits = ("BANYAN_UPGRADE_PROBATION_S", "0");
    let variables: Vec<_> = fault.into_iter().chain([waits]).collect();
    starting(home, &variables)
}

/// A process that runs, and its successor, which has taken over.
fn replaced<C>(
    home: &Home,
    [of_old, of_new]: Faults<'_>,
    client: impl FnOnce() -> C,
) -> Upgraded<C> {
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
fn relaying(faults: Faults<'_>) -> (Home, Upgraded<Client>) {
    let (home, [_, bytes, _]) = home(echo());
    let client = || Client::served(bytes).expect("it accepts");
    let upgraded = replaced(&home, faults, client);
    (home, upgraded)
}

/// The predecessor dies with a connection on its way: before the successor has it, before it hears of
/// that, before and after it says that it lets go, and before it hears that this was heard.
const DEATHS: [Faults<'_>; 6] = [
    [
        Some("send:connection:die"),
        Some("receive:connection:delay"),
    ],
    [Some("receive:held:kill"), None],
    [Some("send:release:kill"), None],
    [Some("send:release:die"), Some("receive:release:delay")],
    [Some("receive:taken:kill"), None],
    [Some("send:done:kill"), None],
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

fn relayed_bytes_survive(faults: Faults<'_>) {
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

fn a_begun_request_survives(faults: Faults<'_>) {
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

/// What becomes of a message that kills nobody.
const KINDS: [&str; 9] = [
    // Those first that take long.
    "lose",
    "sleep",
    "descriptors",
    "delay",
    "cut",
    "full",
    "garble",
    "repeat",
    "version",
];

/// What the predecessor says while connections move; `release` is no message, but written into a
/// pipe, where what would change it is a write that fails.
const OLD: [&str; 5] = ["releases", "moving-shown", "connection", "release", "done"];

/// What the successor answers.
const NEW: [&str; 2] = ["held", "taken"];

/// Each kind at each of these messages, as it is sent, and as it is received by the other process.
fn all(messages: &[&str]) -> Vec<[String; 2]> {
    let each = KINDS
        .iter()
        .flat_map(|kind| messages.iter().map(move |one| (one, kind)));
    each.map(|(message, kind)| {
        [
            format!("send:{message}:{kind}"),
            format!("receive:{message}:{kind}"),
        ]
    })
    .collect()
}

/// Runs each of them, some at a time.
fn each(rows: &[[Option<String>; 2]], run: impl Fn(Faults<'_>) + Sync) {
    const AT_ONCE: usize = 8;
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, Relaxed)) {
                    run(row.each_ref().map(Option::as_deref));
                }
            });
        }
    });
}

#[test]
fn whatever_becomes_of_a_message_the_connection_goes_on() {
    let mut rows = vec![];
    for [sends, receives] in all(&OLD) {
        rows.push([Some(sends), None]);
        if receives.ends_with("sleep") || receives.ends_with("descriptors") {
            rows.push([None, Some(receives)]);
        }
    }
    for [sends, receives] in all(&NEW) {
        rows.push([None, Some(sends)]);
        if receives.ends_with("sleep") || receives.ends_with("descriptors") {
            rows.push([Some(receives), None]);
        }
    }
    each(&rows, goes_on);
}

fn goes_on(faults: Faults<'_>) {
    let (_home, upgraded) = relaying(faults);
    let Upgraded {
        mut old,
        mut new,
        mut client,
    } = upgraded;
    // Where it can be offered to nobody, it stays for as long as its client likes.
    let stays = faults
        .into_iter()
        .flatten()
        .any(|fault| fault.ends_with(":descriptors") || fault == "send:releases:lose");
    if !stays {
        old.says_part("[reconfigure] moved ");
    }

    let served = client.exchange().and_then(|()| client.finish());
    assert!(served.is_ok(), "{faults:?}: {served:?}");
    assert_eq!(old.code(), Some(0), "{faults:?}");
    assert!(!new.has_ended(), "{faults:?}");
}

#[test]
fn whatever_becomes_of_a_refusal_the_connection_stays() {
    let rows = all(&["not_held"]).into_iter();
    let rows: Vec<_> = rows.map(|[sends, _]| [None, Some(sends)]).collect();
    each(&rows, stays);
}

fn stays(faults: Faults<'_>) {
    let (home, [_, bytes, _]) = home(echo());
    let client = || {
        let client = Client::served(bytes).expect("it accepts");
        // Its host is not there any more.
        let text = fs::read_to_string(home.path("conf/mosn.json")).expect("it is ours");
        let mut document: Value = serde_json::from_str(&text).expect("it is JSON");
        document["cluster_manager"]["clusters"][0]["hosts"][0]["address"] = json!("127.0.0.1:9");
        fs::write(home.path("conf/mosn.json"), document.to_string()).expect("it is ours");
        client
    };
    let Upgraded {
        mut old,
        mut new,
        mut client,
    } = replaced(&home, faults, client);

    let served = client.exchange().and_then(|()| client.finish());
    assert!(served.is_ok(), "{faults:?}: {served:?}");
    let (code, said) = old.ends();
    assert_eq!(code, Some(0), "{faults:?}");
    assert!(
        said.contains("[reconfigure] moved 0 connections"),
        "{faults:?}: {said}"
    );
    assert!(!new.has_ended(), "{faults:?}");
}

#[test]
fn whatever_becomes_of_what_was_counted_requests_are_answered() {
    let rows = all(&["moving-counted"]).into_iter();
    let rows: Vec<_> = rows.map(|[sends, _]| [Some(sends), None]).collect();
    each(&rows, is_answered);
}

/// The answer is counted when the other process is in charge, and told to that one.
fn is_answered(faults: Faults<'_>) {
    let (home, [http, ..]) = home(echo());
    let Upgraded {
        mut old,
        mut new,
        mut client,
    } = replaced(&home, faults, || {
        let mut client = BufReader::new(connected(http));
        let request = b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n";
        client.get_mut().write_all(request).expect("it is open");
        client
    });

    // Where nothing moves any more it is told to come again.
    let lines = head(&mut client).expect("it is answered");
    assert!(lines[0].contains("200"), "{faults:?}: {lines:?}");
    let mut body = [0; 5];
    client.read_exact(&mut body).expect("it is answered");
    assert_eq!(&body, b"/slow", "{faults:?}");
    drop(client);
    assert_eq!(old.code(), Some(0), "{faults:?}");
    KeptAlive::on(http).ask();
    assert!(!new.has_ended(), "{faults:?}");
}

#[test]
fn a_successor_that_is_killed_takes_along_what_it_had_taken_and_nothing_else() {
    let before = [
        "receive:releases",
        "receive:moving-shown",
        "receive:connection",
        "send:held",
    ];
    let before = before.map(|step| (format!("{step}:kill"), true));
    let after = [
        "receive:release:kill",
        "send:taken:kill",
        "send:taken:die",
        "receive:done:kill",
    ];
    let after = after.map(|fault| (fault.to_owned(), false));
    thread::scope(|scope| {
        for (fault, is_left) in before.into_iter().chain(after) {
            scope.spawn(move || is_left_by_a_killed_one(&fault, is_left));
        }
    });
}

fn is_left_by_a_killed_one(fault: &str, is_left: bool) {
    let (home, [_, bytes, _]) = home(echo());
    let mut old = armed(&home, None);
    old.says("/logs/mosn.pid");
    let mut client = Client::served(bytes).expect("it accepts");
    let mut new = armed(&home, Some(fault));
    assert_eq!(new.code(), None, "{fault}");

    let served = client.exchange().and_then(|()| client.finish());

    assert_eq!(served.is_ok(), is_left, "{fault}: {served:?}");
    assert_eq!(old.code(), Some(0), "{fault}");
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
