//! What listeners have counted, those that were taken down too.
//!
//! Sums over all listeners must not fall when one goes: whoever reads them takes the difference of
//! two readings, and a sum that falls looks like a process that began anew.

use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{Ordering::Acquire, fence};

use super::Post;
use crate::telemetry::counters::{
    Earlier, HttpCounters, HttpTimes, HttpTotals, ListenerCounters, ListenerTotals,
};
use crate::telemetry::tally::Tally;

/// What was counted downstream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) connections: ListenerTotals,
    pub(crate) requests: HttpTotals,
    pub(crate) times: HttpTimes,
}

impl Counted {
    fn add(&mut self, counters: &[Arc<ListenerCounters>], requests: &[Arc<HttpCounters>]) {
        for counted in counters {
            self.connections += &**counted;
        }
        for counted in requests {
            self.requests += &**counted;
            self.times += &**counted;
        }
    }
}

impl AddAssign<&Earlier> for Counted {
    fn add_assign(&mut self, earlier: &Earlier) {
        self.connections += earlier;
        self.requests += earlier;
        self.times += earlier;
    }
}

impl AddAssign<&Post> for Counted {
    fn add_assign(&mut self, post: &Post) {
        self.add(&post.counters, &post.requests);
        if let Some(earlier) = post.earlier.get() {
            *self += &**earlier;
        }
    }
}

impl Post {
    /// The same by name.
    pub(crate) fn tally(&self) -> Tally {
        Left::of(self).tally()
    }
}

/// What listeners have counted that are no more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Departed {
    /// Of those whose last connections have ended.
    settled: Option<Arc<Earlier>>,
    /// Of those whose connections still count.
    leaving: Vec<Arc<Left>>,
    /// Of those that only an earlier process had.
    earlier: Arc<Earlier>,
}

/// The counters of a listener that was taken down.
#[derive(Debug)]
struct Left {
    counters: Vec<Arc<ListenerCounters>>,
    requests: Vec<Arc<HttpCounters>>,
    earlier: Option<Arc<Earlier>>,
}

impl Left {
    fn of(post: &Post) -> Self {
        Self {
            counters: post.counters.clone(),
            requests: post.requests.clone(),
            earlier: post.earlier.get().cloned(),
        }
    }

    /// Whether nobody else has the counters, so that nobody counts any more.
    fn is_quiet(&self) -> bool {
        let counters = self.counters.iter().all(|one| Arc::strong_count(one) == 1);
        let quiet = counters && self.requests.iter().all(|one| Arc::strong_count(one) == 1);
        // What others have counted before they let go is to be seen.
        fence(Acquire);
        quiet
    }

    fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        self.counters.iter().for_each(|one| tally.count(&**one));
        self.requests.iter().for_each(|one| tally.count(&**one));
        self.earlier.iter().for_each(|one| tally.count(&**one));
        tally
    }
}

impl Departed {
    /// The same after `gone` were taken down too.
    pub(super) fn with(&self, gone: &[Arc<Post>]) -> Self {
        let is_quiet = |left: &&Arc<Left>| left.is_quiet();
        let (quiet, others): (Vec<_>, Vec<_>) = self.leaving.iter().partition(is_quiet);
        let mut leaving: Vec<_> = others.into_iter().cloned().collect();
        leaving.extend(gone.iter().map(|post| Arc::new(Left::of(post))));
        Self {
            settled: self.settled_with(&quiet),
            leaving,
            earlier: Arc::clone(&self.earlier),
        }
    }

    /// A new sum: readers may still have the one before, and `quiet` beside it.
    fn settled_with(&self, quiet: &[&Arc<Left>]) -> Option<Arc<Earlier>> {
        if quiet.is_empty() {
            return self.settled.clone();
        }
        let sum = Earlier::default();
        let before = self.settled.iter().map(|settled| Tally::of(&**settled));
        let quiet = quiet.iter().map(|left| left.tally());
        before.chain(quiet).for_each(|tally| tally.credit(&sum));
        Some(Arc::new(sum))
    }

    /// Takes in what listeners have counted in an earlier process that are not here.
    pub(crate) fn credit(&self, counted: &Tally) {
        counted.credit(&*self.earlier);
    }

    /// What they have counted until now.
    pub(crate) fn total(&self) -> Counted {
        let mut total = Counted::default();
        for left in &self.leaving {
            total.add(&left.counters, &left.requests);
        }
        let left = self.leaving.iter().filter_map(|left| left.earlier.as_ref());
        let earlier = left.chain(&self.settled).chain([&self.earlier]);
        earlier.for_each(|earlier| total += &**earlier);
        total
    }

    /// The same by name.
    pub(crate) fn tally(&self) -> Tally {
        let mut tally = Tally::of(&*self.earlier);
        self.settled.iter().for_each(|one| tally.count(&**one));
        self.leaving
            .iter()
            .for_each(|left| tally.join(&left.tally()));
        tally
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;
    use std::time::Duration;

    use super::*;

    fn left() -> Left {
        Left {
            counters: vec![Arc::default(), Arc::default()],
            requests: vec![Arc::default()],
            earlier: None,
        }
    }

    fn leave(departed: &Departed, left: Left) -> Departed {
        let mut next = departed.with(&[]);
        next.leaving.push(Arc::new(left));
        next
    }

    #[test]
    fn what_a_listener_counted_stays_and_goes_on_until_its_last_connection_ends() {
        let first = left();
        let (connection, request) = (
            Arc::clone(&first.counters[1]),
            Arc::clone(&first.requests[0]),
        );
        connection.connections.fetch_add(3, Relaxed);
        connection.closed.fetch_add(2, Relaxed);
        request.begin();
        let mut departed = leave(&Departed::default(), first);
        let total = departed.total();
        assert_eq!(total.connections.connections_total, 3);
        assert_eq!(total.connections.connections_active, 1);
        assert_eq!(total.requests.request_active, 1);

        request.end(200, Duration::from_nanos(9), Duration::from_nanos(1));
        connection.closed.fetch_add(1, Relaxed);
        drop((connection, request));
        let reader = departed.clone();
        for _ in 0..5 {
            departed = leave(&departed, left());
            let total = departed.total();
            assert_eq!(total.connections.connections_total, 3);
            assert_eq!(total.connections.connections_active, 0);
            assert_eq!(
                (total.requests.request_total, total.requests.request_active),
                (1, 0)
            );
            assert_eq!(total.times.request.most(), 9);
        }
        assert_eq!(
            departed.leaving.len(),
            1,
            "those that are quiet are settled"
        );
        assert_eq!(reader.total().connections.connections_total, 3);
    }
}
