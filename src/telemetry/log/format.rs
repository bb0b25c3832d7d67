//! A record as bytes: MOSN's line, a JSON object, or what journald wants.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZone;
use slog::{Level, OwnedKVList, Record};

use super::clock::Clock;
use super::output::JOURNAL;
use super::pairs::Pairs;
use super::text::{push_display, push_field, push_json, push_json_str};

/// How a record is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `2026-01-31 10:00:00,7 [INFO] [tag] text key=value`, milliseconds without leading zeros.
    #[default]
    Mosn,
    /// One JSON object a line, values typed.
    Json,
    /// Fields for journald when its socket exists, whatever the output; otherwise lines that
    /// begin with `<priority>`, as systemd reads them from a service's output.
    Journald,
}

impl Format {
    pub(super) fn wire(self) -> Wire {
        match self {
            Self::Mosn => Wire::Mosn,
            Self::Json => Wire::Json,
            Self::Journald if Path::new(JOURNAL).exists() => Wire::JournalField,
            Self::Journald => Wire::JournalPrefix,
        }
    }
}

/// [`Format`], after looking for journald.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Mosn,
    Json,
    JournalField,
    JournalPrefix,
}

/// What all lines of one log have in common.
#[derive(Clone, Debug)]
pub(super) struct Style {
    /// Tells logs apart that share a thread's scratch.
    pub(super) log: u64,
    pub(super) wire: Wire,
    pub(super) zone: TimeZone,
}

/// Formats a record in this thread's scratch and shows the bytes to `then`.
pub(super) fn with_line<T>(
    style: &Style,
    now: Duration,
    record: &Record<'_>,
    values: &OwnedKVList,
    then: impl FnOnce(&[u8]) -> T,
) -> T {
    thread_local! {
        static SCRATCH: RefCell<Scratch> = const { RefCell::new(Scratch::new()) };
    }
    SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
        Ok(mut scratch) => then(scratch.encode(style, now, record, values)),
        // A value that logs while it is displayed.
        Err(_) => then(Scratch::new().encode(style, now, record, values)),
    })
}

/// Buffers that keep their capacity from one record to the next.
struct Scratch {
    clock: Clock,
    line: Vec<u8>,
    pairs: Pairs,
}

impl Scratch {
    const fn new() -> Self {
        Self {
            clock: Clock::new(),
            line: Vec::new(),
            pairs: Pairs::new(),
        }
    }

    fn encode(
        &mut self,
        style: &Style,
        now: Duration,
        record: &Record<'_>,
        values: &OwnedKVList,
    ) -> &[u8] {
        let Self { clock, line, pairs } = self;
        line.clear();
        pairs.collect(style.wire, record, values);
        let time = clock.read(style.log, &style.zone, now);
        match style.wire {
            Wire::Mosn => mosn(line, time, now, record, pairs),
            Wire::Json => json(line, time, now, record, pairs),
            Wire::JournalField => journal_fields(line, record, pairs),
            Wire::JournalPrefix => journal_prefix(line, record, pairs),
        }
        line
    }
}

fn mosn(line: &mut Vec<u8>, time: (&str, &str), now: Duration, record: &Record<'_>, pairs: &Pairs) {
    line.extend_from_slice(time.0.as_bytes());
    line.push(b',');
    push_number(line, now.subsec_millis());
    line.extend_from_slice(b" [");
    line.extend_from_slice(level_name(record.level()).as_bytes());
    line.extend_from_slice(b"] ");
    text(line, record, pairs);
    line.push(b'\n');
}

fn json(line: &mut Vec<u8>, time: (&str, &str), now: Duration, record: &Record<'_>, pairs: &Pairs) {
    let (date, second) = time.0.split_at(10);
    let (second, micros) = (&second[1..], now.subsec_micros());
    let level = level_name(record.level());
    push_display(
        line,
        &format_args!(
            r#"{{"time":"{date}T{second}.{micros:06}{}","level":"{level}","message":"#,
            time.1
        ),
    );
    push_json(line, record.msg());
    if let Some(tag) = pairs.tag(record) {
        line.extend_from_slice(br#","tag":"#);
        push_json_str(line, tag);
    }
    line.extend_from_slice(br#","module":"#);
    push_json_str(line, record.module());
    line.extend_from_slice(&pairs.ordered);
    line.extend_from_slice(b"}\n");
}

fn journal_fields(line: &mut Vec<u8>, record: &Record<'_>, pairs: &Pairs) {
    let priority = priority(record.level());
    push_display(
        line,
        &format_args!("PRIORITY={priority}\nSYSLOG_IDENTIFIER=banyan\n"),
    );
    push_field(line, "CODE_MODULE", |line| {
        line.extend_from_slice(record.module().as_bytes());
    });
    if let Some(tag) = pairs.tag(record) {
        push_field(line, "BANYAN_TAG", |line| {
            line.extend_from_slice(tag.as_bytes());
        });
    }
    line.extend_from_slice(&pairs.fields);
    push_field(line, "MESSAGE", |line| text(line, record, pairs));
}

fn journal_prefix(line: &mut Vec<u8>, record: &Record<'_>, pairs: &Pairs) {
    let priority = priority(record.level());
    push_display(line, &format_args!("<{priority}>"));
    let start = line.len();
    text(line, record, pairs);
    if line[start..].contains(&b'\n') {
        // Systemd reads a priority from every line.
        let lines =
            String::from_utf8_lossy(&line[start..]).replace('\n', &format!("\n<{priority}>"));
        line.truncate(start);
        line.extend_from_slice(lines.as_bytes());
    }
    line.push(b'\n');
}

/// `[tag] text key=value`
fn text(line: &mut Vec<u8>, record: &Record<'_>, pairs: &Pairs) {
    if let Some(tag) = pairs.tag(record) {
        line.push(b'[');
        line.extend_from_slice(tag.as_bytes());
        line.extend_from_slice(b"] ");
    }
    push_display(line, record.msg());
    while line.last() == Some(&b'\n') {
        line.pop();
    }
    line.extend_from_slice(&pairs.ordered);
}

fn push_number(line: &mut Vec<u8>, number: impl itoa::Integer) {
    line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// MOSN's name of a level.
fn level_name(level: Level) -> &'static str {
    match level {
        Level::Critical => "FATAL",
        Level::Error => "ERROR",
        Level::Warning => "WARN",
        Level::Info => "INFO",
        Level::Debug => "DEBUG",
        Level::Trace => "TRACE",
    }
}

/// Syslog's number of a level.
fn priority(level: Level) -> u8 {
    match level {
        Level::Critical => 2,
        Level::Error => 3,
        Level::Warning => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slog::{Drain, Logger, Never, error, info, o, warn};
    use std::sync::mpsc::{Sender, channel};

    struct Lines(Style, Sender<String>);

    impl Drain for Lines {
        type Ok = ();
        type Err = Never;

        fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
            let now = Duration::from_micros(1_700_000_000_007_042);
            let line = with_line(&self.0, now, record, values, <[u8]>::to_vec);
            let _gone = self.1.send(String::from_utf8_lossy(&line).into_owned());
            Ok(())
        }
    }

    fn lines(wire: Wire, log: impl FnOnce(Logger)) -> String {
        let (sender, lines) = channel();
        let zone = TimeZone::fixed(jiff::tz::offset(8));
        let style = Style { log: 1, wire, zone };
        log(Logger::root(Lines(style, sender).fuse(), o!()));
        lines.iter().collect()
    }

    #[test]
    fn mosns_line_has_unpadded_milliseconds_and_the_tag_before_the_text() {
        let written = lines(Wire::Mosn, |log| {
            let log = log.new(o!("listener" => "l1")).new(o!("connection" => 3));
            error!(log, "cannot {}\n", "go"; "tag" => "proxy.auto", "a" => 1, "b" => "x y");
            info!(log, # "by.slog", "plain"; "connection" => 4, "none" => None::<u8>);
        });
        assert_eq!(
            written,
            "2023-11-15 06:13:20,7 [ERROR] [proxy.auto] cannot go a=1 b=\"x y\" listener=l1 \
             connection=3\n2023-11-15 06:13:20,7 [INFO] [by.slog] plain connection=4 none=- \
             listener=l1\n"
        );
    }

    #[test]
    fn a_json_line_keeps_types_and_its_own_keys() {
        let written = lines(Wire::Json, |log| {
            let log = log.new(o!("ok" => true));
            warn!(log, "say \"{}\"", 'x'; "tag" => "t", "n" => 1.5, "level" => "mine",
                "bad" => f64::NAN, "error" => %"a\nb");
        });
        assert_eq!(
            written,
            "{\"time\":\"2023-11-15T06:13:20.007042+08:00\",\"level\":\"WARN\",\
             \"message\":\"say \\\"x\\\"\",\"tag\":\"t\",\
             \"module\":\"banyan::telemetry::log::format::tests\",\"n\":1.5,\"level_\":\"mine\",\
             \"bad\":null,\"error\":\"a\\nb\",\"ok\":true}\n"
        );
        serde_json::from_str::<serde_json::Value>(&written).unwrap();
    }

    #[test]
    fn systemd_gets_a_priority_on_every_line() {
        let written = lines(Wire::JournalPrefix, |log| {
            warn!(log, "one\ntwo"; "tag" => "t", "a" => 1);
        });
        assert_eq!(written, "<4>[t] one\n<4>two a=1\n");
    }

    #[test]
    fn the_journal_gets_fields() {
        let written = lines(Wire::JournalField, |log| {
            info!(log, "up"; "tag" => "t", "cluster" => "a b");
        });
        assert_eq!(
            written,
            "PRIORITY=6\nSYSLOG_IDENTIFIER=banyan\n\
             CODE_MODULE\n\u{25}\0\0\0\0\0\0\0banyan::telemetry::log::format::tests\n\
             BANYAN_TAG\n\u{1}\0\0\0\0\0\0\0t\nBANYAN_CLUSTER\n\u{3}\0\0\0\0\0\0\0a b\n\
             MESSAGE\n\u{14}\0\0\0\0\0\0\0[t] up cluster=\"a b\"\n"
        );
    }

    #[test]
    fn a_value_that_logs_while_it_is_displayed_does_not_disturb_its_line() {
        struct Chatty(Logger);
        impl std::fmt::Display for Chatty {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                info!(self.0, "inner");
                f.write_str("outer")
            }
        }
        let written = lines(Wire::JournalPrefix, |log| {
            info!(log, "{}", Chatty(log.clone()));
        });
        assert_eq!(written, "<6>inner\n<6>outer\n");
    }
}
