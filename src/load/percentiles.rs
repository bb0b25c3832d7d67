//! The latencies as HdrHistogram writes them, for its plotters.

use std::fmt::Write;

use super::tally::Tally;

/// Lines for each halving of the distance to 100 %.
const TICKS: u32 = 5;

/// Every latency of `tally` in milliseconds, by percentile.
pub(crate) fn percentiles(tally: &Tally) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_percentiles(&mut text, tally);
    text
}

fn write_percentiles(out: &mut String, tally: &Tally) -> std::fmt::Result {
    let latencies = &tally.latencies;
    let (head, unit) = ("TotalCount", 1e6);
    writeln!(
        out,
        "{:>12} {:>14} {head:>10} {:>14}\n",
        "Value", "Percentile", "1/(1-Percentile)"
    )?;
    let most = tally.latency.most() / unit;
    let mut count = 0;
    for step in latencies.iter_quantiles(TICKS) {
        count += step.count_since_last_iteration();
        let value = (step.value_iterated_to() as f64 / unit).min(most);
        let quantile = step.quantile_iterated_to();
        write!(out, "{value:>12.3} {quantile:>2.12} {count:>10}")?;
        match quantile < 1.0 {
            true => writeln!(out, " {:>14.2}", 1.0 / (1.0 - quantile))?,
            false => writeln!(out)?,
        }
    }
    let (mean, deviation) = (
        tally.latency.mean() / unit,
        tally.latency.deviation() / unit,
    );
    writeln!(
        out,
        "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]"
    )?;
    writeln!(
        out,
        "#[Max     = {most:>12.3}, Total count    = {count:>12}]"
    )?;
    let (buckets, values) = (latencies.buckets(), 1u64 << (latencies.sigfig() + 8));
    writeln!(
        out,
        "#[Buckets = {buckets:>12}, SubBuckets     = {values:>12}]"
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::speech::Answer;
    use super::*;

    #[test]
    fn every_latency_is_in_the_distribution() {
        let mut tally = Tally::default();
        for millis in 1..=100 {
            tally.answered(&Answer::default(), Duration::from_millis(millis));
        }
        let text = percentiles(&tally);
        let rows: Vec<Vec<f64>> = text
            .lines()
            .skip(2)
            .take_while(|line| !line.starts_with('#'))
            .map(|line| {
                line.split_whitespace()
                    .map(|word| word.parse().unwrap())
                    .collect()
            })
            .collect();
        assert!(rows.len() > 10, "{text}");
        assert!(
            rows.windows(2).all(|pair| pair[0][0] <= pair[1][0]),
            "{text}"
        );
        let median = rows.iter().find(|row| row[1] == 0.5).unwrap();
        assert!(
            (median[0] - 50.0).abs() < 0.1 && median[2] == 50.0,
            "{text}"
        );
        assert_eq!(rows.last().unwrap()[1..], [1.0, 100.0]);
        assert!(
            text.contains("#[Max     =      100.000, Total count    =          100]"),
            "{text}"
        );
    }
}
