//! What concerns the process as a whole: the one server, and the keys beside it.

use std::path::PathBuf;

use super::{Scope, log, metrics};
use crate::config::diagnostics::Code;
use crate::config::plan::{Server, Upgrade, Workers};
use crate::config::raw::Cursor;

/// More threads than any machine has use for; a larger number is a mistake.
const MOST_WORKERS: i64 = 1024;

/// The element of `servers`, which must be one.
pub(super) fn only<'a>(top: &Cursor<'a>, scope: &mut Scope<'_>) -> Option<Cursor<'a>> {
    let mut servers = top.list("servers");
    if servers.len() == 1 {
        return servers.pop();
    }
    let at = top.get("servers").unwrap_or_else(|| top.clone());
    if !at.is_wrong() {
        let diagnostic = at.error(Code::WrongCount, "`servers` holds exactly one server");
        scope.push(diagnostic.found(servers.len().to_string()).accepted("1"));
    }
    None
}

pub(super) fn server(top: &Cursor<'_>, scope: &mut Scope<'_>) -> Server {
    let disabled = top.flag("disable_upgrade") || top.flag("close_graceful");
    let mut resolved = Server {
        admin: admin(top),
        metrics: metrics::metrics(top, scope),
        upgrade: if disabled {
            Upgrade::Disabled
        } else {
            Upgrade::Enabled
        },
        pid_file: top.text("pid").map(|(path, _)| PathBuf::from(path)),
        socket_directory: top.text("uds_dir").map(|(path, _)| PathBuf::from(path)),
        ..Server::default()
    };
    if let Some(server) = top.list("servers").first() {
        let timeout = scope.duration(server, "graceful_timeout");
        if let Some(timeout) = timeout.filter(|timeout| !timeout.is_zero()) {
            resolved.graceful_timeout = timeout;
            if let Some(at) = server.get("graceful_timeout") {
                let message = "connections move at their next rest, whenever that is; those that \
                               do not have the time of any drain, `drain_time_s`";
                scope.push(at.note(Code::NoEffect, message));
            }
        }
        resolved.log = log::log(server, scope);
        resolved.workers = workers(server, scope);
        if let Some((name, _)) = server.text("mosn_server_name") {
            name.clone_into(&mut resolved.name);
        }
    }
    resolved
}

/// `address:port` as it stands, empty and 0 where nothing does.
fn admin(top: &Cursor<'_>) -> Option<String> {
    let admin = top.get("admin").filter(|admin| !admin.is_wrong())?;
    let socket = admin
        .get("address")
        .and_then(|address| address.get("socket_address"));
    let host = socket
        .as_ref()
        .and_then(|socket| socket.text("address"))
        .map_or("", |(a, _)| a);
    let port = socket
        .as_ref()
        .and_then(|socket| socket.integer("port_value"));
    Some(format!("{host}:{}", port.map_or(0, |(port, _)| port)))
}

fn workers(server: &Cursor<'_>, scope: &mut Scope<'_>) -> Workers {
    let Some(at) = server.get("processor") else {
        return Workers::Auto;
    };
    let number = match (at.as_integer(), at.as_text()) {
        (Some(number), _) => number,
        (None, None) => return Workers::Auto,
        (None, Some(text)) => match text.parse() {
            Ok(number) => number,
            Err(_) => {
                if !text.is_empty() && !text.eq_ignore_ascii_case("auto") {
                    scope.push(
                        at.warning(
                            Code::UnknownValue,
                            "one worker a CPU is used instead of this",
                        )
                        .found(at.brief())
                        .accepted("an integer or \"auto\"")
                        .suggest(Some("auto")),
                    );
                }
                return Workers::Auto;
            }
        },
    };
    match number {
        ..1 => Workers::Auto,
        1..=MOST_WORKERS => usize::try_from(number).map_or(Workers::Auto, Workers::Fixed),
        _ => {
            let diagnostic = at.error(Code::OutOfRange, "these are too many workers");
            let accepted = format!("an integer from 0 to {MOST_WORKERS}, or \"auto\"");
            scope.push(diagnostic.found(at.brief()).accepted(accepted));
            Workers::Auto
        }
    }
}
