//! What permits grant, and what they do not.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Barrier};
use std::thread;

use super::limits::*;

#[test]
fn a_permit_is_room_until_it_is_dropped() {
    let limits = Arc::new(Limits::default());
    let first = limits.connection(Some(2)).unwrap();
    let _second = limits.connection(Some(2)).unwrap();
    assert!(limits.connection(Some(2)).is_none());
    assert_eq!((limits.connections(), limits.connections_refused()), (2, 1));

    drop(first);

    assert_eq!(limits.connections(), 1);
    assert!(limits.connection(Some(2)).is_some());
}

#[test]
fn what_is_limited_is_counted_apart() {
    let limits = Arc::new(Limits::default());
    let _connection = limits.connection(Some(1)).unwrap();
    let _request = limits.request(Some(1)).unwrap();
    let _retry = limits.retry(Some(1)).unwrap();
    assert!(limits.connection(Some(1)).is_none());
    assert!(limits.request(Some(1)).is_none());
    assert!(limits.retry(Some(1)).is_none());
    let live = (limits.connections(), limits.requests(), limits.retries());
    assert_eq!(live, (1, 1, 1));
    assert_eq!(limits.retries_begun(), 1);
}

#[test]
fn without_a_maximum_there_is_always_room_and_it_is_counted() {
    let limits = Arc::new(Limits::default());
    let permits: Vec<_> = (0..1000).map(|_| limits.request(None).unwrap()).collect();
    assert_eq!(limits.requests(), 1000);
    drop(permits);
    assert_eq!(limits.requests(), 0);
}

#[test]
fn a_lowered_maximum_takes_nothing_back_and_grants_nothing_more() {
    let limits = Arc::new(Limits::default());
    let held: Vec<_> = (0..3).map(|_| limits.request(Some(3)).unwrap()).collect();
    assert!(limits.request(Some(1)).is_none());
    drop(held);
    assert!(limits.request(Some(1)).is_some());
}

#[test]
fn retries_have_a_budget_of_a_fifth_of_the_requests_and_of_ten() {
    for (requests, max, granted) in [
        (0, None, 10),
        (50, None, 10),
        (60, None, 12),
        (100, None, 20),
        (100, Some(5), 5),
        (1, Some(2), 2),
        (100, Some(0), 0),
    ] {
        let limits = Arc::new(Limits::default());
        let _requests: Vec<_> = (0..requests).map(|_| limits.request(None)).collect();
        let retries: Vec<_> = std::iter::from_fn(|| limits.retry(max)).collect();
        assert_eq!(retries.len(), granted, "{requests} requests, {max:?}");
        assert_eq!(limits.retries_begun(), granted as u64);
    }
}

#[test]
fn a_request_that_nobody_has_seen_needs_no_budget() {
    let limits = Arc::new(Limits::default());
    let unsent: Vec<_> = (0..50).filter_map(|_| limits.retry_unsent(None)).collect();
    assert_eq!(unsent.len(), 50);
    assert!(limits.retry_unsent(Some(50)).is_none());
}

#[test]
fn many_threads_never_exceed_a_maximum() {
    const MAX: u64 = 3;
    let limits = Arc::new(Limits::default());
    let inside = AtomicU64::new(0);
    let start = Barrier::new(8);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                start.wait();
                for _ in 0..20_000 {
                    let Some(permit) = limits.connection(Some(MAX)) else {
                        continue;
                    };
                    let others = inside.fetch_add(1, Relaxed);
                    assert!(others < MAX && limits.connections() <= MAX);
                    inside.fetch_sub(1, Relaxed);
                    drop(permit);
                }
            });
        }
    });
    assert_eq!(limits.connections(), 0);
}
