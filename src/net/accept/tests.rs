use std::io::Read;
use std::net::TcpStream;
use std::process::Command;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::time::timeout;

use super::*;
use crate::config::Address;
use crate::net::bind;

fn acceptor() -> (Acceptor, SocketAddr) {
    let listening = bind(&Address::Tcp(([127, 0, 0, 1], 0).into()), 1)
        .unwrap()
        .remove(0);
    let Address::Tcp(address) = *listening.address() else {
        panic!("bound to TCP");
    };
    (Acceptor::new(listening).unwrap(), address)
}

#[tokio::test]
async fn a_connection_is_accepted_with_its_peer_address() {
    let (mut acceptor, address) = acceptor();
    let client = TcpStream::connect(address).unwrap();
    let accepted = acceptor.accept().await.unwrap();
    assert_eq!(accepted.peer, Some(client.local_addr().unwrap()));
    assert_eq!(accepted.stream.local_address().unwrap(), Some(address));
}

#[tokio::test]
async fn over_a_unix_socket_the_peer_has_no_address() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.sock");
    let listening = bind(&Address::Unix(path.clone()), 1).unwrap().remove(0);
    let mut acceptor = Acceptor::new(listening).unwrap();
    let _client = std::os::unix::net::UnixStream::connect(&path).unwrap();
    assert_eq!(acceptor.accept().await.unwrap().peer, None);
}

#[test]
fn an_error_of_accept_calls_for_one_of_four_things() {
    for (errno, refusal) in [
        (Errno::EAGAIN, Refusal::Empty),
        (Errno::ECONNABORTED, Refusal::Retry),
        (Errno::EINTR, Refusal::Retry),
        (Errno::EPROTO, Refusal::Retry),
        (Errno::EHOSTUNREACH, Refusal::Retry),
        (Errno::EMFILE, Refusal::Exhausted),
        (Errno::ENFILE, Refusal::Exhausted),
        (Errno::ENOBUFS, Refusal::Exhausted),
        (Errno::ENOMEM, Refusal::Exhausted),
        (Errno::EBADF, Refusal::Fatal),
        (Errno::EINVAL, Refusal::Fatal),
    ] {
        assert_eq!(Refusal::of(&errno.into()), refusal, "{errno}");
    }
    assert_eq!(Refusal::of(&io::Error::other("no errno")), Refusal::Fatal);
}

/// Runs an ignored test of this file in a process of its own, whose limits it may change.
fn run_alone(test: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", test])
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && stdout.contains("1 passed"),
        "{stdout}"
    );
}

#[test]
fn out_of_descriptors_clients_wait_and_are_accepted_when_there_are_some() {
    run_alone("net::accept::tests::shortage_that_passes");
}

#[test]
fn a_long_shortage_turns_clients_away_and_reports_once_a_second() {
    run_alone("net::accept::tests::shortage_that_lasts");
}

/// Takes every descriptor that this process may have.
fn take_all_descriptors() -> Vec<OwnedFd> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 64, hard).unwrap();
    std::iter::from_fn(open_reserve).collect()
}

fn exhausted(result: Result<Accepted, AcceptError>) -> u32 {
    match result {
        Err(AcceptError::Exhausted { shed, .. }) => shed,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
#[ignore = "changes the limits of its process; run by another test"]
async fn shortage_that_passes() {
    let (mut acceptor, address) = acceptor();
    let client = TcpStream::connect(address).unwrap();
    let mut taken = take_all_descriptors();

    assert_eq!(exhausted(acceptor.accept().await), 0);
    let quiet = timeout(Duration::from_millis(900), acceptor.accept()).await;
    assert!(
        quiet.is_err(),
        "no second report within a second: {quiet:?}"
    );
    taken.truncate(taken.len() - 1);

    let accepted = timeout(PAUSE * 2, acceptor.accept())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(accepted.peer, Some(client.local_addr().unwrap()));
}

#[tokio::test(start_paused = true)]
#[ignore = "changes the limits of its process; run by another test"]
async fn shortage_that_lasts() {
    let (mut acceptor, address) = acceptor();
    let mut clients: Vec<_> = (0..5)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let taken = take_all_descriptors();
    let start = Instant::now();

    assert_eq!(exhausted(acceptor.accept().await), 0);
    assert_eq!(exhausted(acceptor.accept().await), 5);

    assert!(start.elapsed() >= REPORT_EVERY);
    for client in &mut clients {
        assert_eq!(client.read(&mut [0]).unwrap(), 0, "turned away");
    }
    // The reserve is there again for the next.
    assert!(acceptor.reserve.is_some());
    drop(taken);
    let _client = TcpStream::connect(address).unwrap();
    acceptor.accept().await.unwrap();
}
