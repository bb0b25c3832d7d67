use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::super::output::Batch;
use super::lines::emptied;
use super::queue::{CHUNK_WEIGHT, QUEUE_BYTES};
use super::*;

const DEADLINE: Duration = Duration::from_secs(20);

fn logs() -> AccessLogs {
    AccessLogs::new(Roller::default(), TimeZone::UTC)
}

fn file(path: &Path) -> Output {
    Output::File(path.to_owned())
}

fn line(lines: &Lines, text: &str) {
    lines.write(|bytes| bytes.extend_from_slice(text.as_bytes()));
}

/// Tells when it is written to and with what; takes nothing before its gate has been removed.
struct Scripted {
    gate: Receiver<()>,
    entered: Sender<()>,
    written: Sender<String>,
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.entered.send(()).map_err(io::Error::other)?;
        let _removed = self.gate.recv();
        let text = String::from_utf8_lossy(bytes).into_owned();
        self.written.send(text).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Far {
    gate: Sender<()>,
    entered: Receiver<()>,
    written: Receiver<String>,
}

fn scripted(logs: &AccessLogs) -> (Log, Far) {
    let (near_gate, gate) = channel();
    let (entered, near_entered) = channel();
    let (written, near_written) = channel();
    let sink = Sink::Console(Box::new(Scripted {
        gate,
        entered,
        written,
    }));
    let far = Far {
        gate: near_gate,
        entered: near_entered,
        written: near_written,
    };
    (logs.start(&Output::Stdout, sink).unwrap(), far)
}

#[test]
fn lines_of_two_workers_all_arrive_each_worker_s_in_order() {
    const LINES: usize = 5000;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let logs = logs();
    let log = logs.open(&file(&path)).unwrap();
    thread::scope(|scope| {
        for worker in ["a", "b"] {
            let log = &log;
            let lines = move || {
                let lines = Lines::new(log);
                (0..LINES).for_each(|n| line(&lines, &format!("{worker} {n}")));
            };
            scope.spawn(lines);
        }
    });
    assert_eq!(logs.close(DEADLINE), Closed::Flushed);

    let text = fs::read_to_string(&path).unwrap();
    for worker in ["a", "b"] {
        let theirs: Vec<_> = text.lines().filter(|l| l.starts_with(worker)).collect();
        let expected: Vec<_> = (0..LINES).map(|n| format!("{worker} {n}")).collect();
        assert_eq!(theirs, expected);
    }
    assert_eq!((log.dropped(), log.failed()), (0, 0));
}

#[test]
fn one_output_is_one_log_and_one_worker_has_one_buffer_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let (one, other) = (directory.path().join("a"), directory.path().join("b"));
    let logs = logs();
    let first = logs.open(&file(&one)).unwrap();
    let second = logs.clone().open(&file(&one)).unwrap();
    let third = logs.open(&file(&other)).unwrap();
    assert!(first.is(&second) && !first.is(&third));

    let worker = WorkerLines::default();
    assert!(Rc::ptr_eq(&worker.to(&first), &worker.to(&second)));
    let (near, far) = (worker.to(&first), worker.to(&third));
    assert!(!Rc::ptr_eq(&near, &far));
}

#[test]
fn an_output_that_does_not_open_is_an_error() {
    let error = logs().open(&file(Path::new("/dev/null/access.log")));
    let error = error.unwrap_err().to_string();
    assert!(
        error.starts_with("log output /dev/null/access.log: "),
        "{error}"
    );
}

#[test]
fn lines_wait_for_a_flush_or_for_company() {
    let logs = logs();
    let (log, far) = scripted(&logs);
    drop(far.gate);
    let worker = WorkerLines::default();
    let lines = worker.to(&log);
    line(&lines, "few");
    worker.flush();
    assert_eq!(far.written.recv_timeout(DEADLINE).unwrap(), "few\n");

    worker.flush();
    let long = "x".repeat(1000);
    (0..33).for_each(|_| line(&lines, &long));
    let many = far.written.recv_timeout(DEADLINE).unwrap();
    assert_eq!(many.lines().count(), 33);
}

#[test]
fn dropped_lines_are_flushed_and_the_last_of_them_ends_the_log() {
    let logs = logs();
    let (log, far) = scripted(&logs);
    let lines = Lines::new(&log);
    drop(log);
    line(&lines, "last");
    drop(lines);
    assert_eq!(logs.close(Duration::from_millis(1)), Closed::TimedOut);

    drop(far.gate);

    assert_eq!(far.written.recv_timeout(DEADLINE).unwrap(), "last\n");
    // The writer has let go of its output.
    assert!(far.written.recv_timeout(DEADLINE) == Err(RecvTimeoutError::Disconnected));
    assert_eq!(logs.close(DEADLINE), Closed::Flushed);
}

#[test]
fn a_log_that_has_ended_can_be_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let logs = logs();
    for text in ["first", "second"] {
        let lines = Lines::new(&logs.open(&file(&path)).unwrap());
        line(&lines, text);
    }
    assert_eq!(logs.close(DEADLINE), Closed::Flushed);
    // Each had a writer of its own; the file does not say which came first.
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["first", "second"]);
}

#[test]
fn a_stuck_output_costs_lines_that_are_counted_and_told_once() {
    let logs = logs();
    let (log, far) = scripted(&logs);
    let lines = Lines::new(&log);
    line(&lines, "first");
    lines.flush();
    far.entered.recv_timeout(DEADLINE).unwrap();
    assert_eq!(logs.losses(), []);

    let long = "x".repeat(QUEUE_BYTES / 8);
    (0..9).for_each(|_| line(&lines, &long));

    // With what a buffer weighs seven fit, not eight.
    assert_eq!(log.dropped(), 2);
    let losses = logs.losses();
    assert_eq!(losses.len(), 1);
    assert_eq!(
        losses[0].to_string(),
        "access log stdout: 2 lines dropped, 0 not written"
    );
    assert_eq!(logs.losses(), []);

    drop(far.gate);
    drop(lines);
    assert_eq!(logs.close(DEADLINE), Closed::Flushed);
    assert_eq!(far.written.iter().count(), 1 + 7);
}

#[test]
fn small_buffers_are_bounded_too() {
    let logs = logs();
    let (log, far) = scripted(&logs);
    let lines = Lines::new(&log);
    for _ in 0..2000 {
        line(&lines, "x");
        lines.flush();
    }
    // What is being written waits, too. There is room for orders all the same.
    let fit = QUEUE_BYTES / (CHUNK_WEIGHT + "x\n".len());
    assert_eq!(log.dropped(), 2000 - fit as u64);
    assert_eq!(logs.close(Duration::from_millis(1)), Closed::TimedOut);

    drop(far.gate);
    assert_eq!(logs.close(DEADLINE), Closed::Flushed);
    assert_eq!(far.written.iter().count(), fit);
}

#[test]
fn an_output_that_fails_is_counted_and_the_reason_told() {
    let logs = logs();
    let log = logs.open(&file(Path::new("/dev/full"))).unwrap();
    let lines = Lines::new(&log);
    line(&lines, "lost");
    line(&lines, "lost too");
    drop(lines);
    assert_eq!(logs.close(DEADLINE), Closed::Flushed);
    assert_eq!((log.dropped(), log.failed()), (0, 2));
    let told = logs.losses()[0].to_string();
    let expected = "access log /dev/full: 0 lines dropped, 2 not written: No space left";
    assert!(told.starts_with(expected), "{told}");
}

#[test]
fn reopening_leaves_a_moved_file_to_the_lines_before() {
    let directory = tempfile::tempdir().unwrap();
    let (path, moved) = (directory.path().join("log"), directory.path().join("moved"));
    let logs = logs();
    let lines = Lines::new(&logs.open(&file(&path)).unwrap());
    line(&lines, "before");
    lines.flush();
    fs::rename(&path, &moved).unwrap();
    logs.reopen();
    line(&lines, "after");
    drop(lines);
    assert_eq!(logs.close(DEADLINE), Closed::Flushed);
    assert_eq!(fs::read_to_string(&moved).unwrap(), "before\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), "after\n");
}

#[test]
fn a_format_that_panics_leaves_no_piece_of_its_line() {
    let logs = logs();
    let (log, far) = scripted(&logs);
    drop(far.gate);
    let lines = Lines::new(&log);
    line(&lines, "whole");
    let tear = || {
        let torn = std::panic::AssertUnwindSafe(|| {
            lines.write(|bytes| {
                bytes.extend_from_slice(b"torn");
                panic!("a format that panics");
            });
        });
        assert!(std::panic::catch_unwind(torn).is_err());
    };
    tear();
    line(&lines, "next");
    tear();
    drop(lines);
    assert_eq!(far.written.recv_timeout(DEADLINE).unwrap(), "whole\nnext\n");
}

#[test]
fn a_buffer_that_is_written_comes_back_empty_with_its_room() {
    let logs = logs();
    let (log, far) = scripted(&logs);
    let lines = Lines::new(&log);
    line(&lines, &"x".repeat(10_000));
    lines.flush();
    drop(far.gate);
    let spare = lines.recv_spare(DEADLINE);
    assert_eq!((spare.bytes(), spare.len()), (0, 0));
    assert!(spare.room() >= 10_000);
}

#[test]
fn a_buffer_that_long_lines_have_made_large_is_not_kept() {
    for (bytes, kept) in [(1, true), (64 << 10, true), (1 << 20, false)] {
        let mut batch = Batch::default();
        batch.push(&vec![b'x'; bytes]);
        assert_eq!(emptied(batch).is_some(), kept, "{bytes} bytes");
    }
}
