//! Upgrades in a row under every kind of load, and what clients lose by them: nothing. Connections
//! that a client keeps are the same ones at the end.
//!
//! `UPGRADES=100` makes so many instead of a few, and `BANYAN=FILE` takes another build of the
//! program.

mod load;
mod running;

use std::time::{Duration, Instant};

use load::{Load, Origins, table};
use running::{Home, Taken};

/// Between two upgrades there is a time without, to compare with.
const BETWEEN: Duration = Duration::from_millis(500);

fn upgrades() -> usize {
    let asked = std::env::var("UPGRADES").ok();
    asked.map_or(3, |text| text.parse().expect("it is a number"))
}

#[test]
fn upgrades_in_a_row_lose_nothing() {
    let home = Home::new(Origins::start());
    let mut process = home.started();
    let load = Load::on(home.front());
    let mut spans = vec![];
    let mut first: Option<Taken> = None;
    let mut last = None;
    for done in 1..=upgrades() {
        std::thread::sleep(BETWEEN);
        let from = Instant::now();
        let successor = home.started();
        process.leaves();
        spans.push((from, Instant::now()));
        process = successor;
        let taken = process.takes(&home);
        if done % 10 == 0 {
            println!("{done} upgrades, the process has {taken}");
        }
        first.get_or_insert_with(|| taken.clone());
        last = Some(taken);
    }
    std::thread::sleep(BETWEEN);
    let sums = load.ends();
    process.stops();
    let (first, last) = (
        first.expect("there were some"),
        last.expect("there were some"),
    );
    println!("{}", table(&sums, &spans));
    println!("after the first: {first}\nafter the last:  {last}");
    println!("{}", lengths(&spans));
    for (kind, tally) in &sums {
        assert!(tally.done > 0, "{kind}");
        assert_eq!(tally.failed, 0, "{kind}: {:?}", tally.faults);
        assert_eq!(tally.reconnected, 0, "{kind}");
    }
    last.is_no_more_than(&first);
}

/// How long upgrades took, in words.
fn lengths(spans: &[(Instant, Instant)]) -> String {
    let mut lengths: Vec<_> = spans.iter().map(|(from, to)| *to - *from).collect();
    lengths.sort_unstable();
    let (count, median, longest) = (
        lengths.len(),
        lengths[lengths.len() / 2],
        lengths[lengths.len() - 1],
    );
    format!(
        "{count} upgrades, each from the start of a process: median {median:?}, longest {longest:?}"
    )
}
