//! The share of its weight that a host has which has just come, or come back.

use std::time::Duration;

use crate::config::SlowStart;

use super::super::{Host, Moment};

/// A host is never younger than this (MOSN).
const YOUNGEST: Duration = Duration::from_secs(1);

/// From `settings.least` up to 1; 1 where nobody noted since when the host works.
pub(super) fn share(settings: &SlowStart, host: &Host, now: Moment) -> f64 {
    let since = host.load().form().works_since();
    if since == Moment::default() {
        return 1.0;
    }
    let age = now.since(since).max(YOUNGEST);
    if age >= settings.window {
        return 1.0;
    }
    let elapsed = age.as_secs_f64() / settings.window.as_secs_f64();
    elapsed.powf(1.0 / settings.aggression).max(settings.least)
}

#[cfg(test)]
mod tests {
    use super::super::super::host::tests::host;
    use super::*;

    fn shares(aggression: f64, ages: &[u64]) -> Vec<f64> {
        let settings = SlowStart {
            window: Duration::from_secs(100),
            aggression,
            least: 0.1,
        };
        let host = host(1, 1);
        let begun = Moment::default().after(Duration::from_secs(1000));
        host.load().form().works(begun);
        let at = |&age: &u64| share(&settings, &host, begun.after(Duration::from_secs(age)));
        ages.iter().map(at).collect()
    }

    #[test]
    fn a_share_grows_from_the_least_to_the_whole() {
        assert_eq!(
            shares(1.0, &[0, 5, 10, 25, 50, 100, 1000]),
            [0.1, 0.1, 0.1, 0.25, 0.5, 1.0, 1.0]
        );
        assert_eq!(shares(2.0, &[0, 25, 64, 100]), [0.1, 0.5, 0.8, 1.0]);
    }

    #[test]
    fn a_host_of_which_nobody_said_anything_has_its_whole_share() {
        let settings = SlowStart {
            window: Duration::from_secs(100),
            aggression: 1.0,
            least: 0.1,
        };
        let now = Moment::default().after(Duration::from_secs(1));
        assert_eq!(share(&settings, &host(1, 1), now), 1.0);
    }
}
