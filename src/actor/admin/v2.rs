//! Our own API: what runs as JSON, and every change as JSON in and out.

use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use hyper::header::RETRY_AFTER;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::door::{ANSWERS_WITHIN, Call};
use super::openapi;
use super::reply::Reply;
use crate::actor::root::{ApplyError, Drift, Outcome, Terms, Trial, Want};
use crate::config::{Diagnostic, Diagnostics, Edit, EditError, Fragment, GoDuration, Refused};

/// The longest time in which a change may be confirmed.
const LONGEST_TRIAL: Duration = Duration::from_secs(24 * 3600);

pub(super) async fn healthz(_: Call) -> Reply {
    Reply::text(StatusCode::OK, "ok\n")
}

/// Whether connections are accepted: not while it starts, drains or stops. While one process hands
/// over to another, one of them accepts.
pub(super) async fn readyz(call: Call) -> Reply {
    match call.door.state() {
        6 | 13 => Reply::text(StatusCode::OK, "ready\n"),
        state => {
            let body = format!("not ready: state {state}\n");
            Reply::text(StatusCode::SERVICE_UNAVAILABLE, body)
        }
    }
}

pub(super) async fn openapi(_: Call) -> Reply {
    Reply::json(StatusCode::OK, &openapi::document())
}

pub(super) async fn status(call: Call) -> Reply {
    let running = call.door.root.running();
    let status = json!({
        "pid": std::process::id(),
        "state": call.door.state(),
        "version": running.version,
        "since": time(running.since),
        "confirm_until": running.confirm_until.map(time),
        "listeners": call.door.listeners(),
        "clusters": call.door.clusters(),
    });
    Reply::json(StatusCode::OK, &status)
}

/// As RFC 3339 writes it, in whole seconds.
fn time(at: SystemTime) -> String {
    let at = jiff::Timestamp::try_from(at).unwrap_or_default();
    let whole = jiff::Timestamp::from_second(at.as_second());
    whole.unwrap_or(at).to_string()
}

pub(super) async fn tree(call: Call) -> Reply {
    match timeout(ANSWERS_WITHIN, call.door.root.overview()).await {
        Ok(Ok(overview)) => Reply::json(StatusCode::OK, &json!(overview.tree)),
        Ok(Err(error)) => refused(&error),
        Err(_) => Reply::refused(
            StatusCode::GATEWAY_TIMEOUT,
            "late",
            "the tree does not answer",
        ),
    }
}

pub(super) async fn configuration(call: Call) -> Reply {
    let (version, document) = call.door.document(|document| document).await;
    let body = json!({ "version": version, "configuration": document });
    Reply::json(StatusCode::OK, &body)
}

/// The objects of one kind, or the one with the name in the path.
async fn shown(call: &Call, list: &'static str, key: &'static str) -> Reply {
    let (_, document) = call
        .door
        .document(move |mut document| document.pointer_mut(list).map(Value::take))
        .await;
    let all = document.flatten().unwrap_or_else(|| json!([]));
    let Some(name) = call.places.first() else {
        return Reply::json(StatusCode::OK, &all);
    };
    let found = all
        .as_array()
        .into_iter()
        .flatten()
        .find(|one| one[key] == **name);
    match found {
        Some(found) => Reply::json(StatusCode::OK, found),
        None => Reply::refused(
            StatusCode::NOT_FOUND,
            "not-found",
            &format!("nothing here is named `{name}`"),
        ),
    }
}

pub(super) async fn clusters(call: Call) -> Reply {
    shown(&call, "/cluster_manager/clusters", "name").await
}

pub(super) async fn listeners(call: Call) -> Reply {
    shown(&call, "/servers/0/listeners", "name").await
}

pub(super) async fn routers(call: Call) -> Reply {
    shown(&call, "/servers/0/routers", "router_config_name").await
}

/// Carries out what `edits` makes of the call's body.
async fn edited(call: Call, edits: impl FnOnce(&Call) -> Result<Vec<Edit>, EditError>) -> Reply {
    match edits(&call) {
        Ok(edits) => altered(&call, Want::Edits(edits)).await,
        Err(error) => refused(&ApplyError::Change(Refused::Edit(error))),
    }
}

async fn altered(call: &Call, want: Want) -> Reply {
    let terms = match terms(call) {
        Ok(terms) => terms,
        Err(why) => return Reply::refused(StatusCode::BAD_REQUEST, "malformed", &why),
    };
    match call.door.root.alter(want, terms).await {
        Ok(outcome) => Reply::json(StatusCode::OK, &outcome_json(&outcome)),
        Err(error) => refused(&error),
    }
}

/// On which terms: the parameters `dry_run`, `version` and `confirm_within`.
fn terms(call: &Call) -> Result<Terms, String> {
    let mut terms = Terms {
        by: call.by.clone(),
        ..Terms::default()
    };
    for (name, value) in &call.query {
        match &**name {
            "dry_run" => match &**value {
                "" | "true" | "1" => terms.trial = Trial::DryRun,
                "false" | "0" => terms.trial = Trial::Real,
                _ => return Err(format!("`dry_run` is true or false, not `{value}`")),
            },
            "version" => {
                let version = value.parse();
                terms.version =
                    Some(version.map_err(|_| format!("`version` is a number, not `{value}`"))?);
            }
            "confirm_within" => {
                let time = GoDuration::parse(value).ok().and_then(GoDuration::to_std);
                let time = time.filter(|time| !time.is_zero() && *time <= LONGEST_TRIAL);
                let why =
                    || format!("`confirm_within` is a duration up to 24h, as 30s, not `{value}`");
                terms.confirm_within = Some(time.ok_or_else(why)?);
            }
            other => {
                return Err(format!(
                    "no parameter is called `{other}`; there are dry_run, version, confirm_within"
                ));
            }
        }
    }
    Ok(terms)
}

fn outcome_json(outcome: &Outcome) -> Value {
    json!({
        "version": outcome.version,
        "dry_run": outcome.trial == Trial::DryRun,
        "changes": outcome.summary.changes,
        "connections_affected": outcome.summary.connections_affected,
        "warnings": outcome.warnings.iter().map(finding).collect::<Value>(),
        "confirm_until": outcome.confirm_until.map(time),
    })
}

/// Without line and column: of a document that was edited they are nobody's.
fn finding(found: &Diagnostic) -> Value {
    let mut value = json!(found);
    if let Some(object) = value.as_object_mut() {
        for key in ["file", "line", "column"] {
            object.remove(key);
        }
    }
    value
}

fn findings(found: &Diagnostics, one: impl Fn(&Diagnostic) -> Value) -> Value {
    found.errors().map(one).collect()
}

/// What a refusal is answered with.
fn refused(error: &ApplyError) -> Reply {
    let message = error.to_string();
    let (status, code) = match error {
        ApplyError::Bind(_) => (StatusCode::CONFLICT, "bind"),
        ApplyError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
        ApplyError::Change(Refused::Edit(EditError::NotFound(_))) => {
            (StatusCode::NOT_FOUND, "not-found")
        }
        ApplyError::Change(Refused::Edit(_)) => (StatusCode::BAD_REQUEST, "malformed"),
        ApplyError::Change(Refused::Findings(found)) => {
            let found = findings(found, finding);
            return Reply::error(StatusCode::UNPROCESSABLE_ENTITY, "refused", &message, found);
        }
        ApplyError::Change(Refused::NoDocument) => (StatusCode::CONFLICT, "no-document"),
        ApplyError::Conflict { .. } => (StatusCode::PRECONDITION_FAILED, "version"),
        ApplyError::Draining | ApplyError::Ended => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        ApplyError::NoSuchVersion(_) => (StatusCode::NOT_FOUND, "not-found"),
        ApplyError::NoSource => (StatusCode::CONFLICT, "no-source"),
        ApplyError::NothingToConfirm => (StatusCode::CONFLICT, "nothing-to-confirm"),
        ApplyError::Source(found) => {
            let found = findings(found, |found| json!(found));
            return Reply::error(StatusCode::UNPROCESSABLE_ENTITY, "refused", &message, found);
        }
        ApplyError::Step { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "step"),
        ApplyError::Upgrading => (StatusCode::SERVICE_UNAVAILABLE, "upgrading"),
        ApplyError::Unconfirmed(_) => (StatusCode::CONFLICT, "unconfirmed"),
    };
    let reply = Reply::refused(status, code, &message);
    match error {
        ApplyError::Busy => reply.with(RETRY_AFTER, "1"),
        _ => reply,
    }
}

pub(super) async fn put_configuration(call: Call) -> Reply {
    edited(call, |call| {
        let whole = Fragment::read(&call.body)?;
        // What was shown may be put back as it was shown.
        let whole = whole.part("configuration").unwrap_or(whole);
        Ok(vec![Edit::put_configuration(whole)?])
    })
    .await
}

pub(super) async fn changes(call: Call) -> Reply {
    edited(call, |call| Edit::read_all(&Fragment::read(&call.body)?)).await
}

pub(super) async fn put_cluster(call: Call) -> Reply {
    edited(call, |call| {
        let cluster = Fragment::read(&call.body)?.named("name", call.place(0))?;
        Ok(vec![Edit::put_cluster(cluster)?])
    })
    .await
}

pub(super) async fn delete_cluster(call: Call) -> Reply {
    edited(call, |call| {
        Ok(vec![Edit::RemoveCluster(call.place(0).into())])
    })
    .await
}

pub(super) async fn put_hosts(call: Call) -> Reply {
    edited(call, |call| {
        let hosts = Edit::fragments_of_hosts(&Fragment::read(&call.body)?)?;
        Ok(vec![Edit::PutHosts {
            cluster: call.place(0).into(),
            hosts,
        }])
    })
    .await
}

pub(super) async fn append_hosts(call: Call) -> Reply {
    edited(call, |call| {
        let hosts = Edit::fragments_of_hosts(&Fragment::read(&call.body)?)?;
        Ok(vec![Edit::AppendHosts {
            cluster: call.place(0).into(),
            hosts,
        }])
    })
    .await
}

pub(super) async fn delete_host(call: Call) -> Reply {
    edited(call, |call| {
        let addresses = vec![call.place(1).to_owned()];
        Ok(vec![Edit::RemoveHosts {
            cluster: call.place(0).into(),
            addresses,
        }])
    })
    .await
}

pub(super) async fn put_listener(call: Call) -> Reply {
    edited(call, |call| {
        let listener = Fragment::read(&call.body)?.named("name", call.place(0))?;
        Ok(vec![Edit::put_listener(listener)?])
    })
    .await
}

pub(super) async fn delete_listener(call: Call) -> Reply {
    edited(call, |call| {
        Ok(vec![Edit::RemoveListener(call.place(0).into())])
    })
    .await
}

pub(super) async fn put_router(call: Call) -> Reply {
    edited(call, |call| {
        let router = Fragment::read(&call.body)?.named("router_config_name", call.place(0))?;
        Ok(vec![Edit::put_router(router)?])
    })
    .await
}

pub(super) async fn delete_router(call: Call) -> Reply {
    edited(call, |call| {
        Ok(vec![Edit::RemoveRouter(call.place(0).into())])
    })
    .await
}

pub(super) async fn put_virtual_host(call: Call) -> Reply {
    edited(call, |call| {
        let host = Fragment::read(&call.body)?.named("name", call.place(1))?;
        Ok(vec![Edit::put_virtual_host(call.place(0), host)?])
    })
    .await
}

pub(super) async fn delete_virtual_host(call: Call) -> Reply {
    edited(call, |call| {
        let (router, name) = (call.place(0).into(), call.place(1).to_owned());
        Ok(vec![Edit::RemoveVirtualHost { router, name }])
    })
    .await
}

pub(super) async fn reload(call: Call) -> Reply {
    altered(&call, Want::Reload).await
}

pub(super) async fn drift(call: Call) -> Reply {
    match call.door.root.drift().await {
        Ok(Drift::Changes(summary)) => {
            let same = summary.changes.is_empty();
            let body = json!({ "drift": !same, "changes": summary.changes, "findings": [] });
            Reply::json(StatusCode::OK, &body)
        }
        Ok(Drift::Refused(found)) => {
            let found = findings(&found, |found| json!(found));
            let body = json!({ "drift": true, "changes": [], "findings": found });
            Reply::json(StatusCode::OK, &body)
        }
        Err(error) => refused(&error),
    }
}

pub(super) async fn history(call: Call) -> Reply {
    match call.door.root.history().await {
        Ok(entries) => Reply::json(StatusCode::OK, &json!(entries)),
        Err(error) => refused(&error),
    }
}

pub(super) async fn rollback(call: Call) -> Reply {
    match call.place(0).parse() {
        Ok(version) => altered(&call, Want::Rollback(version)).await,
        Err(_) => Reply::refused(
            StatusCode::BAD_REQUEST,
            "malformed",
            "a version is a number",
        ),
    }
}

pub(super) async fn revert(call: Call) -> Reply {
    altered(&call, Want::Revert).await
}

pub(super) async fn confirm(call: Call) -> Reply {
    let Ok(version) = call.place(0).parse() else {
        return Reply::refused(
            StatusCode::BAD_REQUEST,
            "malformed",
            "a version is a number",
        );
    };
    match call.door.root.confirm(version).await {
        Ok(()) => Reply::json(StatusCode::OK, &json!({ "version": version })),
        Err(error) => refused(&error),
    }
}

pub(super) async fn log_level(call: Call) -> Reply {
    let levels = call.door.options.process.log_levels();
    let levels: Vec<_> = levels
        .iter()
        .map(|(output, level)| json!({ "output": output, "level": level }))
        .collect();
    Reply::json(StatusCode::OK, &json!(levels))
}

pub(super) async fn put_log_level(call: Call) -> Reply {
    let asked = serde_json::from_slice::<Value>(&call.body).unwrap_or_default();
    let (Some(output), Some(level)) = (asked["output"].as_str(), asked["level"].as_str()) else {
        let message = "`output` and `level` are to be strings";
        return Reply::refused(StatusCode::BAD_REQUEST, "malformed", message);
    };
    match call.door.options.process.set_log_level(output, level) {
        true => Reply::json(
            StatusCode::OK,
            &json!([{ "output": output, "level": level }]),
        ),
        false => {
            let message = format!(
                "no log goes to `{output}`, or `{level}` is none of FATAL, ERROR, WARN, INFO, DEBUG, TRACE"
            );
            Reply::refused(StatusCode::UNPROCESSABLE_ENTITY, "refused", &message)
        }
    }
}
