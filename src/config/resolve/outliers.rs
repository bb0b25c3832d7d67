//! `outlier_detection` and `panic_threshold` of a cluster.

use std::time::Duration;

use super::Scope;
use crate::config::diagnostics::Code;
use crate::config::plan::OutlierDetection;
use crate::config::raw::Cursor;

/// Given at all, even empty, it is on.
pub(super) fn outlier_detection(
    cluster: &Cursor<'_>,
    scope: &mut Scope<'_>,
) -> Option<OutlierDetection> {
    let at = cluster
        .get("outlier_detection")
        .filter(|at| !at.is_wrong())?;
    let default = OutlierDetection::default();
    // The table of keys has seen to the range.
    let count = |name: &str, default: u16| {
        let count = at.integer(name);
        count
            .and_then(|(count, _)| u16::try_from(count).ok())
            .unwrap_or(default)
    };
    let percent = at.integer("max_ejection_percent");
    let percent = percent.and_then(|(percent, _)| u8::try_from(percent).ok());
    let base = positive(&at, "base_ejection_time", scope).unwrap_or(default.base_ejection_time);
    Some(OutlierDetection {
        consecutive_5xx: count("consecutive_5xx", default.consecutive_5xx),
        consecutive_gateway_failure: count(
            "consecutive_gateway_failure",
            default.consecutive_gateway_failure,
        ),
        consecutive_local_origin_failure: count(
            "consecutive_local_origin_failure",
            default.consecutive_local_origin_failure,
        ),
        interval: positive(&at, "interval", scope).unwrap_or(default.interval),
        base_ejection_time: base,
        max_ejection_time: longest(&at, base, scope)
            .unwrap_or_else(|| default.max_ejection_time.max(base)),
        max_ejection_percent: percent.unwrap_or(default.max_ejection_percent),
    })
}

/// A duration that must last.
fn positive(at: &Cursor<'_>, name: &str, scope: &mut Scope<'_>) -> Option<Duration> {
    let duration = scope.duration(at, name)?;
    if duration.is_zero()
        && let Some(at) = at.get(name)
    {
        let diagnostic = at.error(Code::OutOfRange, format!("`{name}` cannot be 0"));
        scope.push(
            diagnostic
                .found(at.brief())
                .accepted("a duration above 0, as \"30s\""),
        );
    }
    Some(duration)
}

fn longest(at: &Cursor<'_>, base: Duration, scope: &mut Scope<'_>) -> Option<Duration> {
    let longest = positive(at, "max_ejection_time", scope)?;
    if !longest.is_zero()
        && longest < base
        && let Some(at) = at.get("max_ejection_time")
    {
        let message = "the longest ejection is shorter than the first one, `base_ejection_time`";
        let diagnostic = at.error(Code::OutOfRange, message);
        scope.push(
            diagnostic
                .found(at.brief())
                .accepted(format!("a duration of at least {base:?}")),
        );
    }
    Some(longest)
}

/// How many of a hundred hosts must be healthy for the others to be spared.
pub(super) fn panic_threshold(cluster: &Cursor<'_>) -> u8 {
    let threshold = cluster.integer("panic_threshold");
    threshold
        .and_then(|(percent, _)| u8::try_from(percent).ok())
        .unwrap_or(0)
}
