//! MOSN's `/api/v1/`, shape by shape.

use std::collections::BTreeMap;

use hyper::StatusCode;
use serde_json::{Value, json};

use super::door::Call;
use super::dump;
use super::process::Logging;
use super::reply::{Reply, go_json};
use super::routes::Verb;
use super::stats;

pub(super) async fn version(call: Call) -> Reply {
    let version = call.door.options.process.version();
    Reply::text(StatusCode::OK, format!("mosn version: {version}"))
}

pub(super) async fn states(call: Call) -> Reply {
    let (pid, state) = (std::process::id(), call.door.state());
    Reply::text(StatusCode::OK, format!("pid={pid}&state={state}\n"))
}

pub(super) async fn config_dump(call: Call) -> Reply {
    if call.distinct() > 1 {
        return Reply::text(StatusCode::BAD_REQUEST, "only support one parameter");
    }
    let parameter = call.query.first().cloned();
    let (_, dumped) = call
        .door
        .document(move |document| dumped(parameter, &document))
        .await;
    // A plan without a document shows what MOSN shows before it has a configuration.
    let dumped = dumped.unwrap_or_else(|| dumped_of_nothing(&call));
    match dumped {
        Some(text) => Reply::text(StatusCode::OK, text),
        None => Reply::mosn_error(StatusCode::INTERNAL_SERVER_ERROR, "internal error"),
    }
}

fn dumped_of_nothing(call: &Call) -> Option<String> {
    dumped(call.query.first().cloned(), &json!({}))
}

/// `None` when there is no such parameter.
fn dumped(parameter: Option<(String, String)>, document: &Value) -> Option<String> {
    let Some((name, value)) = parameter else {
        return Some(go_json(&dump::whole(document), None));
    };
    let none = || json!({});
    let shown = match &*name {
        "mosnconfig" => dump::mosn_config(document),
        "alllisteners" => dump::listeners(document).into(),
        "allclusters" => dump::clusters(document).into(),
        "allrouters" => dump::routers(document).into(),
        "listener" => dump::listeners(document)
            .remove(&value)
            .unwrap_or_else(none),
        "cluster" => {
            let found = dump::clusters(document).remove(&value);
            found.unwrap_or_else(|| dump::cluster(&none()))
        }
        "router" => dump::routers(document).remove(&value).unwrap_or_else(none),
        _ => return None,
    };
    Some(go_json(&shown, Some(" ")))
}

pub(super) async fn stats(call: Call) -> Reply {
    if call.distinct() > 1 {
        return Reply::text(StatusCode::BAD_REQUEST, "only support one parameter");
    }
    let asked = !call.query.is_empty();
    let key = call.parameter("key").unwrap_or_default().to_owned();
    let shown = call.door.counted(move |mut objects, matcher| {
        if asked {
            objects.retain(|object| stats::key(object) == key);
            if objects.is_empty() {
                return format!("no metrics key: {key}");
            }
        }
        go_json(&stats::to_json(&objects, matcher), Some("\t"))
    });
    match shown.await {
        Some(text) => Reply::text(StatusCode::OK, text),
        None => Reply::mosn_error(StatusCode::INTERNAL_SERVER_ERROR, "internal error"),
    }
}

pub(super) async fn stats_glob(call: Call) -> Reply {
    let shown = call.door.counted(|objects, matcher| {
        let mut objects = objects.iter();
        let global = objects.find(|object| stats::key(object) == "downstream.proxy.global");
        let numbers = global.map(|global| stats::numbers(global, matcher));
        let lines = numbers.into_iter().flatten();
        lines
            .map(|(key, value)| format!("{key}:{value}\n"))
            .collect()
    });
    let text: String = shown.await.unwrap_or_default();
    Reply::text(StatusCode::OK, text)
}

/// Levels by MOSN's names.
const MOSN_LEVELS: &str = "FATAL, ERROR, WARN, INFO, DEBUG, TRACE";

pub(super) async fn get_loglevel(call: Call) -> Reply {
    let levels: BTreeMap<_, _> = call.door.options.process.log_levels().into_iter().collect();
    Reply::text(StatusCode::OK, go_json(&json!(levels), None))
}

pub(super) async fn update_loglevel(call: Call) -> Reply {
    let asked = serde_json::from_slice::<Value>(&call.body).unwrap_or_default();
    let text = |key: &str| asked[key].as_str().unwrap_or_default().to_owned();
    let (path, level) = (text("log_path"), text("log_level"));
    let process = &call.door.options.process;
    if asked.is_object() && process.set_log_level(&path, &level) {
        return Reply::text(StatusCode::OK, "update logger success\n");
    }
    let logs: Vec<_> = process.log_levels().into_iter().collect();
    let why = match logs.first() {
        _ if !asked.is_object() => "this is not JSON with `log_path` and `log_level`".to_owned(),
        Some((output, _)) if *output != path => {
            format!("no log has the `log_path` {path:?}; there is {output:?}")
        }
        Some(_) => format!("no level is called {level:?}; there are {MOSN_LEVELS}"),
        None => "there is no log".to_owned(),
    };
    let message = format!("update logger failed: {why}");
    Reply::mosn_error(StatusCode::BAD_REQUEST, &message)
}

pub(super) async fn enable_log(call: Call) -> Reply {
    toggle(&call, Logging::Enabled, "enable")
}

pub(super) async fn disable_log(call: Call) -> Reply {
    toggle(&call, Logging::Disabled, "disable")
}

fn toggle(call: &Call, logging: Logging, word: &str) -> Reply {
    let output = String::from_utf8_lossy(&call.body);
    match call.door.options.process.set_log_enabled(&output, logging) {
        true => Reply::text(StatusCode::OK, format!("{word} logger success\n")),
        false => Reply::mosn_error(StatusCode::BAD_REQUEST, &format!("{word} logger failed")),
    }
}

const PLUGIN_USAGE: &str = "Usage:\n/plugin?status=all\n/plugin?status=pluginname\n\
                            /plugin?enable=pluginname\n/plugin?disable=pluginname\n";

/// There are no plugins: none is registered, and all of them are no line.
pub(super) async fn plugin(call: Call) -> Reply {
    let named = ["enable", "disable", "status"];
    let asked = named
        .iter()
        .find_map(|name| Some((*name, call.parameter(name)?)));
    match asked {
        None => Reply::text(StatusCode::BAD_REQUEST, PLUGIN_USAGE),
        Some(("status", "all")) => Reply::text(StatusCode::OK, ""),
        Some(("status", plugin)) => no_plugin(plugin),
        // What would change something is asked by POST.
        Some(_) => Reply::method_not_allowed(Verb::Post.as_str()),
    }
}

pub(super) async fn change_plugin(call: Call) -> Reply {
    let asked = ["enable", "disable"]
        .iter()
        .find_map(|name| call.parameter(name));
    match asked {
        Some(plugin) => no_plugin(plugin),
        None => plugin(call).await,
    }
}

fn no_plugin(plugin: &str) -> Reply {
    Reply::text(
        StatusCode::BAD_REQUEST,
        format!("plugin {plugin} no register"),
    )
}

pub(super) async fn features(call: Call) -> Reply {
    let features: BTreeMap<_, _> = call.door.options.process.features().into_iter().collect();
    if call.query.is_empty() {
        return Reply::text(StatusCode::OK, go_json(&json!(features), Some(" ")));
    }
    let key = call.parameter("key").unwrap_or_default();
    let on = features.get(key).copied().unwrap_or(false);
    Reply::text(StatusCode::OK, on.to_string())
}

pub(super) async fn env(call: Call) -> Reply {
    let names = call.query.iter().filter(|(name, _)| name == "key");
    let (mut found, mut missing) = (BTreeMap::new(), Vec::new());
    for (_, name) in names {
        match call.door.options.process.variable(name) {
            Some(value) => {
                found.insert(name.clone(), value);
            }
            None => missing.push(name.clone()),
        }
    }
    if found.is_empty() && missing.is_empty() {
        return Reply::mosn_error(StatusCode::BAD_REQUEST, "no env key");
    }
    let missing = if missing.is_empty() {
        Value::Null
    } else {
        json!(missing)
    };
    let answer = json!({ "env": found, "not_found": missing });
    Reply::text(StatusCode::OK, go_json(&answer, Some(" ")))
}

/// Envoy's, as Istio asks for it: only a state that is not live is said.
pub(super) async fn server_info(call: Call) -> Reply {
    let state = match call.door.state() {
        0..=2 => "PRE_INITIALIZING",
        3 | 4 => "INITIALIZING",
        5 | 6 | 12 => return Reply::text(StatusCode::OK, "{}"),
        _ => "DRAINING",
    };
    Reply::text(StatusCode::OK, format!("{{\"state\":\"{state}\"}}"))
}
