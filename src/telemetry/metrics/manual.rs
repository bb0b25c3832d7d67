//! The catalogue as a page of the manual.

use std::fmt::Write;

use super::object::{Kind, Table};
use super::page::name;
use super::{TABLES, process};

/// The tables of `docs/metrics.md`, as Markdown.
#[must_use]
pub fn manual() -> String {
    let mut text = String::new();
    for table in TABLES {
        let _infallible = writeln!(text, "### {}\n", title(table));
        text.push_str("| Name | Kind | Meaning |\n|---|---|---|\n");
        for metric in table.metrics {
            let name = name(table.kind, metric.key);
            let _infallible = writeln!(
                text,
                "| `{name}` | {} | {} |",
                word(metric.kind),
                metric.help
            );
        }
        text.push('\n');
    }
    text.push_str("### The process\n\n| Name | Kind | Meaning |\n|---|---|---|\n");
    for (name, kind, help) in process::METRICS {
        let _infallible = writeln!(text, "| `{name}` | {} | {help} |", word(kind));
    }
    text
}

/// Every name that may stand on a [`Page`](super::Page), but for those of bound addresses.
#[must_use]
pub fn names() -> Vec<String> {
    let of = |table: &'static Table| table.metrics.iter().map(move |metric| (table.kind, metric));
    let metrics = TABLES.into_iter().flat_map(of);
    let mut names: Vec<_> = metrics
        .flat_map(|(kind, metric)| {
            let name = name(kind, metric.key);
            match metric.kind {
                Kind::Distribution => vec![format!("{name}_min"), format!("{name}_max"), name],
                Kind::Counter | Kind::Gauge => vec![name],
            }
        })
        .chain(process::METRICS.map(|(name, ..)| name.to_owned()))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn title(table: &Table) -> String {
    let labels: Vec<_> = table
        .labels
        .iter()
        .map(|label| format!("`{label}`"))
        .collect();
    format!("`{}`, with {}", table.kind, labels.join(" and "))
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Distribution => "distribution",
    }
}
