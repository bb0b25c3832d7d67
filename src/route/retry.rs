//! Whether a request is tried again.

use crate::config::{RetryOn, RetryPolicy};

/// How a try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With a response of this status, nothing of which has gone downstream.
    Status(u16),
    /// Nothing was sent: no connection was made.
    ConnectFailed,
    /// The connection ended, or brought no response, before a response began.
    Reset(Reuse),
    /// The try took too long.
    TryTimedOut,
    /// The request took too long.
    GlobalTimedOut,
    /// The cluster carries as much as it may.
    Overflow,
}

/// Whether the connection of a try had served a request before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// It was made for this try.
    Fresh,
    /// The upstream may have closed it while it was idle, before this request came.
    Reused,
}

/// Whether a request may be sent twice though a host may have carried it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// Its method is idempotent, or no byte of it was sent.
    Safe,
    /// It is neither.
    Unsafe,
}

impl Replay {
    /// What the method says (RFC 9110 section 9.2.2) of a request of which something was sent.
    #[must_use]
    pub fn of(method: &[u8]) -> Self {
        match method {
            b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE" => Self::Safe,
            _ => Self::Unsafe,
        }
    }
}

/// What follows from a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Another try, at another host if there is one.
    Again,
    /// The outcome stands.
    Done,
}

/// Whether there is another try after `tries_made`, the first one counted.
///
/// A failure to connect is always tried again. So is a connection that ended before a response
/// began, if the request is safe to send twice: a host that restarts costs no such request. A
/// policy of failures adds statuses and tries that timed out; of these, a request that is not safe
/// to send twice is tried again only for a status that the policy names: there a host has said that
/// it failed, and the policy that this is to be tried again. Whoever can no longer send the
/// request's body does not ask.
#[must_use]
pub fn again(policy: &RetryPolicy, outcome: Outcome, tries_made: u32, replay: Replay) -> Retry {
    let wanted = match (outcome, &policy.on) {
        (Outcome::ConnectFailed, _) => true,
        (Outcome::Reset(_), _) => replay == Replay::Safe,
        (Outcome::Status(status), RetryOn::Failures(statuses)) => match &**statuses {
            [] => status >= 500 && replay == Replay::Safe,
            statuses => statuses.contains(&status),
        },
        (Outcome::TryTimedOut, RetryOn::Failures(_)) => replay == Replay::Safe,
        (Outcome::GlobalTimedOut | Outcome::Overflow, _) | (_, RetryOn::ConnectFailure) => false,
    };
    match wanted && tries_made <= policy.retries {
        true => Retry::Again,
        false => Retry::Done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(on: RetryOn) -> RetryPolicy {
        RetryPolicy {
            on,
            retries: 2,
            try_timeout: None,
        }
    }

    #[test]
    fn the_policy_and_the_request_say_what_is_tried_again() {
        use Outcome::{ConnectFailed, GlobalTimedOut, Overflow, Reset, Status, TryTimedOut};
        use Replay::{Safe, Unsafe};
        let connect = || RetryOn::ConnectFailure;
        let failures = |statuses: &[u16]| RetryOn::Failures(statuses.to_vec());
        // Whether a safe request is tried again, and one that is not.
        for (on, outcome, safe, unsafe_) in [
            (connect(), ConnectFailed, true, true),
            (connect(), Reset(Reuse::Reused), true, false),
            (connect(), Reset(Reuse::Fresh), true, false),
            (connect(), TryTimedOut, false, false),
            (connect(), Status(503), false, false),
            (connect(), Overflow, false, false),
            (failures(&[]), ConnectFailed, true, true),
            (failures(&[]), Reset(Reuse::Reused), true, false),
            (failures(&[]), Reset(Reuse::Fresh), true, false),
            (failures(&[]), TryTimedOut, true, false),
            (failures(&[]), GlobalTimedOut, false, false),
            (failures(&[]), Overflow, false, false),
            (failures(&[]), Status(500), true, false),
            (failures(&[]), Status(499), false, false),
            (failures(&[404, 503]), Status(404), true, true),
            (failures(&[404, 503]), Status(500), false, false),
        ] {
            let policy = policy(on);
            for (replay, expected) in [(Safe, safe), (Unsafe, unsafe_)] {
                let found = again(&policy, outcome, 1, replay) == Retry::Again;
                assert_eq!(found, expected, "{policy:?} {outcome:?} {replay:?}");
            }
        }
    }

    #[test]
    fn there_are_as_many_tries_after_the_first_as_the_policy_says() {
        let tries = |retries, made| {
            let policy = RetryPolicy {
                retries,
                ..RetryPolicy::default()
            };
            again(&policy, Outcome::ConnectFailed, made, Replay::Safe)
        };
        assert_eq!(tries(0, 1), Retry::Done);
        assert_eq!(tries(2, 2), Retry::Again);
        assert_eq!(tries(2, 3), Retry::Done);
    }

    #[test]
    fn only_idempotent_methods_are_safe_to_send_twice() {
        assert_eq!(Replay::of(b"PUT"), Replay::Safe);
        for method in [&b"POST"[..], b"PATCH", b"CONNECT", b"get", b""] {
            assert_eq!(Replay::of(method), Replay::Unsafe);
        }
    }
}
