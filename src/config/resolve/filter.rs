//! A listener's filter chain: which network filter takes its connections.

use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::proxy::{fallback, proxy};
use super::{Scope, exclusive};
use crate::config::diagnostics::{Code, Severity};
use crate::config::plan::{NetworkFilter, TcpProxy, TcpRoute};
use crate::config::raw::{Cursor, keys};

/// The filter of `listener`, which has exactly one chain.
pub(super) fn filter(listener: &Cursor<'_>, scope: &mut Scope<'_>) -> NetworkFilter {
    let Some(chain) = only_chain(listener, scope) else {
        return NetworkFilter::Close;
    };
    exclusive(&chain, "tls_context", "tls_context_set", scope);
    let filters = chain.list("filters");
    for at in filters
        .iter()
        .filter(|at| at.get("type").is_none() && !at.is_wrong())
    {
        let message = "this filter has no `type`; it is ignored";
        scope.push(at.warning(Code::UnknownFilter, message));
    }
    let mut taken: Option<(&str, NetworkFilter)> = None;
    // Where a filter is wanted behind the one that takes connections.
    let mut wanted = None;
    for at in &filters {
        let Some((name, name_at)) = at.text("type") else {
            continue;
        };
        if let (Some((_, NetworkFilter::Auto(auto))), "tcp_proxy", Some(_)) =
            (&mut taken, name, &wanted)
        {
            auto.fallback = tcp_proxy(at, scope);
            wanted = None;
            continue;
        }
        if let (Some((first, _)), "proxy" | "tcp_proxy") = (&taken, name) {
            let message = format!("an earlier `{first}` takes every connection");
            scope.push(name_at.note(Code::NoEffect, message));
            continue;
        }
        let found = match name {
            "proxy" => proxy(at, scope),
            "tcp_proxy" => {
                let found = tcp_proxy(at, scope);
                Some(found.map_or(NetworkFilter::Close, NetworkFilter::TcpProxy))
            }
            _ => None,
        };
        if let (None, Some(NetworkFilter::Auto(_))) = (&taken, &found) {
            wanted = fallback(at);
        }
        taken = taken.or_else(|| found.map(|found| (name, found)));
    }
    if let Some(at) = wanted {
        nothing_follows(&at, scope);
    }
    if taken.is_none() {
        unusable(&chain, &filters, scope);
    }
    taken.map_or(NetworkFilter::Close, |(_, filter)| filter)
}

/// Says that connections are closed that were to go to a filter behind.
fn nothing_follows(at: &Cursor<'_>, scope: &mut Scope<'_>) {
    let message = "no `tcp_proxy` follows this `proxy`: what speaks no known protocol is closed";
    let diagnostic = at.warning(Code::NoUsableFilter, message);
    scope.push(diagnostic.accepted("a `tcp_proxy` behind it"));
}

/// Says that connections are closed: a warning, unless it was warned already that a filter here is
/// not yet in effect.
fn unusable(chain: &Cursor<'_>, filters: &[Cursor<'_>], scope: &mut Scope<'_>) {
    let at = chain.get("filters").unwrap_or_else(|| chain.clone());
    if at.is_wrong() {
        return;
    }
    let is_known = |at: &Cursor<'_>| {
        at.text("type")
            .is_some_and(|(name, _)| keys::is_network_filter(name))
    };
    let severity = if filters.iter().any(is_known) {
        Severity::Note
    } else {
        Severity::Warning
    };
    let message = "no filter here is in effect: connections are closed at once";
    scope.push(
        at.finding(severity, Code::NoUsableFilter, message)
            .accepted("proxy, tcp_proxy"),
    );
}

fn only_chain<'a>(listener: &Cursor<'a>, scope: &mut Scope<'_>) -> Option<Cursor<'a>> {
    let mut chains = listener.list("filter_chains");
    if chains.len() == 1 {
        return chains.pop().filter(|chain| !chain.is_wrong());
    }
    let at = listener
        .get("filter_chains")
        .unwrap_or_else(|| listener.clone());
    if !at.is_wrong() && !listener.is_wrong() {
        let diagnostic = at.error(Code::WrongCount, "a listener has exactly one filter chain");
        scope.push(diagnostic.found(chains.len().to_string()).accepted("1"));
    }
    None
}

/// `None` when it names no cluster, which closes its connections.
fn tcp_proxy(filter: &Cursor<'_>, scope: &mut Scope<'_>) -> Option<TcpProxy> {
    let config = filter.get("config").unwrap_or_else(|| filter.clone());
    let routes = config.list("routes");
    if let Some((name, at)) = config.text("cluster") {
        if let Some(routes) = config.get("routes").filter(|_| !routes.is_empty()) {
            let message = "`routes` are not looked at where `cluster` is given";
            scope.push(routes.note(Code::NoEffect, message));
        }
        return scope.cluster(name, &at).map(TcpProxy::Cluster);
    }
    if routes.is_empty() {
        let message = "`tcp_proxy` names no cluster: connections are closed at once";
        let diagnostic = config.warning(Code::NoUsableFilter, message);
        scope.push(diagnostic.accepted("`cluster`, or `routes`"));
        return None;
    }
    Some(TcpProxy::Routes(
        routes.iter().filter_map(|at| route(at, scope)).collect(),
    ))
}

fn route(at: &Cursor<'_>, scope: &mut Scope<'_>) -> Option<TcpRoute> {
    let cluster = match at.text("Cluster") {
        Some((name, at)) => scope.cluster(name, &at),
        None => {
            if !at.is_wrong() && !at.get("Cluster").is_some_and(|at| at.is_wrong()) {
                scope.push(at.error(Code::MissingKey, "a route needs a `Cluster`"));
            }
            None
        }
    };
    let route = TcpRoute {
        sources: networks(at, "SourceAddrs", scope),
        destinations: networks(at, "DestinationAddrs", scope),
        source_ports: ports(at, "SourcePort", scope),
        destination_ports: ports(at, "DestinationPort", scope),
        cluster: cluster?,
    };
    for criterion in [
        "SourceAddrs",
        "DestinationAddrs",
        "SourcePort",
        "DestinationPort",
    ] {
        if at.text(criterion).is_none() && at.list(criterion).is_empty() {
            let message = format!("this route never matches: its `{criterion}` is empty");
            scope.push(at.warning(Code::NeverMatches, message));
            break;
        }
    }
    Some(route)
}

fn networks(route: &Cursor<'_>, name: &str, scope: &mut Scope<'_>) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for at in route.list(name) {
        let address = at.text("Address").and_then(|(text, _)| text.parse().ok());
        // Go leaves an absent length at 0, which is every address.
        let length = at.integer("Length").map_or(0, |(length, _)| length);
        let length = u8::try_from(length).unwrap_or(u8::MAX);
        match address.and_then(|address| IpNet::new(address, length).ok()) {
            Some(network) => networks.push(network.trunc()),
            None if at.is_wrong() => {}
            None => scope.push(
                at.error(Code::BadAddress, "this is no network")
                    .accepted("{\"Address\": \"10.0.0.0\", \"Length\": 8}"),
            ),
        }
    }
    networks
}

fn ports(route: &Cursor<'_>, name: &str, scope: &mut Scope<'_>) -> Vec<RangeInclusive<u16>> {
    let Some((text, at)) = route.text(name) else {
        return Vec::new();
    };
    match text.split(',').map(range).collect() {
        Some(ranges) => ranges,
        None => {
            let diagnostic = at.error(Code::BadPorts, "this is no list of ports");
            scope.push(
                diagnostic
                    .found(at.brief())
                    .accepted("`80`, `80,443` or `8000-8100`"),
            );
            Vec::new()
        }
    }
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some(first..=last)
}
