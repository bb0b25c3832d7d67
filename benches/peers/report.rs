//! What the rounds add up to: Markdown to read, JSON to keep.

use serde_json::{Value, json};

use crate::peers::Part;
use crate::round::{Installed, Sample};
use crate::scenarios::Scenario;

/// One peer's rounds of one scenario.
pub(crate) struct Row<'a> {
    pub(crate) peer: &'a Installed,
    /// Rounds that could be run to their end, also those with failed exchanges.
    pub(crate) samples: Vec<Sample>,
    /// What went wrong, in any round. One is enough to make the row invalid.
    pub(crate) failures: Vec<String>,
    /// System calls per unit, by name, if they were counted.
    pub(crate) calls: Option<Vec<(String, f64)>>,
}

impl Row<'_> {
    /// The values of `figure` over all rounds, in order; none if a round failed.
    fn values(&self, figure: fn(&Sample) -> Option<f64>) -> Vec<f64> {
        if !self.failures.is_empty() {
            return Vec::new();
        }
        let mut values: Vec<f64> = self.samples.iter().filter_map(figure).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    fn median(&self, figure: fn(&Sample) -> Option<f64>) -> Option<f64> {
        let values = self.values(figure);
        let middle = values.len() / 2;
        let upper = *values.get(middle)?;
        Some(if values.len() % 2 == 1 {
            upper
        } else {
            f64::midpoint(values[middle - 1], upper)
        })
    }
}

/// The table of `scenario`, and below it what failed and which system calls were counted.
pub(crate) fn markdown(scenario: &Scenario, rows: &[Row<'_>]) -> String {
    let mut text = format!("\n### {}\n\n{}.\n\n| | ", scenario.name, scenario.about);
    let titles: Vec<_> = scenario.columns.iter().map(|column| column.title).collect();
    text += &titles.join(" | ");
    text += " | least–most | ratio |\n|---";
    text += &"|---:".repeat(titles.len() + 2);
    text += "|\n";
    let compared = scenario.columns[0].value;
    let decimals = scenario.columns[0].decimals;
    let yardstick = yardstick(scenario, rows);
    for row in rows {
        text += &format!("| {}", row.peer.name);
        for column in scenario.columns {
            text += &format!(" | {}", cell(row.median(column.value), column.decimals));
        }
        let spread = match row.values(compared)[..] {
            [least, .., most] => format!("{least:.decimals$}–{most:.decimals$}"),
            _ => "–".to_owned(),
        };
        let ratio = row
            .median(compared)
            .zip(yardstick)
            .map(|(value, best)| value / best);
        text += &format!(" | {spread} | {} |\n", cell(ratio, 2));
    }
    text += &beside(scenario, rows);
    for row in rows {
        for failure in &row.failures {
            text += &format!("\n**{} is invalid**: {failure}\n", row.peer.name);
        }
        if let Some(calls) = &row.calls {
            let total: f64 = calls.iter().map(|(_, count)| count).sum();
            // What happens once in twenty units is not part of the path.
            let shown = calls.iter().filter(|(_, count)| *count >= 0.05);
            let list: Vec<_> = shown
                .map(|(name, count)| format!("{name} {count:.2}"))
                .collect();
            let (unit, name) = (scenario.unit, &row.peer.name);
            text += &format!(
                "\nCalls per {unit}, {name}: {total:.2} = {}\n",
                list.join(", ")
            );
        }
    }
    text
}

/// Each figure of Banyan's over that of every other row: below 1 is less.
fn beside(scenario: &Scenario, rows: &[Row<'_>]) -> String {
    let mut text = String::new();
    let is_ours = |row: &Row<'_>| matches!(row.peer.part, Part::Ours(_));
    let Some(place) = rows.iter().position(is_ours) else {
        return text;
    };
    let ours = &rows[place];
    for (_, other) in rows.iter().enumerate().filter(|(at, _)| *at != place) {
        let ratios = scenario.columns.iter().filter_map(|column| {
            let (own, theirs) = (ours.median(column.value)?, other.median(column.value)?);
            Some(format!("{} {:.2}", column.title, own / theirs))
        });
        let ratios: Vec<_> = ratios.collect();
        if !ratios.is_empty() {
            let (ours, other) = (&ours.peer.name, &other.peer.name);
            text += &format!("\n{ours} / {other}: {}\n", ratios.join(", "));
        }
    }
    text
}

/// All samples of `scenario`, their medians and ratios.
pub(crate) fn json(scenario: &Scenario, rows: &[Row<'_>]) -> Value {
    let yardstick = yardstick(scenario, rows);
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let medians: serde_json::Map<String, Value> = scenario
                .columns
                .iter()
                .map(|column| (column.title.to_owned(), json!(row.median(column.value))))
                .collect();
            let compared = row.median(scenario.columns[0].value);
            json!({
                "peer": row.peer.name,
                "version": row.peer.version,
                "medians": medians,
                "ratio": compared.zip(yardstick).map(|(value, best)| value / best),
                "failures": row.failures,
                "calls": row.calls,
                "samples": row.samples,
            })
        })
        .collect();
    json!({ "scenario": scenario.name, "about": scenario.about, "rows": rows })
}

/// The best rival's median of the compared figure: what a ratio of 1 is.
fn yardstick(scenario: &Scenario, rows: &[Row<'_>]) -> Option<f64> {
    let rivals = rows
        .iter()
        .filter(|row| matches!(row.peer.part, Part::Rival(_)));
    rivals
        .filter_map(|row| row.median(scenario.columns[0].value))
        .min_by(f64::total_cmp)
}

fn cell(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.decimals$}"))
}
