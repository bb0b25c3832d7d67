//! The report for programs.

use serde_json::{Map, Value, json};

use super::plan::Plan;
use super::report::{QUANTILES, per_second, wanted};
use super::spread::Spread;
use super::tally::{Tally, Trouble};

/// What came of `plan`: durations in microseconds, sizes in bytes.
pub(crate) fn json(plan: &Plan, tally: &Tally) -> Value {
    let mut quantiles = Map::new();
    for percent in QUANTILES.into_iter().chain([99.9, 99.99]) {
        let value = tally.quantile(percent) / 1e3;
        quantiles.insert(format!("p{percent}"), json!(value));
    }
    let statuses: Map<_, _> = (tally.statuses.iter())
        .map(|(status, count)| (status.to_string(), json!(count)))
        .collect();
    let troubles: Map<_, _> = Trouble::ALL
        .into_iter()
        .map(|trouble| {
            (
                trouble.to_string().replace(' ', "_"),
                json!(tally.of(trouble)),
            )
        })
        .collect();
    let connects: Spread = tally.connects.iter().copied().collect();
    let rates: Spread = tally.rates.iter().copied().collect();
    json!({
        "protocol": plan.target.protocol.to_string(),
        "connections": plan.connections,
        "threads": plan.threads,
        "duration_seconds": tally.lasted.as_secs_f64(),
        "requests_per_second": per_second(tally, tally.done()),
        "bytes_per_second": per_second(tally, tally.traffic.total),
        "requests": {
            "total": wanted(plan, tally), "started": tally.started, "done": tally.done(),
            "succeeded": tally.succeeded, "failed": tally.failed(), "errored": tally.errored(),
            "timeout": tally.of(Trouble::Timeout),
        },
        "statuses": statuses,
        "troubles": troubles,
        "late_answers": tally.late,
        "failed_connects": tally.failed_connects,
        "first_bad_answer": tally.first_bad,
        "traffic": {
            "total": tally.traffic.total, "headers": tally.traffic.head,
            "data": tally.traffic.data,
        },
        "latency_microseconds": spread(&tally.latency, tally.within(), 1e3),
        "quantiles_microseconds": quantiles,
        "connect_microseconds":
            spread(&connects, connects.within(tally.connects.iter().copied()), 1e3),
        "connection_requests_per_second":
            spread(&rates, rates.within(tally.rates.iter().copied()), 1.0),
    })
}

fn spread(spread: &Spread, within: f64, unit: f64) -> Value {
    json!({
        "min": spread.least() / unit, "max": spread.most() / unit, "mean": spread.mean() / unit,
        "sd": spread.deviation() / unit, "within_sd_percent": within,
    })
}
