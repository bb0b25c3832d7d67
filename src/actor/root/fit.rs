//! What a listener's requests need, made once: its stream filters and its access logs. And the logs
//! of health checks.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::{ApplyError, Options};
use crate::config::{self, AccessLog, EventFormat, NetworkFilter, RpcProtocol, Spoken};
use crate::filter::Chain;
use crate::name::ClusterName;
use crate::protocol::Codecs;
use crate::proxy::http::Fitting;
use crate::telemetry::access_log::Log;
use crate::telemetry::log::Output;

/// Makes the filters of a listener, and opens its access logs.
///
/// A filter that cannot be made is left out and said, as MOSN does.
///
/// # Errors
///
/// [`ApplyError::Step`] when a log cannot be opened.
pub(super) async fn fit(
    options: &Options,
    listener: Arc<config::Listener>,
) -> Result<Fitting, ApplyError> {
    let (chain, left_out) = Chain::new(&listener.stream_filters, &options.filters);
    for why in left_out {
        slog::error!(options.log, "listener `{}`: {why}", listener.name; "tag" => "config");
    }
    for name in unheard_of(&listener, &options.codecs) {
        slog::error!(options.log, "listener `{}`: no protocol is called `{name}`: its connections end",
            listener.name; "tag" => "config");
    }
    let mut logs = Vec::with_capacity(listener.access_logs.len());
    for access_log in &listener.access_logs {
        let log = match output(options, &listener, access_log) {
            Ok(output) => open(options, output).await,
            Err(reason) => Err(reason),
        };
        logs.push(log.map_err(|reason| ApplyError::Step {
            step: "access log",
            reason: format!("listener `{}`: {reason}", listener.name),
        })?);
    }
    let codecs = options.codecs.clone();
    Ok(Fitting::new(listener, chain, logs, codecs))
}

/// The protocols that a listener names and nobody brings.
fn unheard_of<'a>(listener: &'a config::Listener, codecs: &'a Codecs) -> Vec<&'a str> {
    let named = match &listener.filter {
        NetworkFilter::Auto(auto) => &*auto.spoken,
        NetworkFilter::Rpc(rpc) => return unknown(&rpc.protocol, codecs).into_iter().collect(),
        _ => &[],
    };
    let rpc = named.iter().filter_map(|one| match one {
        Spoken::Rpc(protocol) => unknown(protocol, codecs),
        Spoken::Http1 => None,
    });
    rpc.collect()
}

fn unknown<'a>(protocol: &'a RpcProtocol, codecs: &Codecs) -> Option<&'a str> {
    let name = protocol.name();
    codecs.find(name).is_none().then_some(name)
}

/// The logs of health checks by cluster, with what is written to each.
pub(super) type EventLogs = HashMap<ClusterName, (Log, EventFormat)>;

/// Opens the logs that the health checks of some clusters are written to.
///
/// # Errors
///
/// [`ApplyError::Step`] when one cannot be opened.
pub(super) async fn event_logs(
    options: &Options,
    clusters: &[Arc<config::Cluster>],
) -> Result<EventLogs, ApplyError> {
    let mut logs = EventLogs::new();
    for cluster in clusters {
        let check = cluster.health_check.as_ref();
        let Some(event_log) = check.and_then(|check| check.event_log.as_ref()) else {
            continue;
        };
        let log = match event_log.path.parse() {
            Ok(output) => open(options, output).await,
            Err(error) => Err(format!("{}: {error}", event_log.path)),
        };
        let log = log.map_err(|reason| ApplyError::Step {
            step: "health check log",
            reason: format!("cluster `{}`: {reason}", cluster.name),
        })?;
        logs.insert(cluster.name.clone(), (log, event_log.format));
    }
    Ok(logs)
}

async fn open(options: &Options, output: Output) -> Result<Log, String> {
    let access = options.access.clone();
    // Files and name resolution may block.
    let opened = spawn_blocking(move || access.open(&output)).await;
    let opened = opened.map_err(|_| "opening it panicked".to_owned())?;
    opened.map_err(|error| error.to_string())
}

/// Without a path it is a file named for the listener (MOSN 1.4), where there is a directory of
/// logs.
fn output(
    options: &Options,
    listener: &config::Listener,
    access_log: &AccessLog,
) -> Result<Output, String> {
    match (&*access_log.path, &options.log_directory) {
        ("", Some(directory)) => {
            let file = format!("{}_access.log", listener.name.as_str().replace('/', "_"));
            Ok(Output::File(directory.join(file)))
        }
        (path, _) => path.parse().map_err(|error| format!("{path}: {error}")),
    }
}
