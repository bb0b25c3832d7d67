//! What a log record costs the thread that logs it: `cargo bench --bench log`.

#![expect(clippy::print_stdout, reason = "a bench reports on stdout")]

use std::time::{Duration, Instant};

use banyan::telemetry::log::{Format, Options, Output, start};
use slog::{FilterLevel, Logger, debug, info, o};

/// Records in a row: fewer than the queue holds, so that none is dropped.
const BURST: u32 = 4000;
const BURSTS: u32 = 50;

fn main() {
    let directory = std::env::temp_dir().join(format!("banyan-bench-log-{}", std::process::id()));
    for format in [Format::Mosn, Format::Json] {
        let (logger, handle) = start(Options {
            format,
            level: FilterLevel::Info,
            output: Output::File(directory.join("bench.log")),
            ..Options::default()
        })
        .expect("the temporary directory is writable");
        let logger = logger.new(o!("listener" => "ingress"));

        let burst = nanoseconds(&logger, |logger| {
            info!(logger, "connection closed"; "tag" => "proxy", "connection" => 12_345_u64,
                "bytes" => 1_048_576_u64);
        });
        let disabled = nanoseconds(&logger, |logger| debug!(logger, "unseen"; "a" => 1));
        println!(
            "{format:?}: {burst} ns a record, {disabled} ns a disabled one, {} dropped",
            handle.dropped()
        );
        let _closed = handle.close(Duration::from_secs(5));
    }
    std::fs::remove_dir_all(directory).expect("the directory was made above");
}

/// Median over bursts of the nanoseconds that one record takes.
fn nanoseconds(logger: &Logger, record: impl Fn(&Logger)) -> u32 {
    let mut bursts: Vec<_> = (0..BURSTS)
        .map(|_| {
            let begun = Instant::now();
            for _ in 0..BURST {
                record(logger);
            }
            let taken = begun.elapsed();
            // The writer empties the queue meanwhile.
            std::thread::sleep(Duration::from_millis(20));
            taken / BURST
        })
        .collect();
    bursts.sort_unstable();
    bursts[bursts.len() / 2].subsec_nanos()
}
