//! Numbers that the data path counts and everyone may read.
//!
//! Each worker counts in its own; a reader sums them, so that no cache line is fought over.

use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::metrics::{Distribution, Histogram};
use super::tally::Carried;

/// What one worker counted at one listener. Alone on its cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ListenerCounters {
    /// Connections accepted.
    pub connections: AtomicU64,
    /// Connections that ended.
    pub closed: AtomicU64,
    /// Connections that have come from a predecessor, which has counted them as accepted.
    pub arrived: AtomicU64,
    /// Connections that have gone to a successor, which counts their ends.
    pub moved: AtomicU64,
    /// Connections closed because they moved no byte for too long.
    pub idle_closed: AtomicU64,
    /// Connections that got no upstream.
    pub failed: AtomicU64,
    /// Connections that speak what is told apart and not spoken, by its name in [`UNSPOKEN`].
    unspoken: [AtomicU64; UNSPOKEN.len()],
    /// Bytes that came from downstream.
    pub received_bytes: AtomicU64,
    /// Bytes that went downstream.
    pub sent_bytes: AtomicU64,
}

/// Protocols that are told apart and not spoken: MOSN's names, and those of their counters.
pub const UNSPOKEN: [(&str, &str); 4] = [
    ("Http2", "connection_http2_unspoken"),
    ("dubbo", "connection_dubbo_unspoken"),
    ("dubbo-thrift", "connection_dubbo_thrift_unspoken"),
    ("tars", "connection_tars_unspoken"),
];

impl ListenerCounters {
    /// Counts a connection that speaks what is told apart and not spoken.
    pub fn count_unspoken(&self, protocol: &str) {
        let place = UNSPOKEN.iter().position(|(name, _)| *name == protocol);
        if let Some(counter) = place.and_then(|place| self.unspoken.get(place)) {
            counter.fetch_add(1, Relaxed);
        }
    }
}

/// Connections that speak what is told apart and not spoken. Serialized as one number a protocol,
/// by its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnspokenTotals([u64; UNSPOKEN.len()]);

impl UnspokenTotals {
    /// The name of each counter, and its number.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let names = UNSPOKEN.iter().map(|(_, counter)| *counter);
        names.zip(self.0)
    }
}

impl Serialize for UnspokenTotals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let names = UNSPOKEN.iter().map(|(name, _)| *name);
        serializer.collect_map(names.zip(self.0))
    }
}

/// The sum over the workers at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ListenerTotals {
    /// Connections that are open.
    pub connections_active: u64,
    /// Connections accepted, those too that a predecessor has accepted.
    pub connections_total: u64,
    /// Connections that have ended, those of predecessors too.
    #[serde(skip)]
    pub connections_closed: u64,
    /// Connections closed because they moved no byte for too long.
    pub connections_idle_closed: u64,
    /// Connections that got no upstream.
    pub connections_failed: u64,
    /// Connections that speak what is told apart and not spoken.
    pub connections_unspoken: UnspokenTotals,
    /// Bytes that came from downstream. A connection's are counted once a second, and at its end.
    pub bytes_received: u64,
    /// Bytes that went downstream, as `bytes_received`.
    pub bytes_sent: u64,
}

impl AddAssign<&ListenerCounters> for ListenerTotals {
    fn add_assign(&mut self, counted: &ListenerCounters) {
        // Read in this order a connection may be counted as active that has just ended, never
        // the reverse, which would wrap.
        let closed = counted.closed.load(Relaxed);
        let gone = closed + counted.moved.load(Relaxed);
        let total = counted.connections.load(Relaxed);
        let came = total + counted.arrived.load(Relaxed);
        self.connections_active += came.saturating_sub(gone);
        self.connections_total += total;
        self.connections_closed += closed;
        self.connections_idle_closed += counted.idle_closed.load(Relaxed);
        self.connections_failed += counted.failed.load(Relaxed);
        let unspoken = self
            .connections_unspoken
            .0
            .iter_mut()
            .zip(&counted.unspoken);
        for (sum, count) in unspoken {
            *sum += count.load(Relaxed);
        }
        self.bytes_received += counted.received_bytes.load(Relaxed);
        self.bytes_sent += counted.sent_bytes.load(Relaxed);
    }
}

impl Carried for ListenerCounters {
    fn each(&self, show: &mut dyn FnMut(&'static str, &AtomicU64)) {
        show("connections", &self.connections);
        show("connections_closed", &self.closed);
        show("connections_idle_closed", &self.idle_closed);
        show("connections_failed", &self.failed);
        show("bytes_received", &self.received_bytes);
        show("bytes_sent", &self.sent_bytes);
    }
}

/// What earlier processes have counted at one listener, or go on counting while they leave. Nothing
/// of it is active here.
#[derive(Debug, Default)]
pub struct Earlier {
    connections: ListenerCounters,
    requests: HttpCounters,
}

impl Earlier {
    /// Nothing more will be told: connections that have not moved here, `arrived` of them, have ended.
    pub fn conclude(&self, arrived: u64) {
        let ended = self.connections.connections.load(Relaxed);
        let ended = ended.saturating_sub(arrived);
        self.connections.closed.fetch_max(ended, Relaxed);
    }
}

impl Carried for Earlier {
    fn each(&self, show: &mut dyn FnMut(&'static str, &AtomicU64)) {
        self.connections.each(show);
        self.requests.each(show);
    }

    fn each_histogram(&self, show: &mut dyn FnMut(&'static str, &Histogram)) {
        self.requests.each_histogram(show);
    }

    fn histogram(&self, name: &str) -> Option<&Histogram> {
        self.requests.histogram(name)
    }
}

impl AddAssign<&Earlier> for ListenerTotals {
    fn add_assign(&mut self, earlier: &Earlier) {
        let active = self.connections_active;
        *self += &earlier.connections;
        self.connections_active = active;
    }
}

impl AddAssign<&Earlier> for HttpTotals {
    fn add_assign(&mut self, earlier: &Earlier) {
        let active = self.request_active;
        *self += &earlier.requests;
        self.request_active = active;
    }
}

impl AddAssign<&Earlier> for HttpTimes {
    fn add_assign(&mut self, earlier: &Earlier) {
        *self += &earlier.requests;
    }
}

/// What one worker counted of the HTTP requests at one listener. Alone on its cache lines.
///
/// Only that worker may count: it adds without locking the line, and of two that add at once one
/// would be lost.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct HttpCounters {
    begun: AtomicU64,
    ended: AtomicU64,
    reset: AtomicU64,
    failed: AtomicU64,
    uncopied: AtomicU64,
    request_nanos: AtomicU64,
    process_nanos: AtomicU64,
    statuses: [AtomicU64; STATUSES.len()],
    request_times: Histogram,
    process_times: Histogram,
}

impl HttpCounters {
    /// A request has come, its head at least.
    pub fn begin(&self) {
        add(&self.begun, 1);
    }

    /// A request that [began](Self::begin) has ended, whatever became of it: its final status, the
    /// time from its head to the end of its response, and the share of this proxy in that time.
    pub fn end(&self, status: u16, request_time: Duration, process_time: Duration) {
        add(&self.ended, 1);
        add(&self.request_nanos, nanos(request_time));
        add(&self.process_nanos, nanos(process_time));
        add(&self.statuses[index_of(status)], 1);
        self.request_times.count_alone(request_time);
        self.process_times.count_alone(process_time);
    }

    /// Counts a request whose downstream went away before the response was complete.
    pub fn count_reset(&self) {
        add(&self.reset, 1);
    }

    /// Counts a request that was not forwarded, or whose upstream did not answer it.
    pub fn count_failed(&self) {
        add(&self.failed, 1);
    }

    /// Counts a request of which a copy was wanted and not sent.
    pub fn count_uncopied(&self) {
        add(&self.uncopied, 1);
    }
}

impl Carried for HttpCounters {
    fn each(&self, show: &mut dyn FnMut(&'static str, &AtomicU64)) {
        show("requests", &self.begun);
        show("requests_ended", &self.ended);
        show("requests_reset", &self.reset);
        show("requests_failed", &self.failed);
        show("requests_uncopied", &self.uncopied);
        show("request_nanos", &self.request_nanos);
        show("process_nanos", &self.process_nanos);
        for ((_, name), counter) in STATUSES.iter().zip(&self.statuses) {
            show(name, counter);
        }
    }

    fn each_histogram(&self, show: &mut dyn FnMut(&'static str, &Histogram)) {
        show(REQUEST_TIMES, &self.request_times);
        show(PROCESS_TIMES, &self.process_times);
    }

    fn histogram(&self, name: &str) -> Option<&Histogram> {
        match name {
            REQUEST_TIMES => Some(&self.request_times),
            PROCESS_TIMES => Some(&self.process_times),
            _ => None,
        }
    }
}

/// How the histograms are called in a tally.
const REQUEST_TIMES: &str = "request_times";
const PROCESS_TIMES: &str = "process_times";

/// Adds where only one thread ever does: the others see a sum or the next, and no line is locked.
fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(more), Relaxed);
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The statuses that MOSN counts, by its names; the last is any other.
const STATUSES: [(u16, &str); 14] = [
    (200, "request_200_total"),
    (206, "request_206_total"),
    (302, "request_302_total"),
    (304, "request_304_total"),
    (400, "request_400_total"),
    (403, "request_403_total"),
    (404, "request_404_total"),
    (416, "request_416_total"),
    (499, "request_499_total"),
    (500, "request_500_total"),
    (502, "request_502_total"),
    (503, "request_503_total"),
    (504, "request_504_total"),
    (0, "request_other_code"),
];

fn index_of(status: u16) -> usize {
    let named = STATUSES.iter().position(|&(named, _)| named == status);
    named.unwrap_or(STATUSES.len() - 1)
}

/// The sum over the workers at one moment, by MOSN's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HttpTotals {
    /// Requests that came.
    pub request_total: u64,
    /// Requests that have not ended.
    pub request_active: u64,
    /// Requests whose downstream went away before the response was complete.
    pub request_reset: u64,
    /// Requests that were not forwarded, or whose upstream did not answer.
    pub request_failed: u64,
    /// Requests of which a copy was wanted and not sent. Not a number of MOSN's.
    pub request_mirror_dropped: u64,
    /// Nanoseconds from the heads of all ended requests to the ends of their responses.
    pub request_time_total: u64,
    /// Nanoseconds that this proxy took of `request_time_total`.
    pub process_time_total: u64,
    /// Ended requests by final status.
    #[serde(flatten)]
    pub statuses: StatusTotals,
}

impl AddAssign<&HttpCounters> for HttpTotals {
    fn add_assign(&mut self, counted: &HttpCounters) {
        // In this order, as for connections.
        let ended = counted.ended.load(Relaxed);
        let begun = counted.begun.load(Relaxed);
        self.request_active += begun.saturating_sub(ended);
        self.request_total += begun;
        self.request_reset += counted.reset.load(Relaxed);
        self.request_failed += counted.failed.load(Relaxed);
        self.request_mirror_dropped += counted.uncopied.load(Relaxed);
        self.request_time_total += counted.request_nanos.load(Relaxed);
        self.process_time_total += counted.process_nanos.load(Relaxed);
        for (sum, counter) in self.statuses.0.iter_mut().zip(&counted.statuses) {
            *sum += counter.load(Relaxed);
        }
    }
}

/// How long the requests of all workers took, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpTimes {
    /// From their heads to the ends of their responses.
    pub request: Distribution,
    /// What this proxy took of that.
    pub process: Distribution,
}

impl AddAssign<&HttpCounters> for HttpTimes {
    fn add_assign(&mut self, counted: &HttpCounters) {
        self.request += &counted.request_times;
        self.process += &counted.process_times;
    }
}

/// Ended requests by final status. Serialized as one number a status, by MOSN's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusTotals([u64; STATUSES.len()]);

impl StatusTotals {
    /// How many ended with this status; one that is not counted by itself shares a number with all
    /// others.
    #[must_use]
    pub fn of(&self, status: u16) -> u64 {
        self.0[index_of(status)]
    }

    /// MOSN's name of each number, and the number.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let names = STATUSES.iter().map(|&(_, name)| name);
        names.zip(self.0)
    }
}

impl Serialize for StatusTotals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.named())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_nanos(7);

    #[test]
    fn totals_sum_what_the_workers_counted() {
        let workers = [HttpCounters::default(), HttpCounters::default()];
        for counters in &workers {
            counters.begin();
            counters.begin();
            counters.end(200, TIME * 3, TIME);
        }
        workers[1].end(404, TIME, TIME);
        workers[1].count_failed();
        workers[0].count_reset();

        let mut totals = HttpTotals::default();
        workers.iter().for_each(|counted| totals += counted);

        assert_eq!((totals.request_total, totals.request_active), (4, 1));
        assert_eq!((totals.request_failed, totals.request_reset), (1, 1));
        assert_eq!((totals.statuses.of(200), totals.statuses.of(404)), (2, 1));
        assert_eq!(
            (totals.request_time_total, totals.process_time_total),
            (49, 21)
        );
    }

    #[test]
    fn a_status_without_a_number_of_its_own_is_another_code() {
        let counters = HttpCounters::default();
        for status in [100, 201, 418, 200, 0] {
            counters.end(status, TIME, TIME);
        }
        let mut totals = HttpTotals::default();
        totals += &counters;
        assert_eq!((totals.statuses.of(599), totals.statuses.of(200)), (4, 1));
    }

    #[test]
    fn totals_are_written_by_mosn_s_names() {
        let counters = HttpCounters::default();
        counters.begin();
        counters.end(503, TIME, TIME);
        let mut totals = HttpTotals::default();
        totals += &counters;

        let written = serde_json::to_value(totals).unwrap();

        for (name, value) in [
            ("request_total", 1),
            ("request_active", 0),
            ("request_503_total", 1),
            ("request_other_code", 0),
            ("process_time_total", 7),
        ] {
            assert_eq!(written[name], value, "{name}");
        }
        assert_eq!(written.as_object().unwrap().len(), 21);
    }
}
