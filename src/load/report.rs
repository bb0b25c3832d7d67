//! The report, in the layout of sofaload and h2load.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::plan::{Pace, Plan};
use super::spread::Spread;
use super::tally::{Tally, Trouble};
use super::target::Protocol;
use super::units::{size, time};

/// The quantiles of a report, in percent.
pub(super) const QUANTILES: [f64; 5] = [50.0, 75.0, 90.0, 95.0, 99.0];

/// The statuses of Bolt, in the lines of sofaload.
const SOFARPC: [&[(u16, &str)]; 4] = [
    &[
        (0, "success"),
        (1, "error"),
        (2, "server exception"),
        (3, "unknown"),
    ],
    &[
        (4, "server threadpool busy"),
        (5, "error comm"),
        (6, "no processor"),
        (7, "timeout"),
    ],
    &[
        (8, "client send error"),
        (9, "codec exception"),
        (16, "connection closed"),
        (17, "server serial exception"),
    ],
    &[(18, "server deserial exception")],
];

/// What came of `plan`, for people and for scripts that read h2load's reports.
pub(crate) fn report(plan: &Plan, tally: &Tally) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_report(&mut text, plan, tally);
    text
}

/// Requests that were to be sent and count.
pub(super) fn wanted(plan: &Plan, tally: &Tally) -> u64 {
    match plan.pace {
        Pace::Open {
            per_second,
            requests,
        } => {
            let before = per_second as f64 * plan.warm_up.as_secs_f64();
            requests - (before as u64).min(requests)
        }
        Pace::Closed {
            requests: Some(requests),
            lasts: None,
        } => requests,
        Pace::Closed { .. } => tally.started,
    }
}

/// A second of `tally`, of so many.
pub(super) fn per_second(tally: &Tally, many: u64) -> f64 {
    match tally.lasted.as_secs_f64() {
        seconds if seconds > 0.0 => many as f64 / seconds,
        _ => 0.0,
    }
}

fn write_report(out: &mut String, plan: &Plan, tally: &Tally) -> std::fmt::Result {
    let lasted = time(tally.lasted.as_nanos() as f64);
    let (rate, bytes) = (tally.done(), tally.traffic.total);
    let (rate, bytes) = (per_second(tally, rate), per_second(tally, bytes));
    writeln!(
        out,
        "\nfinished in {lasted}, {rate:.2} req/s, {}B/s",
        size(bytes)
    )?;
    writeln!(
        out,
        "requests: {} total, {} started, {} done, {} succeeded, {} failed, {} errored, {} timeout",
        wanted(plan, tally),
        tally.started,
        tally.done(),
        tally.succeeded,
        tally.failed(),
        tally.errored(),
        tally.of(Trouble::Timeout)
    )?;
    write_statuses(out, plan.target.protocol, &tally.statuses)?;
    write_troubles(out, tally)?;
    let traffic = tally.traffic;
    writeln!(
        out,
        "traffic: {}B ({}) total, {}B ({}) headers (space savings 0.00%), {}B ({}) data",
        size(traffic.total as f64),
        traffic.total,
        size(traffic.head as f64),
        traffic.head,
        size(traffic.data as f64),
        traffic.data
    )?;
    write_spreads(out, tally)?;
    writeln!(out, "\n  Latency  Distribution")?;
    for percent in QUANTILES {
        let value = time(tally.quantile(percent));
        writeln!(out, "   {percent:.0}%{value:>13}")?;
    }
    Ok(())
}

fn write_statuses(
    out: &mut String,
    protocol: Protocol,
    statuses: &BTreeMap<u16, u64>,
) -> std::fmt::Result {
    match protocol {
        Protocol::Http => {
            let class = |first| statuses.range(first..first + 100).map(|(_, n)| n).sum();
            let [ok, moved, client, server]: [u64; 4] = [200, 300, 400, 500].map(class);
            writeln!(
                out,
                "status codes: {ok} 2xx, {moved} 3xx, {client} 4xx, {server} 5xx"
            )
        }
        Protocol::Sofarpc => {
            writeln!(out, "sofaRPC status codes: ")?;
            for line in SOFARPC {
                let named = line.iter().map(|(status, name)| {
                    let count = statuses.get(status).copied().unwrap_or(0);
                    format!("{count} {name}")
                });
                writeln!(out, "\t{}", named.collect::<Vec<_>>().join(", "))?;
            }
            Ok(())
        }
        // Bytes have no status.
        Protocol::Tcp => Ok(()),
    }
}

/// What sofaload has no line for; so there is none unless something went wrong.
fn write_troubles(out: &mut String, tally: &Tally) -> std::fmt::Result {
    let mut troubles: Vec<_> = tally
        .reasons()
        .map(|(trouble, count)| format!("{count} {trouble}"))
        .collect();
    if tally.late > 0 {
        troubles.push(format!("{} answers too late or twice", tally.late));
    }
    if tally.failed_connects > 0 {
        troubles.push(format!("{} connects failed", tally.failed_connects));
    }
    if !troubles.is_empty() {
        writeln!(out, "troubles: {}", troubles.join(", "))?;
    }
    match &tally.first_bad {
        Some(bad) => writeln!(out, "first bad answer: {bad}"),
        None => Ok(()),
    }
}

fn write_spreads(out: &mut String, tally: &Tally) -> std::fmt::Result {
    writeln!(
        out,
        "                     min         max         mean         sd        +/- sd"
    )?;
    let connects: Spread = tally.connects.iter().copied().collect();
    let rates: Spread = tally.rates.iter().copied().collect();
    let plain = |figure: f64| format!("{figure:.2}");
    for (name, spread, within, unit) in [
        (
            "time for request: ",
            &tally.latency,
            tally.within(),
            &time as &dyn Fn(f64) -> String,
        ),
        (
            "time for connect: ",
            &connects,
            connects.within(tally.connects.iter().copied()),
            &time,
        ),
        (
            "req/s           : ",
            &rates,
            rates.within(tally.rates.iter().copied()),
            &plain,
        ),
    ] {
        writeln!(
            out,
            "{name}{:>10}  {:>10}  {:>10}  {:>10}{within:>9.2}%",
            unit(spread.least()),
            unit(spread.most()),
            unit(spread.mean()),
            unit(spread.deviation()),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::plan::Ask;
    use super::super::speech::Answer;
    use super::super::target::Target;
    use super::*;

    fn plan(target: &str) -> Plan {
        Plan {
            target: Target::parse(target).unwrap(),
            address: "127.0.0.1:1".parse().unwrap(),
            threads: 1,
            connections: 2,
            streams: 1,
            pace: Pace::Open {
                per_second: 100,
                requests: 250,
            },
            warm_up: Duration::from_millis(500),
            timeout: Duration::from_secs(1),
            ask: Ask::default(),
        }
    }

    fn tally(answers: u64) -> Tally {
        let mut tally = Tally {
            started: answers,
            lasted: Duration::from_secs(2),
            connects: vec![4_000.0, 38_000.0],
            rates: vec![9.5, 10.5],
            ..Tally::default()
        };
        let answer = Answer {
            status: 200,
            good: true,
            total: 1264,
            head: 20,
            data: 1244,
            ..Answer::default()
        };
        for _ in 0..answers {
            tally.answered(&answer, Duration::from_micros(217));
        }
        tally
    }

    #[test]
    fn a_report_has_the_lines_of_h2load() {
        let text = report(&plan("http://a"), &tally(200));
        let expected = "
finished in 2.00s, 100.00 req/s, 123.44KB/s
requests: 200 total, 200 started, 200 done, 200 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 200 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 246.88KB (252800) total, 3.91KB (4000) headers (space savings 0.00%), 242.97KB (248800) data
                     min         max         mean         sd        +/- sd
time for request:      217us       217us       217us         0us   100.00%
time for connect:        4us        38us        21us        24us   100.00%
req/s           :       9.50       10.50       10.00        0.71   100.00%

  Latency  Distribution
   50%        217us
   75%        217us
   90%        217us
   95%        217us
   99%        217us
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_report_of_rpc_has_the_lines_of_sofaload() {
        let mut tally = tally(0);
        let answer = |status| Answer {
            status,
            good: status == 0,
            ..Answer::default()
        };
        for status in [0, 0, 7, 18] {
            tally.answered(&answer(status), Duration::ZERO);
        }
        let text = report(&plan("sofarpc://a:1"), &tally);
        let expected = "
sofaRPC status codes: \n\t2 success, 0 error, 0 server exception, 0 unknown
\t0 server threadpool busy, 0 error comm, 0 no processor, 1 timeout
\t0 client send error, 0 codec exception, 0 connection closed, 0 server serial exception
\t1 server deserial exception
traffic: ";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn what_went_wrong_is_told_by_kind() {
        let mut tally = tally(1);
        tally.started = 9;
        tally.troubled(Trouble::Refused, 3);
        tally.troubled(Trouble::Timeout, 2);
        tally.late = 1;
        tally.first_bad = Some("no".to_owned());
        let text = report(&plan("tcp://a:1"), &tally);
        for line in [
            "requests: 200 total, 9 started, 6 done, 1 succeeded, 5 failed, 3 errored, 2 timeout\n",
            "troubles: 3 connect refused, 2 timeout, 1 answers too late or twice\n",
            "first bad answer: no\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn of_nothing_there_is_a_report_too() {
        let text = report(&plan("tcp://a:1"), &Tally::default());
        assert!(text.contains("finished in 0us, 0.00 req/s, 0B/s"), "{text}");
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }
}
