//! One request and its response.
//!
//! ```text
//!            filters        route        filters       action
//! received ──────────▶ · ─────────▶ · ──────────▶ · ──────────▶ forwarded ──▶ delivered ──▶ logged
//!     │ trouble         ▼            ▼             ▼               ▲  │
//!     └──────────▶ local reply ◀──────────────────────────────────┼──┘
//!                                                       next try ──┘
//! ```

use std::cell::OnceCell;
use std::sync::Arc;

use tokio::time::Instant;

use crate::config::Action;
use crate::filter::Phase;
use crate::protocol::http1::{Request, Response};
use crate::protocol::rpc::{Kind, Message};
use crate::proxy::http::facts::{Path, Subject};
use crate::proxy::http::record::{Origin, Record};
use crate::proxy::http::{Fitting, access};
use crate::proxy::passing::{self, Again, ROUNDS, Remarks, Routed};
use crate::proxy::setback::Setback;
use crate::route::{Flags, Found, Table};

use super::hub::Hub;
use super::setting::Carrier;
use super::trouble::Trouble;

/// Why a request gets no response from upstream.
pub(super) type Stop = passing::Stop<Trouble>;

/// One request and its response.
pub(super) struct Exchange<'h, S: Carrier> {
    pub(super) hub: &'h Hub<S>,
    pub(super) fitting: Arc<Fitting>,
    pub(super) message: Message,
    /// Its headers as fields, once somebody has asked.
    fields: OnceCell<Box<Request>>,
    /// The fields of what went downstream, where they are logged.
    pub(super) response: Option<Box<Response>>,
    pub(super) record: Record,
    /// Of its filters.
    pub(super) remarks: Remarks,
    is_over: bool,
}

impl<S: Carrier> Drop for Exchange<'_, S> {
    /// Whatever ends a request, it is logged and counted.
    fn drop(&mut self) {
        if !self.is_over {
            self.record.status = 504;
            self.record.reset = true;
        }
        let held = &self.hub.held;
        held.set(held.get() - self.message.bytes.len());
        self.log();
        self.record.count(self.hub.connection.setting.counters());
    }
}

impl<'h, S: Carrier> Exchange<'h, S> {
    /// Carries a request out; its answer is queued at its connection.
    pub(super) async fn run(hub: &'h Hub<S>, message: Message, fitting: Arc<Fitting>, at: Instant) {
        let setting = &hub.connection.setting;
        setting.counters().begin();
        hub.held.set(hub.held.get() + message.bytes.len());
        let mut record = Record::new(at, setting.next_id());
        record.body_received = message.frame.content.len() as u64;
        let mut exchange = Self {
            hub,
            fitting,
            message,
            fields: OnceCell::new(),
            response: None,
            record,
            remarks: Remarks::default(),
            is_over: false,
        };
        exchange.respond().await;
        exchange.is_over = true;
    }

    async fn respond(&mut self) {
        let filtered = match self.admit() {
            Ok(()) => self.filter(Phase::BeforeRoute, None, None).await,
            Err(trouble) => Err(trouble.into()),
        };
        if let Err(stop) = filtered {
            return self.stopped(stop, None);
        }
        let Some(table) = self.fitting.table(&*self.hub.connection.setting) else {
            return self.stopped(Setback::NoRouter.into(), None);
        };
        for _ in 0..ROUNDS {
            let found = table.find(&*self);
            match self.filter(Phase::AfterRoute, found.as_ref(), None).await {
                Ok(Again::No) => return self.act(&table, found.as_ref()).await,
                Ok(Again::Route | Again::Host) => {}
                Err(stop) => return self.stopped(stop, Some((&table, found.as_ref()))),
            }
        }
        self.record.flags |= Flags::TERMINATED;
    }

    async fn act(&mut self, table: &Table, found: Option<&Found<'_>>) {
        let routed = Some((table, found));
        let Some(found) = found else {
            let setback = Setback::NoRoute(table.router().name.clone());
            return self.stopped(setback.into(), routed);
        };
        match &found.route.action {
            Action::Forward(forward) => match self.forward(table, found, forward).await {
                Ok(response) => self.deliver(response, Origin::Upstream, routed),
                Err(stop) => self.stopped(stop, routed),
            },
            Action::Respond { status, body } => self.reply(*status, body.as_bytes(), routed),
            Action::Redirect(_) => self.stopped(Trouble::Redirected.into(), routed),
        }
    }

    /// Refuses what no route is asked about.
    fn admit(&self) -> Result<(), Trouble> {
        let Message { frame, bytes } = &self.message;
        let read = self.hub.codec().each_header(frame, bytes, &mut |_, _| {});
        read.map_err(Trouble::Malformed)
    }

    pub(super) fn is_one_way(&self) -> bool {
        self.message.frame.kind == Kind::OneWay
    }

    pub(super) fn stopped(&mut self, stop: Stop, routed: Routed<'_>) {
        let Stop::Trouble(trouble) = stop else {
            return;
        };
        self.record.flags |= trouble.flags();
        if let Some(tag) = trouble.tag() {
            let listener = &self.fitting.listener.name;
            let cluster = self.record.cluster.as_ref();
            let kind = cluster.map_or(listener.as_str(), |cluster| cluster.as_str());
            let text = format!("listener `{listener}`: {trouble}");
            self.note(tag, kind.to_owned(), &text);
        }
        let body = match &trouble {
            Trouble::Setback(Setback::Filtered(reply)) => &reply.body,
            _ => &b""[..],
        };
        self.reply(trouble.code(), body, routed);
    }

    /// Its headers as fields.
    pub(super) fn fields(&self) -> &Request {
        self.fields.get_or_init(|| {
            let mut request = Box::<Request>::default();
            let Message { frame, bytes } = &self.message;
            let push = &mut |name: &[u8], value: &[u8]| request.fields.push(name, value);
            // What cannot be read is refused before anybody asks.
            let _ = self.hub.codec().each_header(frame, bytes, push);
            request
        })
    }

    /// The request as filters have left it.
    pub(super) fn replace(&mut self, message: Message) {
        let held = &self.hub.held;
        held.set(held.get() - self.message.bytes.len() + message.bytes.len());
        self.message = message;
        self.fields = OnceCell::new();
    }

    /// The request as variables and logs see it.
    pub(super) fn subject(&self) -> Subject<'_> {
        Subject {
            request: self.fields(),
            path: &Path::AsItCame,
            record: &self.record,
            response: self.response.as_deref(),
            fitting: &self.fitting,
            connection: &self.hub.connection,
        }
    }

    /// Says what went wrong with this request, behind MOSN's ids.
    pub(super) fn note(&self, tag: &'static str, kind: String, text: &str) {
        let (connection, trace) = (self.hub.connection.id.0, self.record.trace_id());
        let upstream = self.record.upstream_id.map(|id| id.to_string());
        let upstream = upstream.as_deref().unwrap_or("-");
        let text = format!("[{connection},{upstream},{trace}] {text}");
        self.hub.note(tag, kind, text);
    }

    fn log(&self) {
        if self.fitting.listener.access_logs.is_empty() {
            return;
        }
        let subject = self.subject();
        let setting = &self.hub.connection.setting;
        setting.log(&self.fitting, &mut |format, line| {
            access::write(&subject, format, line);
        });
    }
}
