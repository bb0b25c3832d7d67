//! HTTP/1.1 through an embedded proxy: what goes over the wire, byte by byte, and what becomes of
//! requests between scripted peers and real ones.
//!
//! The cases of the first kind are text, in `exchanges/*.txt`; `exchanges/README.md` says how they
//! are written. Each is run as it is written, then with every byte in a write of its own, then cut
//! in two at every place.
//!
//! `EXCHANGES=chunk` runs the cases whose file or name contains the word. `EXCHANGES_AGAINST=haproxy`
//! (or `nginx`) judges that one instead: it shows whether a case is at fault, or only strict.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod balancing;
mod bytes;
mod counting;
#[path = "../support/counts.rs"]
mod counts;
mod early;
mod edits;
mod failing;
mod falling;
mod filters;
mod front;
mod hyper_client;
mod hyper_origin;
mod leaving;
mod limits;
mod logging;
mod play;
mod reloading;
mod reply;
mod restarting;
mod retrying;
mod routing;
mod script;
mod silence;
mod site;
#[allow(dead_code, reason = "shared with tests of TCP")]
#[path = "../support/mod.rs"]
mod support;
mod talk;
mod websocket;
mod wire;

use std::path::Path;

use futures::StreamExt;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::front::{Front, Way};
use crate::play::play;
use crate::script::{Case, parse};
use crate::wire::Lane;

/// Cases being played at the same time.
const AT_ONCE: usize = 48;

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http/exchanges");
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|kind| kind == "txt"));
    files.sort();
    let read = files.iter().flat_map(|file| {
        let name = file.file_stem().unwrap().to_str().unwrap();
        parse(name, &std::fs::read_to_string(file).unwrap()).unwrap_or_else(|error| {
            panic!("{}: {error}", file.display());
        })
    });
    read.collect()
}

/// Plays all cases before one front; what went wrong, a text for each failure.
async fn failures(cases: &[Case], way: Way) -> Vec<String> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let mut lanes = Vec::with_capacity(cases.len());
    for case in cases {
        lanes.push(Lane::open(&case.with).await);
    }
    let front = Front::start(way, &lanes).await;
    let plays = cases.iter().zip(&lanes).zip(&front.addresses);
    let plays = plays.map(|((case, lane), to)| play(case, lane, *to));
    let failures: Vec<_> = futures::stream::iter(plays)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    front.end().await;
    failures.into_iter().flatten().collect()
}

#[actix::test]
async fn every_exchange_goes_as_its_script_says() {
    let wanted = std::env::var("EXCHANGES").unwrap_or_default();
    let way = match std::env::var("EXCHANGES_AGAINST").as_deref() {
        Ok("haproxy") => Way::Haproxy,
        Ok("nginx") => Way::Nginx,
        Ok(other) => panic!("EXCHANGES_AGAINST={other}: haproxy and nginx are known"),
        Err(_) => Way::Http,
    };
    let mut cases = cases();
    cases.retain(|case| case.name.contains(&wanted));
    assert!(!cases.is_empty(), "no case has `{wanted}` in its name");

    let failures = failures(&cases, way).await;

    assert!(
        failures.is_empty(),
        "{}\n{} failures, {} cases",
        failures.join("\n"),
        failures.len(),
        cases.len()
    );
}

#[test]
fn every_case_has_a_name_of_its_own() {
    let cases = cases();
    let mut names: Vec<_> = cases.iter().map(|case| case.name.as_str()).collect();
    names.sort_unstable();
    let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
    assert_eq!(twice, None);
    assert!(names.len() >= 300, "only {} cases", names.len());
}

/// The players are judged by a proxy that is known to work: one of bytes.
mod players {
    use super::*;

    async fn played(script: &str) -> Vec<String> {
        let cases = parse("players", script).unwrap();
        failures(&cases, Way::Tcp).await
    }

    #[actix::test]
    async fn what_passes_unchanged_is_found_unchanged() {
        let failures = played(
            "case both ways\n\
             -> GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n\n\
             the request passes\n\
             <= HTTP/1.1 200 OK\\r\\nContent-Length: 3\\r\\n\\r\\none\n\
             <- HTTP/1.1 \\{line}\\r\\nContent-Length: 3\\r\\n\\r\\none\n\
             client is open\n\
             on the same connection\n\
             a request\n\
             <= HTTP/1.1 400 Bad Request\\r\\nConnection: close\\r\\n\\r\\nsorry\n\
             upstream ends\n\
             client is told 400\n",
        );
        assert_eq!(failures.await, Vec::<String>::new());
    }

    #[actix::test]
    async fn what_differs_is_told_with_the_step_and_both_texts() {
        let failures = played(
            "case another name\n\
             -> GET / HTTP/1.1\\r\\n\\r\\n\n\
             => GET /other HTTP/1.1\\r\\n\\r\\n\n",
        )
        .await;
        let first = failures.first().unwrap();
        for part in ["another name", "line 3", "GET /other", "GET / HTTP"] {
            assert!(first.contains(part), "`{part}` in: {first}");
        }
    }

    #[actix::test]
    async fn bytes_that_no_step_expects_are_a_failure() {
        let failures = played("case forgotten\n-> x\n=> x\n<= yz\n<- y\n").await;
        assert!(failures[0].contains("more than"), "{}", failures[0]);
    }
}
