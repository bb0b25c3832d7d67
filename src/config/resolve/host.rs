//! The hosts of a cluster.

use std::collections::HashSet;

use super::Scope;
use super::address::{AddressError, HostPort, host_name, socket_path};
use super::metadata::metadata;
use crate::config::diagnostics::Code;
use crate::config::plan::{Address, Host, HostAddress};
use crate::config::raw::Cursor;

/// MOSN's bounds of a weight.
const WEIGHTS: std::ops::RangeInclusive<u32> = 1..=128;

/// The port of a host that a resolver expands when it names none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum DefaultPort {
    Required,
    Http,
}

/// The hosts of `cluster`, each address once: the first one counts.
pub(super) fn hosts(
    cluster: &Cursor<'_>,
    default_port: DefaultPort,
    scope: &mut Scope<'_>,
) -> Vec<Host> {
    let mut seen = HashSet::new();
    let mut hosts = Vec::new();
    for at in cluster.list("hosts") {
        let weight = weight(&at, scope);
        let Some(address) = address(&at, default_port, scope) else {
            continue;
        };
        if !seen.insert(address.clone()) {
            let at = at.get("address").unwrap_or(at);
            let message = "this address is given twice in its cluster; the first one counts";
            scope.push(at.warning(Code::DuplicateHost, message).found(at.brief()));
            continue;
        }
        let hostname = at.text("hostname").map(|(text, _)| text.to_owned());
        hosts.push(Host {
            address,
            hostname,
            metadata: metadata(&at, "metadata", scope),
            weight,
        });
    }
    hosts
}

fn address(
    host: &Cursor<'_>,
    default_port: DefaultPort,
    scope: &mut Scope<'_>,
) -> Option<HostAddress> {
    let Some((text, at)) = host.text("address") else {
        if !host.get("address").is_some_and(|at| at.is_wrong()) && !host.is_wrong() {
            let message = "a host needs an `address`";
            scope.push(host.error(Code::MissingKey, message).accepted(FORMS));
        }
        return None;
    };
    match parse(text, default_port) {
        Ok(address) => Some(address),
        Err(error) => {
            let diagnostic = at.error(Code::BadAddress, error.to_string());
            scope.push(diagnostic.found(at.brief()).accepted(FORMS));
            None
        }
    }
}

const FORMS: &str = "`ip:port`, `name:port`, `[ipv6]:port` or `unix:/path`";

fn parse(text: &str, default_port: DefaultPort) -> Result<HostAddress, AddressError> {
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok(HostAddress::Socket(Address::Unix(socket_path(path)?)));
    }
    let found = match HostPort::parse(text) {
        Err(AddressError::PortMissing) if default_port == DefaultPort::Http => HostPort {
            host: text.trim_end_matches(':'),
            port: 80,
        },
        found => found?,
    };
    if found.port == 0 {
        return Err(AddressError::Port("0".to_owned()));
    }
    match found.literal() {
        Some(address) => Ok(HostAddress::Socket(Address::Tcp(address))),
        None => Ok(HostAddress::Name(host_name(found.host)?.into(), found.port)),
    }
}

fn weight(host: &Cursor<'_>, scope: &mut Scope<'_>) -> u32 {
    let Some((written, at)) = host.integer("weight") else {
        return *WEIGHTS.start();
    };
    let weight = u32::try_from(written).unwrap_or(u32::MAX);
    let clamped = weight.clamp(*WEIGHTS.start(), *WEIGHTS.end());
    if clamped != weight {
        let message = format!("the weight is taken as {clamped}");
        let diagnostic = at.note(Code::WeightClamped, message);
        scope.push(
            diagnostic
                .found(at.brief())
                .accepted("an integer from 1 to 128"),
        );
    }
    clamped
}
