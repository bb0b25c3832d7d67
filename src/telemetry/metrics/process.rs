//! What the process itself takes, by the names that Prometheus' own clients use.

use std::fs;

use super::object::Kind;
use super::page::Page;

/// Name, kind and meaning of each, in the order in which they are written.
pub(super) const METRICS: [(&str, Kind, &str); 6] = [
    (
        "process_cpu_seconds_total",
        Kind::Counter,
        "Seconds of CPU, user and system.",
    ),
    (
        "process_max_fds",
        Kind::Gauge,
        "Descriptors that the process may have open.",
    ),
    (
        "process_open_fds",
        Kind::Gauge,
        "Descriptors that are open.",
    ),
    (
        "process_resident_memory_bytes",
        Kind::Gauge,
        "Bytes of resident memory.",
    ),
    (
        "process_start_time_seconds",
        Kind::Gauge,
        "When the process began, in seconds since 1970.",
    ),
    (
        "process_virtual_memory_bytes",
        Kind::Gauge,
        "Bytes of address space.",
    ),
];

/// Ticks of the times in `/proc`: 100 a second on every architecture that Linux runs on.
const TICKS: f64 = 100.0;

impl Page<'_> {
    /// Writes what the process itself takes; what the system does not tell is left out.
    pub fn process(&mut self) {
        for ((name, kind, help), value) in METRICS.into_iter().zip(read()) {
            if let Some(value) = value {
                self.single(name, kind, help, "", value);
            }
        }
    }
}

/// A value for each of [`METRICS`].
fn read() -> [Option<f64>; METRICS.len()] {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program may contain anything, and ends with the last parenthesis.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or_else(Vec::new, |(_, rest)| {
        rest.split_ascii_whitespace().collect()
    });
    // Numbered as in proc(5), where the first of these is the third.
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    let cpu = field(14)
        .zip(field(15))
        .map(|(user, system)| (user + system) / TICKS);
    let started = field(22)
        .zip(boot_time())
        .map(|(ticks, boot)| boot + ticks / TICKS);
    let open = fs::read_dir("/proc/self/fd").ok();
    // The directory that is read is one of them.
    let open = open.map(|descriptors| (descriptors.count() - 1) as f64);
    [
        cpu,
        most_descriptors(),
        open,
        resident(),
        started,
        field(23),
    ]
}

fn resident() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib = line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()?;
    Some(kib * 1024.0)
}

fn most_descriptors() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn boot_time() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::super::StatsMatcher;
    use super::*;

    #[test]
    fn the_process_tells_of_itself() {
        let [cpu, most, open, resident, started, size] = read().map(Option::unwrap);
        assert!(cpu >= 0.0 && open >= 3.0 && most >= open);
        assert!(resident > 1e6 && size >= resident);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        assert!(started > 1e9 && started <= now.as_secs_f64() + 2.0);
        let matcher = StatsMatcher::default();
        let mut page = Page::new(&matcher, &[]);
        page.process();
        assert_eq!(page.finish().matches("# TYPE process_").count(), 6);
    }
}
