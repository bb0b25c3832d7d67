//! What Prometheus scrapes: the metrics, at the admin door and at a sink of their own.

use std::rc::Rc;

use hyper::body::Body;
use hyper::{Method, Request, StatusCode};
use tokio::task::spawn_blocking;

use super::door::{Call, Door};
use super::reply::Reply;
use crate::actor::metrics::Counts;
use crate::config::{Flush, Meta, Metrics, Process};
use crate::telemetry::metrics::{Kind, Object, Page, Value, name};

/// The page, at the admin door.
pub(super) async fn metrics(call: Call) -> Reply {
    page(&call.door).await
}

/// What a sink answers: the page at its endpoint, and nothing else.
pub(super) async fn sink<B: Body>(door: Rc<Door>, request: &Request<B>) -> Reply {
    let running = door.root.running();
    let sink = running
        .configuration
        .plan()
        .server
        .metrics
        .prometheus
        .as_ref();
    let is_endpoint = sink.is_some_and(|sink| sink.endpoint == request.uri().path());
    match *request.method() {
        Method::GET | Method::HEAD if is_endpoint => page(&door).await,
        Method::GET | Method::HEAD => Reply::text(StatusCode::NOT_FOUND, "not found\n".to_owned()),
        _ => Reply::method_not_allowed("GET"),
    }
}

/// The page is made on a thread of its own: it may be large, and nobody else waits for it.
async fn page(door: &Door) -> Reply {
    let _turn = door.turn().await;
    let counts = door.root.counts().clone();
    let settings = door
        .root
        .running()
        .configuration
        .plan()
        .server
        .metrics
        .clone();
    let state = door.state();
    let written = spawn_blocking(move || write(&counts, &settings, state)).await;
    match written {
        Ok(text) => Reply::metrics(text),
        Err(_) => Reply::text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the page panicked\n".to_owned(),
        ),
    }
}

fn write(counts: &Counts, settings: &Metrics, state: u8) -> String {
    let sink = settings.prometheus.as_ref();
    let percentiles = sink.map_or(&[][..], |sink| &sink.percentiles);
    let mut page = Page::new(&settings.matcher, percentiles);
    if sink.is_none_or(|sink| sink.process == Process::Told) {
        page.process();
    }
    let mut objects = counts.objects(&settings.matcher);
    if settings.flush == Flush::Used {
        objects.retain(is_used);
    }
    page.objects(&objects);
    if settings.meta == Meta::On && settings.matcher.shows(&["mosn"]) {
        let labels = "mosn=\"info\"";
        let help = "MOSN's number of the state of the process.";
        page.single(
            "meta_mosn_state_code",
            Kind::Gauge,
            help,
            labels,
            state.into(),
        );
        for address in counts.addresses() {
            let name = name("meta", &format!("listener_address:{address}"));
            page.single(&name, Kind::Gauge, "It is listened on.", labels, 1.0);
        }
    }
    page.finish()
}

/// Whether it has counted anything.
fn is_used(object: &Object) -> bool {
    object
        .values
        .iter()
        .any(|value| *value != Value::Count(0) && *value != Value::Spread(None))
}
