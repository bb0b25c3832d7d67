//! The listeners: where they accept, and that no two accept in one place.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use super::Scope;
use super::access::access_logs;
use super::address::{AddressError, HostPort, host_name, socket_path};
use super::filter::filter;
use super::stream::stream_filters;
use crate::config::diagnostics::Code;
use crate::config::load::Surroundings;
use crate::config::plan::{Address, Bind, Listener, NetworkFilter, Spoken, Target};
use crate::config::raw::{Cursor, Value, nearest, quote};
use crate::name::ListenerName;

const NETWORKS: [&str; 3] = ["tcp", "udp", "unix"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Network {
    Tcp,
    Udp,
    Unix,
}

pub(super) fn listeners(server: &Cursor<'_>, scope: &mut Scope<'_>) -> Vec<Arc<Listener>> {
    let mut found: Vec<(Listener, Cursor<'_>)> = Vec::new();
    let mut places: HashMap<ListenerName, usize> = HashMap::new();
    for at in server.list("listeners") {
        let Some(listener) = listener(&at, scope) else {
            continue;
        };
        let Some(&index) = places.get(&listener.name) else {
            places.insert(listener.name.clone(), found.len());
            found.push((listener, at));
            continue;
        };
        let name = at.get("name").unwrap_or_else(|| at.clone());
        if found[index].0.address == listener.address {
            let message = "two listeners have this name and address; the last one counts";
            scope.push(
                name.warning(Code::DuplicateListener, message)
                    .found(name.brief()),
            );
            found[index] = (listener, at);
        } else {
            let message = "two listeners with different addresses have this name";
            scope.push(
                name.error(Code::DuplicateListener, message)
                    .found(name.brief()),
            );
        }
    }
    let mut bound = Bound::default();
    for (listener, at) in &found {
        let address = at.get("address").unwrap_or_else(|| at.clone());
        if listener.bind == Bind::Port {
            bound.claim(listener, &address, scope);
        } else if !at.get("bind_port").is_some_and(|at| at.is_wrong()) {
            let message = "nothing listens here, because `bind_port` is not true";
            scope.push(address.note(Code::NotBound, message).found(address.brief()));
        }
    }
    found
        .into_iter()
        .map(|(listener, _)| Arc::new(listener))
        .collect()
}

/// `None` when an error, or a network that is not yet in effect, keeps it out of the plan.
fn listener(at: &Cursor<'_>, scope: &mut Scope<'_>) -> Option<Listener> {
    if at.is_wrong() {
        return None;
    }
    let network = network(at, scope);
    let address = network.and_then(|network| address(at, network, scope));
    let filter = filter(at, scope);
    let stream_filters = stream_filters(at, scope);
    let access_logs = access_logs(at, scope);
    beside(at, &filter, scope);
    let idle_timeout = match at.get("connection_idle_timeout") {
        Some(_) => scope
            .duration(at, "connection_idle_timeout")
            .filter(|t| !t.is_zero()),
        None => Some(Listener::IDLE_TIMEOUT),
    };
    if network == Some(Network::Udp) {
        return None;
    }
    let (address, shown) = address?;
    let name = at.text("name").map_or(&*shown, |(name, _)| name).into();
    let bind = if at.flag("bind_port") {
        Bind::Port
    } else {
        Bind::Virtual
    };
    Some(Listener {
        name,
        address,
        bind,
        idle_timeout,
        filter,
        stream_filters,
        access_logs,
    })
}

/// Says what the keys of requests do beside a filter that knows of none.
fn beside(listener: &Cursor<'_>, filter: &NetworkFilter, scope: &mut Scope<'_>) {
    match filter {
        NetworkFilter::Close => {}
        NetworkFilter::Auto(auto) => {
            for one in &auto.spoken {
                let as_one = match one {
                    Spoken::Http1 => NetworkFilter::Proxy(auto.http.clone()),
                    Spoken::Rpc(_) => NetworkFilter::Rpc(auto.rpc.clone()),
                };
                beside(listener, &as_one, scope);
            }
        }
        NetworkFilter::TcpProxy(_) => {
            for key in ["stream_filters", "access_logs"] {
                if let Some(at) = listener.filled(key) {
                    let message = format!("`{key}` are of requests, and a `tcp_proxy` knows none");
                    scope.push(at.note(Code::NoEffect, message));
                }
            }
        }
        NetworkFilter::Rpc(rpc) => {
            if let Target::Router(router) = &rpc.target
                && scope.mirroring.contains(router)
            {
                let message = format!(
                    "MOSN 1.4 copies no requests of `{}`; here the routes decide",
                    rpc.protocol.name()
                );
                scope.push(listener.note(Code::DiffersFromMosn, message));
            }
        }
        NetworkFilter::Proxy(proxy) => {
            let Target::Router(router) = &proxy.target else {
                return;
            };
            let filters = listener.list("stream_filters");
            let is_mirror = |at: &Cursor<'_>| at.text("type").is_some_and(|(t, _)| t == "mirror");
            if scope.mirroring.contains(router) && !filters.iter().any(is_mirror) {
                let message = "MOSN 1.4 copies requests only where a listener has the stream \
                               filter `mirror`; here the routes decide";
                scope.push(listener.note(Code::DiffersFromMosn, message));
            }
        }
    }
}

fn network(listener: &Cursor<'_>, scope: &mut Scope<'_>) -> Option<Network> {
    let Some((text, at)) = listener.text("network") else {
        return Some(Network::Tcp);
    };
    match text.to_ascii_lowercase().as_str() {
        "tcp" => Some(Network::Tcp),
        "unix" => Some(Network::Unix),
        "udp" => {
            let message = "`udp` is not yet in effect: this listener is left out";
            scope.push(at.warning(Code::NotInEffect, message));
            Some(Network::Udp)
        }
        other => {
            scope.push(
                at.error(Code::UnknownValue, "this is no network of a listener")
                    .found(at.brief())
                    .accepted(NETWORKS.join(", "))
                    .suggest(nearest(other, NETWORKS)),
            );
            None
        }
    }
}

/// The address and what MOSN calls it, which names a listener that has no name.
fn address(
    listener: &Cursor<'_>,
    network: Network,
    scope: &mut Scope<'_>,
) -> Option<(Address, String)> {
    let accepted = match network {
        Network::Unix => "the path of a socket",
        Network::Tcp | Network::Udp => "`ip:port`, `name:port`, `[ipv6]:port` or `:port`",
    };
    let Some((text, at)) = listener.text("address") else {
        if !listener.get("address").is_some_and(|at| at.is_wrong()) {
            let diagnostic = listener.error(Code::MissingKey, "a listener needs an `address`");
            scope.push(diagnostic.accepted(accepted));
        }
        return None;
    };
    let found = match network {
        Network::Unix => socket_path(text)
            .map(|path| (Address::Unix(path), text.to_owned()))
            .map_err(|error| error.to_string()),
        Network::Tcp | Network::Udp => tcp(text, scope.surroundings),
    };
    match found {
        Ok(found) => Some(found),
        Err(message) => {
            let diagnostic = at.error(Code::BadAddress, message);
            scope.push(diagnostic.found(at.brief()).accepted(accepted));
            None
        }
    }
}

fn tcp(text: &str, surroundings: &dyn Surroundings) -> Result<(Address, String), String> {
    let words = |error: AddressError| error.to_string();
    let parsed = HostPort::parse(text).map_err(words)?;
    if parsed.host.is_empty() {
        let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, parsed.port));
        return Ok((Address::Tcp(address), format!(":{}", parsed.port)));
    }
    let address = match parsed.literal() {
        Some(address) => address,
        None => {
            let host = host_name(parsed.host).map_err(words)?;
            let unresolved = |why: String| format!("{} does not resolve: {why}", quote(host));
            let addresses = surroundings.addresses(host, parsed.port);
            let addresses = addresses.map_err(|error| unresolved(error.to_string()))?;
            // Go prefers IPv4 where a name has both.
            let ipv4 = addresses.iter().find(|address| address.is_ipv4());
            *ipv4
                .or_else(|| addresses.first())
                .ok_or_else(|| unresolved("it has no address".to_owned()))?
        }
    };
    Ok((Address::Tcp(address), address.to_string()))
}

/// What a listener that has no name is called: by its address, resolved.
pub(in crate::config) fn called(
    listener: &Value,
    surroundings: &dyn Surroundings,
) -> Option<String> {
    let address = listener.text("address")?;
    match listener
        .text("network")
        .unwrap_or_default()
        .to_ascii_lowercase()
        .as_str()
    {
        "unix" => Some(address.to_owned()),
        _ => tcp(address, surroundings).ok().map(|(_, shown)| shown),
    }
}

/// What is listened on already.
#[derive(Default)]
struct Bound {
    ports: HashMap<u16, HashSet<IpAddr>>,
    paths: HashSet<PathBuf>,
}

impl Bound {
    fn claim(&mut self, listener: &Listener, at: &Cursor<'_>, scope: &mut Scope<'_>) {
        let free = match &listener.address {
            Address::Unix(path) => self.paths.insert(path.clone()),
            // The system chooses another port each time.
            Address::Tcp(address) if address.port() == 0 => true,
            Address::Tcp(address) => {
                let used = self.ports.entry(address.port()).or_default();
                let free = !overlaps(used, address.ip());
                used.insert(address.ip()) && free
            }
        };
        if !free {
            let message = "another listener listens on this address";
            scope.push(at.error(Code::DuplicateAddress, message).found(at.brief()));
        }
    }
}

/// Whether listening on `ip` collides: `::` takes both families, `0.0.0.0` one.
fn overlaps(used: &HashSet<IpAddr>, ip: IpAddr) -> bool {
    const ALL: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    const ALL_V4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    if used.contains(&ip) || used.contains(&ALL) {
        return true;
    }
    match ip {
        ALL => !used.is_empty(),
        ALL_V4 => used.iter().any(IpAddr::is_ipv4),
        IpAddr::V4(_) => used.contains(&ALL_V4),
        IpAddr::V6(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unspecified_address_takes_what_it_covers() {
        for (used, wanted, expected) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("0.0.0.0", "127.0.0.1", true),
            ("127.0.0.1", "0.0.0.0", true),
            ("0.0.0.0", "::1", false),
            ("::1", "0.0.0.0", false),
            ("::", "127.0.0.1", true),
            ("127.0.0.1", "::", true),
        ] {
            let used = HashSet::from([used.parse().unwrap()]);
            assert_eq!(
                overlaps(&used, wanted.parse().unwrap()),
                expected,
                "{used:?} {wanted}"
            );
        }
    }
}
