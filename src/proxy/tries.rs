//! How often and for how long a request is tried, whatever it speaks.

use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::Permit;
use crate::config::RetryPolicy;
use crate::route::{Flags, Outcome, Replay, Retry, Timeouts, again};
use crate::upstream::Picked;

/// The tries of one request.
pub(super) struct Tries {
    pub(super) timeouts: Timeouts,
    /// When the request as a whole is given up; set when it has first gone out wholly.
    pub(super) deadline: Option<Instant>,
    /// So far, the present one included.
    pub(super) made: u32,
    /// Held while a retry is under way.
    retry: Option<Permit>,
}

impl Tries {
    /// None yet.
    pub(super) fn within(timeouts: Timeouts) -> Self {
        Self {
            timeouts,
            deadline: None,
            made: 0,
            retry: None,
        }
    }

    /// The request as a whole has its time from now on, unless that has begun before.
    pub(super) fn begin(&mut self, now: Instant) {
        if self.deadline.is_none() {
            self.deadline = self.timeouts.global.and_then(|all| now.checked_add(all));
        }
    }

    /// How long a try that begins now may take, and what it means when it takes longer.
    pub(super) fn limit(&self, now: Instant) -> Option<(Instant, Duration, Outcome)> {
        let whole = self.deadline.zip(self.timeouts.global);
        let whole = whole.map(|(at, after)| (at, after, Outcome::GlobalTimedOut));
        let one = self.timeouts.per_try;
        let one = one.map(|after| (now + after, after, Outcome::TryTimedOut));
        whole.into_iter().chain(one).min_by_key(|(at, ..)| *at)
    }

    /// Whether the request goes to another host, now that this try ended so. If so, there is room
    /// for the retry; that there is none is noted in `flags`.
    pub(super) fn go_on(
        &mut self,
        policy: &RetryPolicy,
        picked: &Picked,
        (outcome, replay): (Outcome, Replay),
        flags: &mut Flags,
    ) -> bool {
        self.retry = None;
        if again(policy, outcome, self.made, replay) == Retry::Done {
            return false;
        }
        let (limits, most) = (&picked.limits, picked.settings.limits.retries);
        self.retry = match outcome {
            Outcome::ConnectFailed => limits.retry_unsent(most),
            _ => limits.retry(most),
        };
        if self.retry.is_none() {
            *flags |= Flags::OVERFLOW;
        }
        self.retry.is_some()
    }
}
