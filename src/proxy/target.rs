//! Which cluster takes a connection.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use ipnet::IpNet;

use crate::config::{TcpProxy, TcpRoute};
use crate::name::ClusterName;

/// The cluster for a connection from `source` to `destination`; `None` when no route matches, and
/// the connection is to be closed.
///
/// An unknown address (that of a unix socket) matches no route. An IPv4 address matches its
/// networks also where it reached an IPv6 socket.
#[must_use]
pub fn target(
    proxy: &TcpProxy,
    source: Option<SocketAddr>,
    destination: Option<SocketAddr>,
) -> Option<&ClusterName> {
    match proxy {
        TcpProxy::Cluster(cluster) => Some(cluster),
        TcpProxy::Routes(routes) => {
            let (source, destination) = source.zip(destination)?;
            let matching = routes
                .iter()
                .find(|route| matches(route, source, destination))?;
            Some(&matching.cluster)
        }
    }
}

fn matches(route: &TcpRoute, source: SocketAddr, destination: SocketAddr) -> bool {
    contains(&route.sources, source.ip())
        && contains(&route.destinations, destination.ip())
        && has(&route.source_ports, source.port())
        && has(&route.destination_ports, destination.port())
}

fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

fn has(ranges: &[RangeInclusive<u16>], port: u16) -> bool {
    ranges.iter().any(|range| range.contains(&port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(cluster: &str, source: &str, destination_ports: RangeInclusive<u16>) -> TcpRoute {
        TcpRoute {
            cluster: cluster.into(),
            sources: vec![source.parse().unwrap()],
            destinations: vec!["0.0.0.0/0".parse().unwrap()],
            source_ports: vec![1..=65535],
            destination_ports: vec![destination_ports],
        }
    }

    fn chosen(routes: Vec<TcpRoute>, source: &str, destination: &str) -> Option<String> {
        let proxy = TcpProxy::Routes(routes);
        let parse = |text: &str| text.parse().ok();
        target(&proxy, parse(source), parse(destination)).map(ToString::to_string)
    }

    #[test]
    fn a_single_cluster_takes_everything() {
        let proxy = TcpProxy::Cluster("one".into());
        assert_eq!(target(&proxy, None, None), Some(&"one".into()));
    }

    #[test]
    fn the_first_route_whose_criteria_all_match_wins() {
        let routes = || {
            vec![
                route("inner", "10.0.0.0/8", 1..=100),
                route("web", "0.0.0.0/0", 80..=80),
                route("rest", "0.0.0.0/0", 1..=200),
            ]
        };
        for (source, destination, expected) in [
            ("10.1.2.3:5", "1.1.1.1:80", Some("inner")),
            ("11.1.2.3:5", "1.1.1.1:80", Some("web")),
            ("10.1.2.3:5", "1.1.1.1:101", Some("rest")),
            ("10.1.2.3:5", "1.1.1.1:201", None),
            ("[::ffff:10.1.2.3]:5", "[::ffff:1.1.1.1]:80", Some("inner")),
            ("[::1]:5", "[::1]:80", None),
            ("unix", "1.1.1.1:80", None),
        ] {
            assert_eq!(
                chosen(routes(), source, destination).as_deref(),
                expected,
                "{source}"
            );
        }
    }

    #[test]
    fn a_route_with_an_empty_criterion_never_matches() {
        let full = route("c", "0.0.0.0/0", 1..=65535);
        let lacking = [
            TcpRoute {
                sources: vec![],
                ..full.clone()
            },
            TcpRoute {
                destinations: vec![],
                ..full.clone()
            },
            TcpRoute {
                source_ports: vec![],
                ..full.clone()
            },
            TcpRoute {
                destination_ports: vec![],
                ..full.clone()
            },
        ];
        for route in lacking {
            assert_eq!(chosen(vec![route], "10.0.0.1:5", "10.0.0.2:80"), None);
        }
        assert_eq!(
            chosen(vec![full], "10.0.0.1:5", "10.0.0.2:80").as_deref(),
            Some("c")
        );
    }
}
