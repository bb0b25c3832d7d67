//! `metrics`: what is told of the counts, and where.

use std::time::Duration;

use super::Scope;
use crate::config::diagnostics::Code;
use crate::config::plan::{Bias, Flush, Meta, Metrics, Process, PrometheusSink, StatsMatcher};
use crate::config::raw::Cursor;

/// Where Prometheus scrapes unless it is said (MOSN 1.4).
const ENDPOINT: &str = "/metrics";

pub(super) fn metrics(top: &Cursor<'_>, scope: &mut Scope<'_>) -> Metrics {
    let memory = scope.memory;
    let Some(at) = top.get("metrics") else {
        return Metrics {
            memory,
            ..Metrics::default()
        };
    };
    shared_memory(&at, scope);
    Metrics {
        prometheus: sinks(&at, scope),
        matcher: matcher(&at),
        meta: match at.flag("flush_mosn") {
            true => Meta::On,
            false => Meta::Off,
        },
        flush: match at.flag("lazy_flush") {
            true => Flush::Used,
            false => Flush::Always,
        },
        memory,
    }
}

/// `ewma_config`: after how long what `LB_PEAK_EWMA` knows counts `1 / e`. It is said either by
/// what is lost in a second, or by what is left after some time (MOSN 1.5).
pub(super) fn memory(top: &Cursor<'_>, scope: &mut Scope<'_>) -> Duration {
    let at = top.get("metrics").and_then(|at| at.filled("ewma_config"));
    let Some(at) = at.filter(|at| !at.is_wrong()) else {
        return Bias::MEMORY;
    };
    let alpha = share(&at, "alpha", scope);
    let target = share(&at, "target", scope);
    let within = scope.duration(&at, "duration");
    let (left, within) = match (alpha, target, within) {
        (Share::Some(alpha), other, _) => {
            if other != Share::Unsaid {
                let message = "`alpha` says all: `target` and `duration` have no effect beside it";
                scope.push(at.note(Code::NoEffect, message));
            }
            (1.0 - alpha, Duration::from_secs(1))
        }
        (Share::Unsaid, Share::Some(target), Some(within)) if !within.is_zero() => (target, within),
        (Share::Wrong, ..) | (_, Share::Wrong, _) => return Bias::MEMORY,
        // What is negative has been told.
        (Share::Unsaid, Share::Some(_), None) if at.filled("duration").is_some() => {
            return Bias::MEMORY;
        }
        (Share::Unsaid, ..) => {
            let message = "how fast it fades is said by `alpha`, or by `target` and `duration`";
            scope.push(at.error(Code::MissingKey, message));
            return Bias::MEMORY;
        }
    };
    let memory = Duration::try_from_secs_f64(within.as_secs_f64() / -left.ln());
    // Shares near 0 and 1 are beyond what a duration can say.
    memory.unwrap_or(Duration::MAX).max(Duration::from_nanos(1))
}

#[derive(Clone, Copy, PartialEq)]
enum Share {
    Unsaid,
    Wrong,
    Some(f64),
}

fn share(at: &Cursor<'_>, name: &str, scope: &mut Scope<'_>) -> Share {
    let Some((share, at)) = at.number(name) else {
        return Share::Unsaid;
    };
    if share > 0.0 && share < 1.0 {
        return Share::Some(share);
    }
    let message = format!("`{name}` is out of range");
    let diagnostic = at.error(Code::OutOfRange, message).found(at.brief());
    scope.push(diagnostic.accepted("a number above 0 and below 1"));
    Share::Wrong
}

/// MOSN counts in shared memory so that a hot upgrade goes on counting.
fn shared_memory(metrics: &Cursor<'_>, scope: &mut Scope<'_>) {
    let named = ["shm_zone", "shm_size"];
    if let Some(at) = named.iter().find_map(|key| metrics.filled(key)) {
        let message = "counts are in the memory of the process and never in a file: a hot upgrade \
                       hands them over without one, and a restart begins them anew";
        scope.push(at.warning(Code::NoEffect, message));
    }
}

fn matcher(metrics: &Cursor<'_>) -> StatsMatcher {
    let Some(at) = metrics.get("stats_matcher") else {
        return StatsMatcher::default();
    };
    let texts = |name: &str| {
        let texts = at.list(name);
        let texts = texts.iter().filter_map(Cursor::as_text);
        texts.map(str::to_owned).collect()
    };
    StatsMatcher {
        reject_all: at.flag("reject_all"),
        exclusion_labels: texts("exclusion_labels"),
        exclusion_keys: texts("exclusion_keys"),
    }
}

/// The first sink that can be one; what is wrong with a sink turns it off and no more, as in MOSN.
fn sinks(metrics: &Cursor<'_>, scope: &mut Scope<'_>) -> Option<PrometheusSink> {
    let mut found = None;
    for at in metrics.list("sinks") {
        let Some((kind, _)) = at.text("type") else {
            scope.push(at.warning(
                Code::MissingKey,
                "a metrics sink needs a `type`; it is turned off",
            ));
            continue;
        };
        if kind != "prometheus" {
            continue;
        }
        let sink = prometheus(&at, scope);
        if found.is_some() && sink.is_some() {
            let message = "only the first metrics sink of a type is served";
            scope.push(at.warning(Code::NoEffect, message));
        }
        found = found.or(sink);
    }
    found
}

fn prometheus(sink: &Cursor<'_>, scope: &mut Scope<'_>) -> Option<PrometheusSink> {
    let config = sink.get("config");
    let config = config.as_ref();
    let port = config.and_then(|config| config.integer("port"));
    let port = port.and_then(|(port, _)| u16::try_from(port).ok());
    if port.is_none()
        && !config.is_some_and(|config| config.get("port").is_some_and(|at| at.is_wrong()))
    {
        let message = "a prometheus sink needs a `port`; it is turned off";
        scope.push(sink.warning(Code::MissingKey, message));
    }
    let endpoint = config.and_then(|config| config.text("endpoint"));
    let endpoint = endpoint.filter(|(endpoint, _)| !endpoint.is_empty());
    if let Some((_, at)) = endpoint.as_ref().filter(|(path, _)| !path.starts_with('/')) {
        let diagnostic = at.warning(
            Code::UnknownValue,
            "an endpoint is a path; the sink is turned off",
        );
        scope.push(
            diagnostic
                .found(at.brief())
                .accepted("a path that begins with `/`"),
        );
        return None;
    }
    let pushed = config.and_then(|config| config.filled("export_url"));
    if let Some(at) = pushed {
        let message = "pushing is not supported, nor is it by MOSN; the sink is turned off";
        scope.push(at.warning(Code::UnknownValue, message).found(at.brief()));
        return None;
    }
    Some(PrometheusSink {
        port: port?,
        endpoint: endpoint
            .map_or(ENDPOINT, |(endpoint, _)| endpoint)
            .to_owned(),
        percentiles: config.map(percentiles).unwrap_or_default(),
        process: match config.is_some_and(|config| config.flag("disable_collect_process")) {
            true => Process::Untold,
            false => Process::Told,
        },
    })
}

/// Each once, ascending.
fn percentiles(config: &Cursor<'_>) -> Vec<u8> {
    let list = config.list("percentiles");
    let numbers = list.iter().filter_map(Cursor::as_integer);
    let mut percentiles: Vec<_> = numbers.filter_map(|n| u8::try_from(n).ok()).collect();
    percentiles.sort_unstable();
    percentiles.dedup();
    percentiles
}
