//! What a host is carrying and has carried.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::telemetry::metrics::Histogram;
use crate::telemetry::tally::{Carried, Tally};

use super::Form;
use super::conduct::{Conduct, Record, Row};
use super::ending::{CLOSED_HERE, Ending, Endings};
use super::lease::Work;

/// Live counts of one host, shared by every worker and every snapshot that has the host.
///
/// Four cache lines, the first with what each request counts: hosts that different workers use do
/// not slow each other down. The counts order nothing else in memory, so all access is relaxed.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Load {
    active_connections: AtomicU64,
    active_requests: AtomicU64,
    connections: AtomicU64,
    requests: AtomicU64,
    responses_succeeded: AtomicU64,
    response_nanos: AtomicU64,
    /// Read by each choice of a least-loaded host, and by each success.
    record: Record,
    /// From here on: what a connection counts, or a request that goes wrong.
    connect_failures: AtomicU64,
    received_bytes: AtomicU64,
    sent_bytes: AtomicU64,
    local_resets: AtomicU64,
    remote_resets: AtomicU64,
    responses_failed: AtomicU64,
    timeouts: AtomicU64,
    requests_lost: AtomicU64,
    /// A line of its own: only some balancers have a use for it.
    form: Form,
    /// Made by the first answer: most hosts of a large configuration never have one.
    answers: OnceLock<Box<Answers>>,
    strays: AtomicU64,
    endings: Endings,
    reconnects: AtomicU64,
}

/// What is counted of answers alone, off the lines that every request touches.
#[derive(Debug, Default)]
struct Answers {
    durations: Histogram,
    goodbyes: AtomicU64,
}

const _: () = assert!(size_of::<Load>() == 256, "four cache lines a host");
const _: () = assert!(
    std::mem::offset_of!(Load, connect_failures) == 64,
    "the second line"
);

impl Load {
    /// Connections now open or being opened.
    #[must_use]
    pub fn active_connections(&self) -> u64 {
        self.active_connections.load(Relaxed)
    }

    /// Requests now under way.
    #[must_use]
    pub fn active_requests(&self) -> u64 {
        self.active_requests.load(Relaxed)
    }

    /// Connections ever begun, failed ones included.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    /// Requests ever begun.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Connections that could not be opened.
    #[must_use]
    pub fn connect_failures(&self) -> u64 {
        self.connect_failures.load(Relaxed)
    }

    /// Connections that have ended so.
    #[must_use]
    pub fn ended(&self, ending: Ending) -> u64 {
        self.endings.of(ending)
    }

    /// Connections that could not be opened, so that another host was tried for what was to be
    /// relayed.
    #[must_use]
    pub fn reconnects(&self) -> u64 {
        self.reconnects.load(Relaxed)
    }

    /// Counts a connection that could not be opened for what was to be relayed.
    pub fn count_reconnect(&self) {
        self.reconnects.fetch_add(1, Relaxed);
    }

    /// Bytes received from the host.
    #[must_use]
    pub fn received_bytes(&self) -> u64 {
        self.received_bytes.load(Relaxed)
    }

    /// Bytes sent to the host.
    #[must_use]
    pub fn sent_bytes(&self) -> u64 {
        self.sent_bytes.load(Relaxed)
    }

    /// Requests that ended because their connection could not be made, or ended before they did.
    #[must_use]
    pub fn requests_lost(&self) -> u64 {
        self.requests_lost.load(Relaxed)
    }

    /// Counts a request that ended because its connection could not be made, or ended first.
    pub fn count_request_lost(&self) {
        self.requests_lost.fetch_add(1, Relaxed);
    }

    /// Takes note of how the host behaves; its failures in a row after that.
    ///
    /// Where nothing goes wrong nothing is written.
    pub fn note(&self, conduct: Conduct, now: Instant) -> Row {
        self.record.note(conduct, now)
    }

    /// Forgets the failures in a row, and ends the host's rest: someone has found it well again.
    pub fn forgive(&self) {
        self.record.forgive();
    }

    /// The failures in a row.
    #[must_use]
    pub fn row(&self) -> Row {
        self.record.row()
    }

    /// Whether the host is better left alone for now, because it has just failed: it would soon
    /// be the least loaded of all, since what fails at once is no load.
    #[must_use]
    pub fn rests(&self, now: Instant) -> bool {
        self.record.rests(now)
    }

    /// Counts a connection that could not be opened.
    pub fn count_connect_failure(&self) {
        self.connect_failures.fetch_add(1, Relaxed);
    }

    /// Counts the bytes of a connection; call it when the connection ends, not for each chunk.
    pub fn count_bytes(&self, received: u64, sent: u64) {
        self.received_bytes.fetch_add(received, Relaxed);
        self.sent_bytes.fetch_add(sent, Relaxed);
    }

    /// Responses that did their request good: those with a status below 500.
    #[must_use]
    pub fn responses_succeeded(&self) -> u64 {
        self.responses_succeeded.load(Relaxed)
    }

    /// Requests that failed here: by a status of 500 or above, or without a response, tried again
    /// or not.
    #[must_use]
    pub fn responses_failed(&self) -> u64 {
        self.responses_failed.load(Relaxed)
    }

    /// Nanoseconds that all responses together took.
    #[must_use]
    pub fn response_nanos(&self) -> u64 {
        self.response_nanos.load(Relaxed)
    }

    /// Requests that the host did not answer in time.
    #[must_use]
    pub fn timeouts(&self) -> u64 {
        self.timeouts.load(Relaxed)
    }

    /// Requests that were given up here while the host was at work.
    #[must_use]
    pub fn local_resets(&self) -> u64 {
        self.local_resets.load(Relaxed)
    }

    /// Requests that the host cut off, by closing or by an answer that made no sense.
    #[must_use]
    pub fn remote_resets(&self) -> u64 {
        self.remote_resets.load(Relaxed)
    }

    /// How long its responses took; `None` before it said anything.
    #[must_use]
    pub fn durations(&self) -> Option<&Histogram> {
        self.answers.get().map(|answers| &answers.durations)
    }

    /// Connections on which the host said that it wants no more requests there.
    #[must_use]
    pub fn goodbyes(&self) -> u64 {
        let answers = self.answers.get();
        answers.map_or(0, |answers| answers.goodbyes.load(Relaxed))
    }

    /// Counts a connection on which the host says that it wants no more requests there.
    pub fn count_goodbye(&self) {
        let answers = self.answers.get_or_init(Box::default);
        answers.goodbyes.fetch_add(1, Relaxed);
    }

    /// Counts a response and how long it took, from the request's first byte to its own last.
    pub fn count_response(&self, status: u16, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.response_nanos.fetch_add(nanos, Relaxed);
        let answers = self.answers.get_or_init(Box::default);
        answers.durations.count(took);
        match status {
            500.. => self.count_failure(),
            _ => drop(self.responses_succeeded.fetch_add(1, Relaxed)),
        }
    }

    /// Counts a request that failed here without a response.
    pub fn count_failure(&self) {
        self.responses_failed.fetch_add(1, Relaxed);
    }

    /// Answers that nobody waited for: too late, repeated, or to nothing that was asked.
    #[must_use]
    pub fn strays(&self) -> u64 {
        self.strays.load(Relaxed)
    }

    /// Counts an answer that nobody waited for.
    pub fn count_stray(&self) {
        self.strays.fetch_add(1, Relaxed);
    }

    /// Counts a request that the host did not answer in time.
    pub fn count_timeout(&self) {
        self.timeouts.fetch_add(1, Relaxed);
    }

    /// Counts a request that is given up here while the host is at work.
    pub fn count_local_reset(&self) {
        self.local_resets.fetch_add(1, Relaxed);
    }

    /// Counts a request that the host cut off.
    pub fn count_remote_reset(&self) {
        self.remote_resets.fetch_add(1, Relaxed);
    }

    /// How well the host did lately.
    #[must_use]
    pub fn form(&self) -> &Form {
        &self.form
    }

    /// What it will have counted once the process ends, which has nothing under way any more: what
    /// is still open is idle.
    #[must_use]
    pub fn last_tally(&self) -> Tally {
        let mut tally = Tally::of(self);
        tally.more(CLOSED_HERE, self.active_connections());
        tally
    }

    pub(super) fn begin(&self, work: Work) {
        self.resume(work);
        if work.is_connection() {
            self.connections.fetch_add(1, Relaxed);
        }
        if work.is_request() {
            self.requests.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn resume(&self, work: Work) {
        if work.is_connection() {
            self.active_connections.fetch_add(1, Relaxed);
        }
        if work.is_request() {
            self.active_requests.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn end(&self, work: Work, ending: Ending) {
        self.endings.count(ending);
        if work.is_connection() {
            self.active_connections.fetch_sub(1, Relaxed);
        }
        if work.is_request() {
            self.active_requests.fetch_sub(1, Relaxed);
        }
    }
}

/// What another process goes on with. What is active stays with whoever carries it.
impl Carried for Load {
    fn each(&self, show: &mut dyn FnMut(&'static str, &AtomicU64)) {
        show("connections", &self.connections);
        show("connections_failed", &self.connect_failures);
        show("connections_again", &self.reconnects);
        self.endings.each(show);
        show("bytes_received", &self.received_bytes);
        show("bytes_sent", &self.sent_bytes);
        show("requests", &self.requests);
        show("requests_lost", &self.requests_lost);
        show("requests_reset_here", &self.local_resets);
        show("requests_reset_by_host", &self.remote_resets);
        show("requests_late", &self.timeouts);
        show("responses", &self.responses_succeeded);
        show("responses_failed", &self.responses_failed);
        show("responses_stray", &self.strays);
        show("response_nanos", &self.response_nanos);
        if let Some(answers) = self.answers.get() {
            show(GOODBYES, &answers.goodbyes);
        }
    }

    fn prepare(&self, tally: &Tally) {
        if tally.count_of(GOODBYES) > 0 {
            self.answers.get_or_init(Box::default);
        }
    }

    fn each_histogram(&self, show: &mut dyn FnMut(&'static str, &Histogram)) {
        if let Some(durations) = self.durations() {
            show(DURATIONS, durations);
        }
    }

    fn histogram(&self, name: &str) -> Option<&Histogram> {
        (name == DURATIONS).then(|| &self.answers.get_or_init(Box::default).durations)
    }
}

/// How those are called in a tally for which room is made.
const DURATIONS: &str = "durations";
const GOODBYES: &str = "connections_goodbyes";

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Lease;
    use super::super::host::tests::host;
    use super::*;

    #[test]
    fn a_response_is_a_success_below_500() {
        let load = Load::default();
        for status in [100, 200, 404, 499, 500, 503] {
            load.count_response(status, Duration::from_nanos(2));
        }
        load.count_failure();
        assert_eq!(
            (load.responses_succeeded(), load.responses_failed()),
            (4, 3)
        );
        assert_eq!(load.response_nanos(), 12);
    }

    #[test]
    fn what_is_open_at_the_end_is_told_as_closed() {
        let host = Arc::new(host(1, 1));
        let _idle = Lease::new(host.clone(), Work::Connection);
        host.load().count_goodbye();
        let told = host.load().last_tally();
        assert_eq!(told.count_of(CLOSED_HERE), 1);
        assert_eq!(told.count_of("connections"), 1);
        assert_eq!(Tally::of(&**host.load()).count_of(CLOSED_HERE), 0);
        let load = Load::default();
        told.credit(&load);
        assert_eq!((load.goodbyes(), load.connections()), (1, 1));
    }
}
