//! `retry_policy`: when a request is tried again.

use std::time::Duration;

use super::Scope;
use super::text::status;
use crate::config::diagnostics::Code;
use crate::config::plan::{RetryOn, RetryPolicy};
use crate::config::raw::Cursor;

/// MOSN takes less for so many.
const LEAST_IN_MOSN: i64 = 3;

pub(super) fn retry(
    route: &Cursor<'_>,
    timeout: Option<Duration>,
    scope: &mut Scope<'_>,
) -> RetryPolicy {
    let default = RetryPolicy::default();
    let Some(at) = route.get("retry_policy") else {
        return default;
    };
    let retries = match at.integer("num_retries") {
        None => default.retries,
        Some((number, at)) => {
            if number < LEAST_IN_MOSN {
                let message = "MOSN 1.4 retries three times where less is said";
                scope.push(at.note(Code::DiffersFromMosn, message).found(at.brief()));
            }
            u32::try_from(number).unwrap_or(default.retries)
        }
    };
    let codes = statuses(&at, scope);
    let on = if at.flag("retry_on") {
        RetryOn::Failures(codes)
    } else {
        if let Some(codes) = at.filled("status_codes") {
            let message = "`status_codes` are not looked at unless `retry_on` is true";
            scope.push(codes.note(Code::NoEffect, message));
        }
        RetryOn::ConnectFailure
    };
    RetryPolicy {
        on,
        retries,
        try_timeout: try_timeout(&at, timeout, scope),
    }
}

fn statuses(policy: &Cursor<'_>, scope: &mut Scope<'_>) -> Vec<u16> {
    let mut statuses = Vec::new();
    for at in policy.list("status_codes") {
        let Some(written) = at.as_integer() else {
            continue;
        };
        statuses.extend(status(written, &at, scope));
    }
    statuses
}

fn try_timeout(
    policy: &Cursor<'_>,
    timeout: Option<Duration>,
    scope: &mut Scope<'_>,
) -> Option<Duration> {
    let wanted = scope.duration(policy, "retry_timeout")?;
    if wanted.is_zero() {
        return None;
    }
    if timeout.is_some_and(|timeout| wanted >= timeout) {
        let at = policy.get("retry_timeout")?;
        let message = "`retry_timeout` is not looked at: the whole request has no more time";
        scope.push(at.note(Code::NoEffect, message).found(at.brief()));
        return None;
    }
    Some(wanted)
}
