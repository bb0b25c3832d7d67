//! What the connections of a lane share, and what they are lent by it.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use slog::Level;

use crate::actor::aside::{Aside, Trunk};
use crate::actor::cluster::Directory;
use crate::actor::clusters;
use crate::actor::listeners::Post;
use crate::actor::logger::{self, Event};
use crate::actor::mover::Moving;
use crate::actor::parking::Parking;
use crate::actor::routers::Tables;
use crate::actor::slot::Slot;
use crate::actor::supervisor::Group;
use crate::cluster::Suspicion;
use crate::config::AccessFormat;
use crate::name::{ConnectionId, RouterName};
use crate::proxy::http::{self, Fitting, Goodbye, Notice};
use crate::proxy::rpc;
use crate::route::Table;
use crate::telemetry::access_log::{Lines, WorkerLines};
use crate::telemetry::counters::{HttpCounters, ListenerCounters};
use crate::upstream::{Driver, Pools, Trunks};

/// Numbers that are taken from the process at once, so that workers seldom meet there.
const NUMBERS: u64 = 1 << 16;

/// Copies of requests that may be under way at once, for each lane.
const MOST_ASIDE: usize = 128;

/// What the connections of a lane share.
pub(super) struct Setting {
    /// The listener; its settings are read anew by each connection, and by each request.
    pub post: Arc<Post>,
    /// This worker's counters of it.
    pub counters: Arc<ListenerCounters>,
    /// This worker's counters of its requests.
    pub requests: Arc<HttpCounters>,
    /// This worker's clusters.
    pub directory: Directory,
    /// Who judges hosts that fail.
    pub judge: Slot<clusters::Handle>,
    /// This worker's upstream connections.
    pub pools: Pools,
    /// Those of them that many requests share.
    pub trunks: Trunks,
    /// What drives those; the worker's, not the lane's.
    pub drivers: Rc<Group>,
    /// The routes there are.
    pub tables: Tables,
    /// This worker's lines to access logs.
    pub lines: WorkerLines,
    /// Where this worker's connections rest.
    pub parking: Parking,
    /// Said when the lane drains.
    pub goodbye: Rc<Goodbye>,
    /// How far it is with moving its connections.
    pub moving: Moving,
    /// What connections and requests are told apart by.
    pub numbers: Numbers,
    /// Work that no connection waits for.
    pub aside: Group,
    /// The lines to the logs of the settings seen last.
    pub open: RefCell<Option<Opened>>,
    /// Where events go.
    pub logger: Slot<logger::Handle>,
    /// Where a connection says how it went, at debug level.
    pub log: slog::Logger,
}

/// The lines to the access logs of some settings.
pub(super) struct Opened {
    seen: Arc<Fitting>,
    lines: Vec<Rc<Lines>>,
}

impl Setting {
    /// Tells the logger of something that may happen to every connection.
    pub(super) fn note(&self, event: Event) {
        if let Some(logger) = self.logger.get() {
            logger.note(event);
        }
    }

    /// Brings a host before its judge that failed too often; between two lives there is none.
    pub(super) fn suspect(&self, suspicion: Suspicion) {
        if let Some(judge) = self.judge.get() {
            judge.suspect(suspicion);
        }
    }

    /// Says that a connection panicked, with this text.
    pub(super) fn note_panic(&self, text: &str) {
        let name = &self.post.settings().name;
        self.note(Event {
            level: Level::Error,
            tag: "mosn.proxy.panic",
            kind: name.to_string(),
            text: format!("a connection of listener `{name}` panicked: {text}"),
        });
    }

    /// A number for a connection.
    pub(super) fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.numbers.next())
    }
}

impl http::Setting for Setting {
    type Hosts = Directory;

    fn hosts(&self) -> &Directory {
        &self.directory
    }

    fn pools(&self) -> &Pools {
        &self.pools
    }

    fn fitting(&self) -> Arc<Fitting> {
        self.post.fitting.load_full()
    }

    fn table(&self, router: &RouterName) -> Option<Arc<Table>> {
        self.tables.find(router)
    }

    fn next_id(&self) -> u64 {
        self.numbers.next()
    }

    fn counters(&self) -> &HttpCounters {
        &self.requests
    }

    fn log(&self, fitting: &Arc<Fitting>, line: &mut dyn FnMut(&AccessFormat, &mut Vec<u8>)) {
        let mut open = self.open.borrow_mut();
        if !open
            .as_ref()
            .is_some_and(|opened| Arc::ptr_eq(&opened.seen, fitting))
        {
            let lines = fitting.logs.iter().map(|log| self.lines.to(log));
            *open = Some(Opened {
                seen: Arc::clone(fitting),
                lines: lines.collect(),
            });
        }
        let Some(opened) = &*open else {
            return;
        };
        for (log, lines) in fitting.listener.access_logs.iter().zip(&opened.lines) {
            lines.write(|buffer| line(&log.format, buffer));
        }
    }

    fn run_aside(&self, work: Pin<Box<dyn Future<Output = ()>>>) -> http::Aside {
        if self.aside.len() >= MOST_ASIDE {
            return http::Aside::Dropped;
        }
        self.aside.run(|_| Aside::of(work));
        http::Aside::Runs
    }

    fn suspect(&self, suspicion: Suspicion) {
        Self::suspect(self, suspicion);
    }

    fn note(&self, Notice { tag, kind, text }: Notice) {
        let level = Level::Error;
        Self::note(
            self,
            Event {
                level,
                tag,
                kind,
                text,
            },
        );
    }
}

impl rpc::Carrier for Setting {
    fn trunks(&self) -> &Trunks {
        &self.trunks
    }

    fn carry(&self, driver: Driver) {
        self.drivers.run(|_| Trunk::driven(driver));
    }
}

/// Numbers that are given once in a process, and need no agreement with other threads each time.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    process: Arc<AtomicU64>,
    next: Rc<Cell<u64>>,
    end: Rc<Cell<u64>>,
}

impl Numbers {
    /// Numbers of this process.
    pub(super) fn of(process: Arc<AtomicU64>) -> Self {
        Self {
            process,
            ..Self::default()
        }
    }

    fn next(&self) -> u64 {
        if self.next.get() == self.end.get() {
            let first = self.process.fetch_add(NUMBERS, Relaxed) + 1;
            self.next.set(first);
            self.end.set(first + NUMBERS);
        }
        let number = self.next.get();
        self.next.set(number + 1);
        number
    }
}
