//! How long a request may take.

use std::time::Duration;

/// What a timeout of 0 stands for.
const DEFAULT: Duration = Duration::from_secs(60);

/// How long a request may take, from the moment that it was wholly sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// With all its tries; `None` is for ever.
    pub global: Option<Duration>,
    /// One try; `None` is as long as the request.
    pub per_try: Option<Duration>,
}

impl Timeouts {
    /// The route's timeouts, but for what the request itself asks for (`x-mosn-global-timeout` and
    /// `x-mosn-try-timeout`, in milliseconds).
    ///
    /// What is no whole number is ignored. A negative number is for ever, and 0 is 60 s, or for a
    /// try as long as the request. A try that could outlast its request has no timeout of its own.
    #[must_use]
    pub fn of(
        global: Option<Duration>,
        per_try: Option<Duration>,
        asked_global: Option<&[u8]>,
        asked_try: Option<&[u8]>,
    ) -> Self {
        let global = asked_global
            .and_then(milliseconds)
            .unwrap_or(global)
            .map(|global| if global.is_zero() { DEFAULT } else { global });
        let per_try = asked_try
            .and_then(milliseconds)
            .unwrap_or(per_try)
            .filter(|&per_try| !per_try.is_zero() && global.is_none_or(|global| per_try < global));
        Self { global, per_try }
    }
}

/// The outer `None` is no number, the inner one a negative number.
fn milliseconds(text: &[u8]) -> Option<Option<Duration>> {
    let number: i64 = std::str::from_utf8(text.trim_ascii()).ok()?.parse().ok()?;
    Some(u64::try_from(number).ok().map(Duration::from_millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_may_say_how_long_it_takes() {
        let ms = |number: i64| u64::try_from(number).ok().map(Duration::from_millis);
        let none = -1;
        // Route's global and try, the request's global and try; what holds.
        for (route, asked, expected) in [
            ((60_000, none), ("", ""), (60_000, none)),
            ((none, none), ("", ""), (none, none)),
            ((5_000, 1_000), ("", ""), (5_000, 1_000)),
            ((5_000, 5_000), ("", ""), (5_000, none)),
            ((none, 5_000), ("", ""), (none, 5_000)),
            ((5_000, 0), ("", ""), (5_000, none)),
            ((0, none), ("", ""), (60_000, none)),
            ((5_000, 1_000), ("2000", "500"), (2_000, 500)),
            ((5_000, 1_000), ("800", ""), (800, none)),
            ((5_000, 1_000), ("0", "0"), (60_000, none)),
            ((5_000, 1_000), ("-1", "-7"), (none, none)),
            ((5_000, 1_000), ("-1", ""), (none, 1_000)),
            ((5_000, 1_000), ("1s", "5.5"), (5_000, 1_000)),
            ((5_000, 1_000), (" 7000 ", "\u{e4}"), (7_000, 1_000)),
            ((5_000, 1_000), ("99999999999999999999", ""), (5_000, 1_000)),
        ] {
            let header = |text: &'static str| (!text.is_empty()).then_some(text.as_bytes());
            let timeouts = Timeouts::of(ms(route.0), ms(route.1), header(asked.0), header(asked.1));
            let expected = Timeouts {
                global: ms(expected.0),
                per_try: ms(expected.1),
            };
            assert_eq!(timeouts, expected, "{route:?} {asked:?}");
        }
    }
}
