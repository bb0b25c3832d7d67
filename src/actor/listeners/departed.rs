//! What listeners have counted, those that were taken down too.
//!
//! Sums over all listeners must not fall when one goes: whoever reads them takes the difference of
//! two readings, and a sum that falls looks like a process that began anew.

use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{Ordering::Acquire, fence};

use super::Post;
use crate::telemetry::counters::{
    HttpCounters, HttpTimes, HttpTotals, ListenerCounters, ListenerTotals,
};

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

impl AddAssign<&Post> for Counted {
    fn add_assign(&mut self, post: &Post) {
        self.add(&post.counters, &post.requests);
    }
}

/// What listeners have counted that are no more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Departed {
    /// Of those whose last connections have ended.
    settled: Counted,
    /// Of those whose connections still count.
    leaving: Vec<Arc<Left>>,
}

/// The counters of a listener that was taken down.
#[derive(Debug)]
struct Left {
    counters: Vec<Arc<ListenerCounters>>,
    requests: Vec<Arc<HttpCounters>>,
}

impl Left {
    /// Whether nobody else has the counters, so that nobody counts any more.
    fn is_quiet(&self) -> bool {
        let counters = self.counters.iter().all(|one| Arc::strong_count(one) == 1);
        let quiet = counters && self.requests.iter().all(|one| Arc::strong_count(one) == 1);
        // What others have counted before they let go is to be seen.
        fence(Acquire);
        quiet
    }
}

impl Departed {
    /// The same after `gone` were taken down too.
    pub(super) fn with(&self, gone: &[Arc<Post>]) -> Self {
        let mut settled = self.settled.clone();
        let mut leaving = Vec::with_capacity(self.leaving.len() + gone.len());
        for left in &self.leaving {
            match left.is_quiet() {
                true => settled.add(&left.counters, &left.requests),
                false => leaving.push(Arc::clone(left)),
            }
        }
        leaving.extend(gone.iter().map(|post| {
            Arc::new(Left {
                counters: post.counters.clone(),
                requests: post.requests.clone(),
            })
        }));
        Self { settled, leaving }
    }

    /// What they have counted until now.
    pub(crate) fn total(&self) -> Counted {
        let mut total = self.settled.clone();
        for left in &self.leaving {
            total.add(&left.counters, &left.requests);
        }
        total
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
