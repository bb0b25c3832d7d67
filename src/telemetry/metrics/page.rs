//! What Prometheus scrapes (text format 0.0.4).

use std::collections::HashSet;
use std::fmt::Write;

use super::object::{Kind, Metric, Object, Table, Value};
use super::{Distribution, StatsMatcher};

/// Writes metrics as Prometheus reads them.
///
/// Names, labels and the form of numbers are those of MOSN 1.4. Other than there, the samples of a
/// name stand together, as the format demands, label values are escaped, and what goes up and down
/// is a gauge.
#[derive(Debug)]
pub struct Page<'a> {
    matcher: &'a StatsMatcher,
    percentiles: &'a [u8],
    text: String,
}

impl<'a> Page<'a> {
    /// An empty page, on which distributions have these percentiles besides their least and most.
    #[must_use]
    pub fn new(matcher: &'a StatsMatcher, percentiles: &'a [u8]) -> Self {
        Self {
            matcher,
            percentiles,
            text: String::new(),
        }
    }

    /// The page as text.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }

    /// Writes objects; those of several tables may share names.
    pub fn objects(&mut self, objects: &[Object]) {
        let shown = objects
            .iter()
            .filter(|object| self.matcher.shows(object.table.labels));
        let shown: Vec<_> = shown.map(|object| (labels(object), object)).collect();
        let mut done = HashSet::new();
        for (_, first) in &shown {
            for metric in first.table.metrics {
                let kind = first.table.kind;
                if done.insert((kind, metric.key)) && self.matcher.shows_key(metric.key) {
                    self.family(kind, metric, &shown);
                }
            }
        }
    }

    /// Writes one number that no object has.
    pub fn single(&mut self, name: &str, kind: Kind, help: &str, labels: &str, value: f64) {
        self.open(name, kind, help);
        self.sample(name, labels, value);
    }

    fn family(&mut self, kind: &str, metric: &Metric, objects: &[(String, &Object)]) {
        let name = name(kind, metric.key);
        let samples = samples(kind, metric, objects);
        match metric.kind {
            Kind::Counter | Kind::Gauge => {
                self.open(&name, metric.kind, metric.help);
                for (labels, value) in samples {
                    if let Value::Count(count) = value {
                        self.count(&name, labels, "", *count);
                    }
                }
            }
            Kind::Distribution => {
                let spreads: Vec<_> = samples
                    .map(|(labels, value)| (labels, spread(value)))
                    .collect();
                self.spread(&name, metric.help, &spreads);
            }
        }
    }

    fn spread(&mut self, name: &str, help: &str, spreads: &[(&str, Option<&Distribution>)]) {
        type End = (&'static str, fn(&Distribution) -> u64);
        const ENDS: [End; 2] = [("min", Distribution::least), ("max", Distribution::most)];
        for (end, of) in ENDS {
            let name = format!("{name}_{end}");
            self.open(&name, Kind::Gauge, help);
            for (labels, spread) in spreads {
                self.count(&name, labels, "", spread.map_or(0, of));
            }
        }
        if self.percentiles.is_empty() {
            return;
        }
        self.open(name, Kind::Gauge, help);
        let label = |percent| (percent, format!("percentile=\"P{percent}\""));
        let percentiles: Vec<_> = self.percentiles.iter().map(label).collect();
        for (labels, spread) in spreads {
            for (percent, label) in &percentiles {
                let value = spread.map_or(0, |spread| spread.percentile(**percent));
                self.count(name, labels, label, value);
            }
        }
    }

    fn open(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge | Kind::Distribution => "gauge",
        };
        let _infallible = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// There may be a hundred thousand of them: nothing is formatted that can be copied.
    fn count(&mut self, name: &str, labels: &str, more: &str, count: u64) {
        let comma = match labels.is_empty() || more.is_empty() {
            true => "",
            false => ",",
        };
        let mut digits = itoa::Buffer::new();
        let parts = [
            name,
            "{",
            labels,
            comma,
            more,
            "} ",
            digits.format(count),
            ".0\n",
        ];
        self.text.extend(parts);
    }

    fn sample(&mut self, name: &str, labels: &str, value: f64) {
        let _infallible = match value.fract() == 0.0 && value.abs() < 1e21 {
            true => writeln!(self.text, "{name}{{{labels}}} {value:.1}"),
            false => writeln!(self.text, "{name}{{{labels}}} {value}"),
        };
    }
}

/// The values of a metric, with the labels of those who have it.
fn samples<'o>(
    kind: &str,
    metric: &Metric,
    objects: &'o [(String, &'o Object)],
) -> impl Iterator<Item = (&'o str, &'o Value)> {
    // There are few tables and many objects.
    let mut places: Vec<(&'static Table, Option<usize>)> = Vec::new();
    objects.iter().filter_map(move |(labels, object)| {
        let mut known = places.iter();
        let known = known.find(|(table, _)| std::ptr::eq(*table, object.table));
        let index = match known {
            Some((_, index)) => *index,
            None => {
                let index = place(object.table, kind, metric.key);
                places.push((object.table, index));
                index
            }
        };
        Some((labels.as_str(), &object.values[index?]))
    })
}

fn place(table: &Table, kind: &str, key: &str) -> Option<usize> {
    let mut metrics = table.metrics.iter();
    let index = metrics.position(|metric| metric.key == key)?;
    (table.kind == kind).then_some(index)
}

fn spread(value: &Value) -> Option<&Distribution> {
    match value {
        Value::Spread(spread) => spread.as_deref(),
        Value::Count(_) => None,
    }
}

/// `type_key` with every character that a name may not have replaced.
#[must_use]
pub fn name(kind: &str, key: &str) -> String {
    let fits = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | ':' => c,
        _ => '_',
    };
    format!("{kind}_{key}").chars().map(fits).collect()
}

fn labels(object: &Object) -> String {
    let mut text = String::new();
    for (name, value) in object.table.labels.iter().zip(&object.labels) {
        let comma = if text.is_empty() { "" } else { "," };
        let _infallible = write!(text, "{comma}{name}=\"");
        for c in value.chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                other => text.push(other),
            }
        }
        text.push('"');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Histogram;
    use super::super::object::{counter, distribution, gauge};
    use super::*;

    static CLUSTER: Table = Table {
        kind: "upstream",
        labels: &["cluster"],
        metrics: &[
            counter("request_total", "Requests."),
            distribution("request_duration_time", "Nanoseconds."),
        ],
    };

    static HOST: Table = Table {
        kind: "upstream",
        labels: &["cluster", "host"],
        metrics: &[
            gauge("request_active", "Requests under way."),
            counter("request_total", "Requests."),
        ],
    };

    fn objects() -> Vec<Object> {
        let histogram = Histogram::default();
        histogram.count(Duration::from_nanos(5_000_000));
        let mut spread = Distribution::default();
        spread += &histogram;
        vec![
            Object {
                table: &CLUSTER,
                labels: vec!["a\"b\\c".into()],
                values: vec![7.into(), (&spread).into()],
            },
            Object {
                table: &HOST,
                labels: vec!["x".into(), "[::1]:80".into()],
                values: vec![1.into(), 3.into()],
            },
        ]
    }

    #[test]
    fn samples_of_one_name_stand_together_and_labels_are_escaped() {
        let matcher = StatsMatcher::default();
        let mut page = Page::new(&matcher, &[50, 99]);
        page.objects(&objects());
        assert_eq!(
            page.finish(),
            r##"# HELP upstream_request_total Requests.
# TYPE upstream_request_total counter
upstream_request_total{cluster="a\"b\\c"} 7.0
upstream_request_total{cluster="x",host="[::1]:80"} 3.0
# HELP upstream_request_duration_time_min Nanoseconds.
# TYPE upstream_request_duration_time_min gauge
upstream_request_duration_time_min{cluster="a\"b\\c"} 5000000.0
# HELP upstream_request_duration_time_max Nanoseconds.
# TYPE upstream_request_duration_time_max gauge
upstream_request_duration_time_max{cluster="a\"b\\c"} 5000000.0
# HELP upstream_request_duration_time Nanoseconds.
# TYPE upstream_request_duration_time gauge
upstream_request_duration_time{cluster="a\"b\\c",percentile="P50"} 5000000.0
upstream_request_duration_time{cluster="a\"b\\c",percentile="P99"} 5000000.0
# HELP upstream_request_active Requests under way.
# TYPE upstream_request_active gauge
upstream_request_active{cluster="x",host="[::1]:80"} 1.0
"##
        );
    }

    #[test]
    fn what_the_matcher_excludes_is_not_written() {
        let matcher = StatsMatcher {
            exclusion_labels: vec!["host".into()],
            exclusion_keys: vec!["request_duration_time".into()],
            ..StatsMatcher::default()
        };
        let mut page = Page::new(&matcher, &[99]);
        page.objects(&objects());
        let text = page.finish();
        assert!(
            !text.contains("host=") && !text.contains("duration"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 3);
    }

    #[test]
    fn a_number_of_nobody_has_a_line() {
        let matcher = StatsMatcher::default();
        let mut page = Page::new(&matcher, &[]);
        page.single("process_cpu_seconds_total", Kind::Counter, "CPU.", "", 1.25);
        page.single(
            &name("meta", "listener_address:[::]:80"),
            Kind::Gauge,
            "Bound.",
            "mosn=\"info\"",
            1.0,
        );
        let text = page.finish();
        assert!(
            text.contains("\nprocess_cpu_seconds_total{} 1.25\n"),
            "{text}"
        );
        assert!(
            text.contains("\nmeta_listener_address:_::_:80{mosn=\"info\"} 1.0\n"),
            "{text}"
        );
    }
}
