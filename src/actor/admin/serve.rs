//! One request: who may, where it goes, its body, its answer.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use tokio::time::timeout;

use super::access::{Peer, Role};
use super::door::{Call, Door};
use super::reply::Reply;
use super::routes::{Form, Found, Route, find, help};
use super::{query, scrape};

/// The largest body. A configuration of 20,000 hosts has 2 MB.
const LARGEST_BODY: usize = 16 << 20;

/// How long a body may take.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// How long an answer may take: a change waits for its turn, and for names and the disk.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);

/// Answers a request of `peer`, who is called `by` in the history.
pub(super) async fn answer(
    door: Rc<Door>,
    peer: Peer,
    by: Arc<str>,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    if matches!(peer, Peer::Scraper(_)) {
        return scrape::sink(door, &request).await.into_response();
    }
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let found = find(&method, &path);
    let role = match &found {
        Found::Route(route, _) => route.role,
        Found::OtherMethods(_) | Found::Nothing => Role::Read,
    };
    if let Err(denied) = door.options.access.judge(&peer, role, request.headers()) {
        slog::warn!(door.log, "{method} {path} of {by} is refused: {denied:?}"; "tag" => "admin");
        return Reply::denied(denied).into_response();
    }
    let reply = match found {
        Found::Nothing => Reply::text(StatusCode::NOT_FOUND, help()),
        Found::OtherMethods(allowed) => {
            slog::warn!(door.log, "{method} {path} of {by}: the method is not allowed"; "tag" => "mosn.admin.admin_failed");
            Reply::method_not_allowed(&allowed)
        }
        Found::Route(route, places) => routed(&door, route, places, Arc::clone(&by), request).await,
    };
    if role == Role::Write {
        let status = reply.status.as_u16();
        slog::info!(door.log, "{method} {path} of {by}: {status}"; "tag" => "admin");
    }
    reply.into_response()
}

async fn routed(
    door: &Rc<Door>,
    route: &'static Route,
    places: Vec<String>,
    by: Arc<str>,
    request: Request<Incoming>,
) -> Reply {
    let query = query::parse(request.uri().query().unwrap_or_default());
    let body = match route.takes {
        Form::Nothing => Vec::new(),
        _ => match body(request.into_body()).await {
            Ok(body) => body,
            Err(reply) => return reply,
        },
    };
    let call = Call {
        door: Rc::clone(door),
        by,
        places,
        query,
        body,
    };
    let late = |_| {
        let message = "no answer in time: what runs tells whether it was done";
        Reply::refused(StatusCode::GATEWAY_TIMEOUT, "late", message)
    };
    timeout(ANSWER_WITHIN, (route.handler)(call))
        .await
        .unwrap_or_else(late)
}

async fn body(body: Incoming) -> Result<Vec<u8>, Reply> {
    // What says its length is not waited for.
    if body.size_hint().lower() > LARGEST_BODY as u64 {
        return Err(too_large());
    }
    match timeout(BODY_WITHIN, Limited::new(body, LARGEST_BODY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes().into()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Reply::mosn_error(
            StatusCode::BAD_REQUEST,
            "read body error",
        )),
        Err(_) => {
            let message = "the body did not come in time";
            Err(Reply::refused(StatusCode::REQUEST_TIMEOUT, "late", message))
        }
    }
}

fn too_large() -> Reply {
    let message = format!("a body has at most {} MiB", LARGEST_BODY >> 20);
    Reply::refused(StatusCode::PAYLOAD_TOO_LARGE, "too-large", &message)
}
