//! How a cluster's names are resolved.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::Scope;
use super::address::host_name;
use crate::config::diagnostics::Code;
use crate::config::plan::{Dns, DnsServers, Family, Ttl};
use crate::config::raw::Cursor;

const KEYS: &[&str] = &[
    "dns_refresh_rate",
    "respect_dns_ttl",
    "dns_lookup_family",
    "dns_resolvers",
    "dns_resolver_file",
    "dns_resolver_port",
];

/// What a server may take to answer, and how often all are asked, as in `resolv.conf`.
const TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPTS: usize = 2;

/// More attempts, dots or seconds than these say no more.
const MOST: i64 = 100;

/// Says of each key that only a `STRICT_DNS` cluster asks for names.
pub(super) fn without_effect(cluster: &Cursor<'_>, scope: &mut Scope<'_>) {
    for key in KEYS {
        if let Some(at) = cluster.filled(key) {
            let message = format!("`{key}` has an effect only with `type` `STRICT_DNS`");
            scope.push(at.note(Code::NoEffect, message));
        }
    }
}

pub(super) fn dns(cluster: &Cursor<'_>, scope: &mut Scope<'_>) -> Dns {
    let refresh = scope.duration(cluster, "dns_refresh_rate");
    let ttl = match cluster.flag("respect_dns_ttl") {
        true => Ttl::Respected,
        false => Ttl::Ignored,
    };
    Dns {
        refresh: refresh
            .filter(|refresh| !refresh.is_zero())
            .unwrap_or(Dns::REFRESH),
        ttl,
        family: family(cluster, scope),
        servers: servers(cluster, scope),
    }
}

fn family(cluster: &Cursor<'_>, scope: &mut Scope<'_>) -> Family {
    match cluster.text("dns_lookup_family") {
        None | Some(("V4_ONLY" | "", _)) => Family::V4,
        Some(("V6_ONLY", _)) => Family::V6,
        Some((_, at)) => {
            let message = "V4_ONLY is used instead, as in MOSN";
            let accepted = "V4_ONLY, V6_ONLY";
            scope.push(
                at.warning(Code::UnknownValue, message)
                    .found(at.brief())
                    .accepted(accepted),
            );
            Family::V4
        }
    }
}

fn servers(cluster: &Cursor<'_>, scope: &mut Scope<'_>) -> DnsServers {
    let listed = cluster.get("dns_resolvers");
    if let Some(at) = listed.as_ref().filter(|at| !at.list("servers").is_empty()) {
        return self::listed(at, scope);
    }
    if let Some(at) = listed {
        let message = "without `servers` the servers of `dns_resolver_file` are asked";
        scope.push(at.note(Code::NoEffect, message));
    }
    let file = cluster.text("dns_resolver_file").map(|(file, _)| file);
    let file = file.filter(|file| !file.is_empty());
    DnsServers::File {
        path: PathBuf::from(file.unwrap_or(DnsServers::FILE)),
        port: port(cluster, "dns_resolver_port", scope),
    }
}

fn listed(at: &Cursor<'_>, scope: &mut Scope<'_>) -> DnsServers {
    let mut servers = Vec::new();
    for at in at.list("servers") {
        match at.as_text().map(str::parse::<IpAddr>) {
            Some(Ok(server)) => servers.push(server),
            Some(Err(_)) => scope.push(
                at.error(Code::BadAddress, "a DNS server is an IP address")
                    .found(at.brief())
                    .accepted("an IPv4 or IPv6 address without a port"),
            ),
            None => {}
        }
    }
    let mut search = Vec::new();
    for at in at.list("search") {
        let Some(domain) = at.as_text() else { continue };
        match host_name(domain) {
            Ok(domain) => search.push(domain.to_owned()),
            Err(error) => {
                scope.push(
                    at.error(Code::BadAddress, error.to_string())
                        .found(at.brief()),
                );
            }
        }
    }
    let timeout = count(at, "timeout", scope);
    DnsServers::Listed {
        servers,
        port: port(at, "port", scope),
        search,
        ndots: count(at, "ndots", scope).unwrap_or(1),
        timeout: timeout.map_or(TIMEOUT, |seconds| Duration::from_secs(seconds as u64)),
        attempts: count(at, "attempts", scope).unwrap_or(ATTEMPTS),
    }
}

/// A count from 1 on; 0 is as if nothing were said.
fn count(at: &Cursor<'_>, key: &str, scope: &mut Scope<'_>) -> Option<usize> {
    let (count, at) = at.integer(key)?;
    if !(0..=MOST).contains(&count) {
        scope.push(
            at.error(Code::OutOfRange, format!("`{key}` makes no sense"))
                .found(at.brief())
                .accepted("an integer from 0 to 100"),
        );
    }
    usize::try_from(count).ok().filter(|count| *count != 0)
}

fn port(at: &Cursor<'_>, key: &str, scope: &mut Scope<'_>) -> u16 {
    let Some((text, at)) = at.text(key).filter(|(text, _)| !text.is_empty()) else {
        return DnsServers::PORT;
    };
    match text.parse() {
        Ok(port @ 1..) => port,
        Ok(0) | Err(_) => {
            scope.push(
                at.error(Code::BadAddress, "this is no port")
                    .found(at.brief())
                    .accepted("a number from 1 to 65535, as text"),
            );
            DnsServers::PORT
        }
    }
}
