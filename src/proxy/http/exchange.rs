//! One request and its response.
//!
//! ```text
//!            filters        route        filters       action
//! received ──────────▶ · ─────────▶ · ──────────▶ · ──────────▶ forwarded ──▶ delivered ─┐
//!     │                 │            │             │                │  ▲            │      │
//!     │ trouble         ▼            ▼             ▼                │  └ next try   ▼      ▼
//!     └──────────▶ local reply ◀───────────────────────────────────┘            cut    logged
//! ```
//!
//! Every arrow may also end in `local reply`, as long as no byte of a response has gone
//! downstream; after that a failure cuts the connection, so that no half body passes for a whole.

use std::borrow::Cow;
use std::sync::Arc;

use tokio::time::Instant;

use crate::config::{Action, Connect, HttpProxy};
use crate::filter::{Phase, Reply};
use crate::name::ClusterName;
use crate::protocol::http1::{Body, Method, Request, Response};
use crate::proxy::passing::{self, Again, ROUNDS, Remarks};
use crate::proxy::setback::Setback;
use crate::route::{Facts, Flags, Found, Table, location};
use crate::upstream::Pooled;

use super::expect::Continue;
use super::facts::{Path, Subject};
use super::forwards::{self, Forwards};
use super::record::Record;
use super::reply::LocalReply;
use super::spare::Lent;
use super::trouble::Trouble;
use super::{Connection, Fitting, Notice, Setting, access};

/// A request whose head is whole.
pub(super) struct Received {
    pub(super) request: Lent<Request>,
    /// What came behind the head.
    pub(super) rest: Vec<u8>,
    pub(super) at: Instant,
    pub(super) fitting: Arc<Fitting>,
}

/// What becomes of the downstream's connection.
pub(super) enum After {
    /// The next request; this of it has come already.
    Next(Vec<u8>),
    /// It is closed.
    Close,
    /// It is closed once the peer has heard our answer.
    Linger,
    /// It is cut: what went through was not all.
    Reset,
    /// It is no HTTP any more.
    Tunnel {
        rest: Vec<u8>,
        cluster: ClusterName,
        upstream: Pooled,
        from_upstream: Vec<u8>,
    },
}

/// What came of a request behind its head, as it came.
pub(super) struct Intake {
    pub(super) bytes: Vec<u8>,
    /// Whether that is everything, so that the request can be tried again.
    pub(super) whole: bool,
}

impl Intake {
    /// Keeps more of it, up to so many bytes.
    pub(super) fn keep(&mut self, input: &[u8], most: usize) {
        if !self.whole {
            return;
        }
        if self.bytes.len() + input.len() <= most {
            self.bytes.extend_from_slice(input);
        } else {
            self.whole = false;
            self.bytes = Vec::new();
        }
    }
}

/// Why a request gets no response from upstream.
pub(super) type Stop = passing::Stop<Trouble>;

/// One request and its response.
pub(super) struct Exchange<'c, S: Setting> {
    pub(super) connection: &'c Connection<S>,
    pub(super) fitting: Arc<Fitting>,
    pub(super) request: Lent<Request>,
    pub(super) path: Path,
    pub(super) intake: Intake,
    pub(super) record: Record,
    /// The upstream's, for the log.
    pub(super) response: Option<Lent<Response>>,
    /// Of its filters.
    pub(super) remarks: Remarks,
    /// Whether the downstream's connection ends with this request, whatever it wishes.
    pub(super) is_last: bool,
    /// Whether a part of an interim response has gone downstream, so that no other answer can.
    pub(super) is_muddled: bool,
    pub(super) continues: Continue,
    is_over: bool,
}

impl<S: Setting> Drop for Exchange<'_, S> {
    /// Whatever ends a request, it is logged and counted.
    fn drop(&mut self) {
        if !self.is_over {
            self.gone();
        }
        self.log();
        self.record.count(self.connection.setting.counters());
    }
}

impl<'c, S: Setting> Exchange<'c, S> {
    /// Carries a request out; what becomes of its connection.
    pub(super) async fn run(connection: &'c Connection<S>, received: Received) -> After {
        let Received {
            request,
            rest,
            at,
            fitting,
        } = received;
        connection.setting.counters().begin();
        let mut exchange = Self {
            connection,
            path: Path::of(&request),
            continues: Continue::of(&request),
            request,
            fitting,
            intake: Intake {
                bytes: rest,
                whole: true,
            },
            record: Record::new(at, connection.setting.next_id()),
            response: None,
            remarks: Remarks::default(),
            is_last: false,
            is_muddled: false,
            is_over: false,
        };
        let after = exchange.respond().await;
        exchange.is_over = true;
        after
    }

    async fn respond(&mut self) -> After {
        let table = self.table();
        let filtered = match self.admit() {
            Ok(()) => self.filter(Phase::BeforeRoute, None, None).await,
            Err(trouble) => Err(trouble.into()),
        };
        if let Err(stop) = filtered {
            return self.stopped(stop, None).await;
        }
        let Some(table) = table else {
            return self.stopped(Setback::NoRouter.into(), None).await;
        };
        for _ in 0..ROUNDS {
            let found = {
                let subject = Subject::of(self);
                table.find(&subject)
            };
            match self.filter(Phase::AfterRoute, found.as_ref(), None).await {
                Ok(Again::No) => return self.act(&table, found.as_ref()).await,
                Ok(Again::Route | Again::Host) => {}
                Err(stop) => return self.stopped(stop, Some((&table, found.as_ref()))).await,
            }
        }
        self.record.flags |= Flags::TERMINATED;
        self.stopped(Stop::Silence, None).await
    }

    async fn act(&mut self, table: &Table, found: Option<&Found<'_>>) -> After {
        let Some(found) = found else {
            let setback = Setback::NoRoute(table.router().name.clone());
            return self.stopped(setback.into(), None).await;
        };
        let acted = match &found.route.action {
            Action::Forward(forward) => {
                let forwards = Forwards::of(self.request.method, &self.request.fields);
                if forwards == Forwards::Never {
                    let reply = forwards::answer(self.request.method);
                    return self.reply(reply, Some((table, Some(found)))).await;
                }
                forwards.tell(&mut self.request.fields);
                self.forward(table, found, forward).await
            }
            Action::Respond { status, body } => {
                let reply = LocalReply::text(*status, body);
                return self.reply(reply, Some((table, Some(found)))).await;
            }
            Action::Redirect(redirect) => {
                let subject = Subject::of(self);
                let host = self.request.host().unwrap_or_default();
                let place = location(redirect, "http", host, subject.path(), self.request.query());
                let mut reply = LocalReply::text(redirect.status, "");
                reply.fields.push(b"Location", &place);
                return self.reply(reply, Some((table, Some(found)))).await;
            }
        };
        match acted {
            Ok(after) => after,
            Err(stop) => self.stopped(stop, Some((table, Some(found)))).await,
        }
    }

    fn table(&self) -> Option<Arc<Table>> {
        self.fitting.table(&*self.connection.setting)
    }

    pub(super) fn proxy(&self) -> &HttpProxy {
        let proxy = self.fitting.proxy();
        proxy.expect("only a listener with a `proxy` hands out requests")
    }

    /// Refuses what no route is asked about.
    fn admit(&mut self) -> Result<(), Trouble> {
        let proxy = self.proxy();
        if self.request.method == Method::Connect {
            if proxy.connect == Connect::Refuse {
                return Err(Trouble::ConnectRefused);
            }
            // What a client sends behind it is meant for the tunnel, also when there is none.
            self.is_last = true;
        }
        let proxy = self.proxy();
        match (self.request.body, proxy.limits.body_bytes) {
            (Body::Length(length), Some(limit)) if length > limit => {
                Err(Trouble::BodyTooLong(limit))
            }
            _ => Ok(()),
        }
    }

    /// The longest body that may come.
    pub(super) fn body_limit(&self) -> Option<u64> {
        let limits = [
            self.proxy().limits.body_bytes,
            self.remarks.body_limit.map(|limit| limit.bytes),
        ];
        limits.into_iter().flatten().min()
    }

    /// What a body beyond [`Self::body_limit`] is answered with.
    pub(super) fn too_long(&self) -> Trouble {
        let limit = self.body_limit().unwrap_or(u64::MAX);
        match self.remarks.body_limit {
            Some(filtered) if filtered.bytes == limit => Trouble::from(Setback::Filtered(Reply {
                status: filtered.status,
                body: Cow::Borrowed(b""),
                flags: Flags::BODY_TOO_LONG,
                cause: Cow::Owned(format!("the request's body is longer than {limit} bytes")),
            })),
            _ => Trouble::BodyTooLong(limit),
        }
    }

    /// Says what went wrong with this request. As in MOSN the ids of its connection, its upstream
    /// connection and its trace go before, which are in its line of the access log, too.
    pub(super) fn note(&self, tag: &'static str, kind: String, text: &str) {
        let (connection, trace) = (self.connection.id.0, self.record.trace_id());
        let text = match self.record.upstream_id {
            Some(upstream) => format!("[{connection},{upstream},{trace}] {text}"),
            None => format!("[{connection},-,{trace}] {text}"),
        };
        self.connection.setting.note(Notice { tag, kind, text });
    }

    fn log(&mut self) {
        if self.fitting.listener.access_logs.is_empty() {
            return;
        }
        let subject = Subject::of(self);
        let setting = &self.connection.setting;
        setting.log(&self.fitting, &mut |format, line| {
            access::write(&subject, format, line)
        });
    }
}
