//! The scenarios: what the load does, and which figures of it are compared.
//!
//! A new scenario is a new row of [`SCENARIOS`].

use std::time::Duration;

use crate::bolt;
use crate::exchange::Exchange;
use crate::load::{Load, Reuse, Speech};
use crate::pace::Pace;
use crate::round::Sample;

/// One row of work for all peers.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) traffic: Traffic,
    pub(crate) load: Load,
    /// What the figures are for each of; an exchange is `units_per_exchange` of it.
    pub(crate) unit: &'static str,
    pub(crate) units_per_exchange: f64,
    /// How long to wait, all connections being open, before memory is looked at.
    pub(crate) settle: Duration,
    /// Rounds unless told otherwise.
    pub(crate) rounds: usize,
    /// The first is the one that is compared; less is better.
    pub(crate) columns: &'static [Column],
}

/// What a peer may tune itself for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// Short messages on many connections.
    Messages,
    /// Long transfers on few.
    Bulk,
    /// HTTP/1.1 requests.
    Http,
    /// Requests of SOFARPC in frames of Bolt; bytes to rivals, who know no frames.
    Rpc,
}

/// A figure of the report.
pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) decimals: usize,
    /// None where there is no proxy to measure.
    pub(crate) value: fn(&Sample) -> Option<f64>,
}

const fn column(title: &'static str, decimals: usize, value: fn(&Sample) -> Option<f64>) -> Column {
    Column {
        title,
        decimals,
        value,
    }
}

const PER_REQUEST: &[Column] = &[
    column("CPU µs/request", 2, Sample::cpu_us_per_unit),
    column("user", 2, Sample::user_us_per_unit),
    column("system", 2, Sample::system_us_per_unit),
    column("requests/s", 0, Sample::units_per_second),
    column("p50 µs", 0, Sample::p50_us),
    column("p99 µs", 0, Sample::p99_us),
];

const PER_CONNECTION: &[Column] = &[
    column("CPU µs/connection", 2, Sample::cpu_us_per_unit),
    column("user", 2, Sample::user_us_per_unit),
    column("system", 2, Sample::system_us_per_unit),
    column("connections/s", 0, Sample::units_per_second),
    column("p50 µs", 0, Sample::p50_us),
    column("p99 µs", 0, Sample::p99_us),
];

const PER_GIGABYTE: &[Column] = &[
    column("CPU s/GB", 3, Sample::cpu_s_per_unit),
    column("GB/s", 2, Sample::units_per_second),
];

const PER_PAIR: &[Column] = &[
    column("private KiB/pair", 2, Sample::private_kib_per_connection),
    column("RSS KiB/pair", 2, Sample::resident_kib_per_connection),
    column("private MiB at start", 1, Sample::private_mib_at_start),
    column("RSS MiB at start", 1, Sample::resident_mib_at_start),
    column("ms to first answer", 0, Sample::first_answer_ms),
];

const PER_HTTP_CONNECTION: &[Column] = &[
    column(
        "private KiB/connection",
        2,
        Sample::private_kib_per_connection,
    ),
    column("RSS KiB/connection", 2, Sample::resident_kib_per_connection),
    column("private MiB at start", 1, Sample::private_mib_at_start),
    column("RSS MiB at start", 1, Sample::resident_mib_at_start),
    column("ms to first answer", 0, Sample::first_answer_ms),
];

const AT_A_RATE: &[Column] = &[
    column("p99 µs", 0, Sample::p99_us),
    column("p50 µs", 0, Sample::p50_us),
    column("CPU µs/request", 2, Sample::cpu_us_per_unit),
    column("user", 2, Sample::user_us_per_unit),
    column("system", 2, Sample::system_us_per_unit),
    column("requests/s", 0, Sample::units_per_second),
];

const SMALL: Exchange = Exchange {
    request_bytes: 100,
    response_bytes: 1024,
};
const SHORTEST: Exchange = Exchange {
    request_bytes: 16,
    response_bytes: 1,
};
const DOWNLOAD: Exchange = Exchange {
    request_bytes: 16,
    response_bytes: 250_000_000,
};
const UPLOAD: Exchange = Exchange {
    request_bytes: 250_000_000,
    response_bytes: 1,
};

/// A page of 1 KiB or of 64 KiB; the request is what HTTP makes of it.
const PAGE: Exchange = Exchange {
    request_bytes: 0,
    response_bytes: 1024,
};
const LONG_PAGE: Exchange = Exchange {
    request_bytes: 0,
    response_bytes: 65_536,
};

/// The contents of MOSN's benchmark.
const CALL: Exchange = Exchange {
    request_bytes: 1314,
    response_bytes: bolt::ANSWER,
};

/// All scenarios, in the order they are run.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "tcp-kept-alive",
        about: "50 connections, each a closed loop of 100 byte requests and 1 KiB responses",
        traffic: Traffic::Messages,
        load: kept(50, SMALL, 40_000),
        unit: "request",
        units_per_exchange: 1.0,
        settle: Duration::ZERO,
        rounds: 5,
        columns: PER_REQUEST,
    },
    Scenario {
        name: "tcp-connection",
        about: "50 closed loops of: connect, 100 byte request, 1 KiB response, close",
        traffic: Traffic::Messages,
        load: fresh(SMALL, 12_000),
        unit: "connection",
        units_per_exchange: 1.0,
        settle: Duration::ZERO,
        rounds: 5,
        columns: PER_CONNECTION,
    },
    bulk(
        "tcp-bulk-download",
        "4 connections, 8 responses of 250 MB",
        DOWNLOAD,
    ),
    bulk(
        "tcp-bulk-upload",
        "4 connections, 8 requests of 250 MB",
        UPLOAD,
    ),
    Scenario {
        name: "tcp-idle",
        about: "9,000 connections through to the origin, a byte sent back on each, then idle",
        traffic: Traffic::Messages,
        load: Load {
            warm_up: 9_000,
            ..kept(9_000, SHORTEST, 9_000)
        },
        unit: "request",
        units_per_exchange: 1.0,
        settle: Duration::from_secs(1),
        rounds: 3,
        columns: PER_PAIR,
    },
    http(
        "http-kept-alive",
        "50 connections, each a closed loop of requests with responses of 1 KiB",
        kept(50, PAGE, 40_000),
    ),
    http(
        "http-kept-alive-64k",
        "50 connections, each a closed loop of requests with responses of 64 KiB",
        kept(50, LONG_PAGE, 20_000),
    ),
    http(
        "http-connection",
        "50 closed loops of: connect, request, response of 1 KiB, close by the proxy",
        fresh(PAGE, 12_000),
    ),
    http(
        "http-connection-64k",
        "50 closed loops of: connect, request, response of 64 KiB, close by the proxy",
        fresh(LONG_PAGE, 8_000),
    ),
    Scenario {
        rounds: 3,
        settle: Duration::from_secs(5),
        columns: PER_HTTP_CONNECTION,
        ..http(
            "http-idle",
            "9,000 connections with one request each, 50 at most at a time, then idle",
            Load {
                warm_up: 9_000,
                pace: Pace::AtMost(50),
                ..kept(9_000, PAGE, 9_000)
            },
        )
    },
    Scenario {
        rounds: 3,
        columns: AT_A_RATE,
        ..http(
            "http-fixed-rate",
            "4,000 requests a second on 200 connections, responses of 1 KiB; times from when each was due",
            Load {
                pace: Pace::PerSecond(4_000),
                ..kept(200, PAGE, 20_000)
            },
        )
    },
    Scenario {
        rounds: 3,
        columns: AT_A_RATE,
        ..rpc(
            "bolt-fixed-rate",
            "2,000 calls a second on 200 connections; times from when each was due",
            Load {
                pace: Pace::PerSecond(2_000),
                ..kept(200, CALL, 20_000)
            },
        )
    },
    rpc(
        "bolt-max",
        "200 connections, each a closed loop of calls",
        kept(200, CALL, 60_000),
    ),
];

const fn rpc(name: &'static str, about: &'static str, load: Load) -> Scenario {
    Scenario {
        traffic: Traffic::Rpc,
        load: Load {
            speech: Speech::Bolt,
            ..load
        },
        ..http(name, about, load)
    }
}

const fn http(name: &'static str, about: &'static str, load: Load) -> Scenario {
    Scenario {
        name,
        about,
        traffic: Traffic::Http,
        load: Load {
            speech: Speech::Http,
            ..load
        },
        unit: "request",
        units_per_exchange: 1.0,
        settle: Duration::ZERO,
        rounds: 5,
        columns: PER_REQUEST,
    }
}

const fn fresh(exchange: Exchange, exchanges: u64) -> Load {
    Load {
        reuse: Reuse::Fresh,
        ..kept(50, exchange, exchanges)
    }
}

const fn kept(connections: u64, exchange: Exchange, exchanges: u64) -> Load {
    Load {
        speech: Speech::Lengths,
        connections,
        pace: Pace::Closed,
        reuse: Reuse::Kept,
        exchange,
        exchanges,
        warm_up: exchanges / 20,
    }
}

const fn bulk(name: &'static str, about: &'static str, exchange: Exchange) -> Scenario {
    Scenario {
        name,
        about,
        traffic: Traffic::Bulk,
        load: kept(4, exchange, 8),
        unit: "GB",
        units_per_exchange: (exchange.request_bytes + exchange.response_bytes) as f64 / 1e9,
        settle: Duration::ZERO,
        rounds: 3,
        columns: PER_GIGABYTE,
    }
}
