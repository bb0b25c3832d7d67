//! Circuit breakers are exact: the counters of a cluster's limits under every order in which threads
//! may meet, and every value that relaxed loads may see.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use limits::{Limits, Permit};
use loom::thread;

/// What the limits count with here; std's in the library.
mod atomic {
    pub(crate) use loom::sync::atomic::AtomicU64;
    pub(crate) use loom::sync::atomic::Ordering::Relaxed;
}

#[expect(dead_code, reason = "the library uses the rest")]
#[expect(unreachable_pub, reason = "it is public in the library")]
#[path = "../src/cluster/limits.rs"]
mod limits;

/// Runs `take` on so many threads at once; the permits that were granted.
fn contended(
    limits: &Arc<Limits>,
    threads: usize,
    take: fn(&Arc<Limits>) -> Option<Permit>,
) -> Vec<Permit> {
    let takers: Vec<_> = (0..threads)
        .map(|_| {
            let limits = Arc::clone(limits);
            thread::spawn(move || take(&limits))
        })
        .collect();
    let permits = takers.into_iter().filter_map(|taker| taker.join().unwrap());
    permits.collect()
}

#[test]
fn no_order_of_threads_grants_more_than_the_maximum_nor_less() {
    loom::model(|| {
        let limits = Arc::new(Limits::default());
        let granted = contended(&limits, 3, |limits| limits.request(Some(2)));
        assert_eq!(granted.len(), 2);
        assert_eq!((limits.requests(), limits.requests_refused()), (2, 1));
        drop(granted);
        assert_eq!(limits.requests(), 0);
    });
}

#[test]
fn nobody_sees_more_than_the_maximum_while_permits_come_and_go() {
    loom::model(|| {
        let limits = Arc::new(Limits::default());
        let takers: Vec<_> = (0..2)
            .map(|_| {
                let limits = Arc::clone(&limits);
                thread::spawn(move || drop(limits.connection(Some(1))))
            })
            .collect();
        assert!(limits.connections() <= 1);
        takers.into_iter().for_each(|taker| taker.join().unwrap());
        assert_eq!(limits.connections(), 0);
        assert!(limits.connection(Some(1)).is_some());
    });
}

#[test]
fn each_retry_that_was_granted_is_counted_once() {
    loom::model(|| {
        let limits = Arc::new(Limits::default());
        let granted = contended(&limits, 2, |limits| limits.retry(Some(1)));
        assert_eq!(granted.len(), 1);
        assert_eq!((limits.retries(), limits.retries_begun()), (1, 1));
    });
}
