//! What clients lose when a proxy is replaced again and again: Banyan beside its rivals, under the
//! load of `tests/upgrade`.
#![expect(clippy::print_stdout, reason = "its report is its output")]

#[path = "../../tests/upgrade/load/mod.rs"]
mod load;
mod rivals;
#[expect(dead_code, reason = "the test looks at more of it")]
#[path = "../../tests/upgrade/running.rs"]
mod running;

use std::thread::sleep;
use std::time::{Duration, Instant};

use load::{Load, Origins, Tally, table};
use rivals::{Proxy, RIVALS};

/// From one replacement to the next.
const EVERY: Duration = Duration::from_secs(4);

/// For so long after it began a replacement is one.
const LASTS: Duration = Duration::from_secs(2);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |flag: &str| {
        let at = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(at + 1).cloned()
    };
    let times = value("--times").map_or(10, |text| text.parse().expect("it is a number"));
    let only = value("--peers");
    let wanted = |name: &str| {
        only.as_deref()
            .is_none_or(|only| only.split(',').any(|one| one == name))
    };
    for rival in RIVALS.iter().filter(|rival| wanted(rival.name)) {
        let Some(program) = rivals::find(rival.name) else {
            println!("{} is not installed\n", rival.name);
            continue;
        };
        let origins = Origins::start();
        let proxy = (rival.start)(&program, origins);
        println!("{}: {times} times {}\n", rival.name, rival.how);
        report(proxy, times);
    }
}

fn report(mut proxy: Box<dyn Proxy>, times: usize) {
    let load = Load::on(proxy.front());
    let mut spans = vec![];
    for _ in 0..times {
        sleep(EVERY / 2);
        let from = Instant::now();
        proxy.replace();
        spans.push((from, from + LASTS));
        sleep((EVERY / 2).saturating_sub(from.elapsed()));
    }
    sleep(EVERY);
    let left = proxy.processes();
    let sums = load.ends();
    drop(proxy);
    println!("{}", table(&sums, &spans));
    let sum = |of: fn(&Tally) -> u64| sums.iter().map(|(_, tally)| of(tally)).sum::<u64>();
    println!(
        "together: {} failed, {} connections lost, {left} processes at the end",
        sum(|tally| tally.failed),
        sum(|tally| tally.reconnected),
    );
    let faults = sums.iter().flat_map(|(kind, tally)| {
        let first = tally.faults.first();
        first.map(|fault| format!("{kind}: {fault}"))
    });
    for fault in faults {
        println!("* {fault}");
    }
    println!();
}
