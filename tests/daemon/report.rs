//! The run that MOSN's release report shows for least connection, from its file.

#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#[expect(dead_code, reason = "the rest is used by the other tests")]
#[path = "../support/mod.rs"]
mod support;

use nix::sys::signal::Signal;

use crate::home::Home;
use support::{Origin, until, visit};

const COUNT: usize = 1_500;
const AT_ONCE: usize = 100;

/// So many connections wait at the origin that stands for the report's delaying one: more than the
/// others can ever have, as there.
const HELD: usize = 70;

/// Asserts that `visits` is within five standard deviations of `share`.
fn assert_share(visits: u64, share: f64) {
    let count = COUNT as f64;
    let deviation = (count * share * (1.0 - share)).sqrt();
    let off = (visits as f64 - count * share).abs();
    assert!(
        off < 5.0 * deviation,
        "{visits} of {COUNT} are not a share of {share}"
    );
}

#[actix::test]
async fn one_in_nine_connections_meets_the_busy_origin_and_none_fails() {
    let (busy, release) = Origin::holding(HELD).await;
    let origins = [busy, Origin::greeting().await, Origin::greeting().await];
    let home = Home::written(&the_report_s_file(&origins));
    let mut process = home.starting("start");
    process.is_running();
    let sockets = process.sockets();

    let last = async {
        let visits = || origins.iter().map(Origin::visits).sum::<u64>();
        until("every connection arrives", || async {
            visits() == COUNT as u64
        })
        .await;
        release.all().await;
    };
    let (failed, ()) = tokio::join!(visit(process.address(), COUNT, AT_ONCE), last);

    assert_eq!(failed, 0);
    for (origin, share) in origins.iter().zip([1.0, 4.0, 4.0]) {
        assert_share(origin.visits(), share / 9.0);
    }
    until("every connection is closed on both sides", || async {
        process.sockets() == sockets
    })
    .await;
    process.signal(Signal::SIGTERM);
    process.says("drained");
    assert_eq!(process.code(), Some(0));
}

/// The file with nothing but the ports changed.
fn the_report_s_file(origins: &[Origin]) -> String {
    let mut file = include_str!("../../config/least_connection.json").to_owned();
    let mut change = |from: &str, to: &str| {
        assert!(file.contains(from), "{from}");
        file = file.replace(from, to);
    };
    for (port, origin) in (9090..).zip(origins) {
        change(&format!("127.0.0.1:{port}"), &origin.address.to_string());
    }
    change("127.0.0.1:2047", "127.0.0.1:0");
    change("\"port_value\": 34901", "\"port_value\": 0");
    file
}
