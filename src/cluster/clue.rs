//! What of a piece of work the choice of its host depends on.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use crate::config::{self, Address, Balancer, HostAddress, Metadata, Reached};

/// The port of an original destination that names none.
const DEFAULT_PORT: u16 = 80;

/// What a piece of work tells of itself to whoever chooses its host. Each is asked only where the
/// cluster has a use for it.
pub trait Evidence {
    /// What a consistent hash is made of, hashed; `None` when the request has no such thing.
    fn hash(&self) -> Option<u64>;

    /// What its host must have; empty is nothing.
    fn metadata(&self) -> Arc<Metadata>;

    /// The value of a field of this name, which is in lower case.
    fn field(&self, name: &str) -> Option<&[u8]>;

    /// Where the connection was meant to go before it was redirected here.
    fn destination(&self) -> Option<SocketAddr>;
}

/// What of a piece of work the choice of its host depends on. The default one depends on nothing,
/// and costs nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clue {
    /// For [`Balancer::Maglev`]: the same one goes to the same host.
    pub hash: Option<u64>,
    /// For clusters with subsets.
    pub metadata: Option<Arc<Metadata>>,
    /// For [`Balancer::OriginalDestination`].
    pub destination: Option<HostAddress>,
}

impl Clue {
    /// Asks for what the cluster has a use for, and no more.
    #[must_use]
    pub fn of(settings: &config::Cluster, evidence: &impl Evidence) -> Self {
        let asks = |balancer| settings.balancer == balancer;
        Self {
            hash: asks(Balancer::Maglev).then(|| evidence.hash()).flatten(),
            metadata: settings
                .subsets
                .as_ref()
                .map(|_| evidence.metadata())
                .filter(|metadata| !metadata.is_empty()),
            destination: asks(Balancer::OriginalDestination)
                .then(|| destination(&settings.original_destination, evidence))
                .flatten(),
        }
    }
}

fn destination(
    settings: &config::OriginalDestination,
    evidence: &impl Evidence,
) -> Option<HostAddress> {
    let field = settings.field.as_deref();
    let named = field.and_then(|name| evidence.field(name));
    let address = match named.and_then(|value| std::str::from_utf8(value).ok()) {
        Some(value) => named_address(value.trim())?,
        None => evidence.destination()?.into(),
    };
    Some(match (settings.reached, address) {
        (Reached::There, address) => address,
        (Reached::Here, HostAddress::Socket(Address::Tcp(address))) => here(address.port()),
        (Reached::Here, HostAddress::Name(_, port)) => here(port),
        (Reached::Here, unix @ HostAddress::Socket(Address::Unix(_))) => unix,
    })
}

fn here(port: u16) -> HostAddress {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()
}

/// `address`, `address:port`, `[ipv6]`, `[ipv6]:port`, `name` or `name:port`.
fn named_address(text: &str) -> Option<HostAddress> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address.into());
    }
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    if let Ok(address) = bare.unwrap_or(text).parse() {
        return Some(SocketAddr::new(address, DEFAULT_PORT).into());
    }
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, port.parse().ok()?),
        None => (text, DEFAULT_PORT),
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let fits = (1..=253).contains(&name.len()) && name.bytes().all(is_name) && port != 0;
    fits.then(|| HostAddress::Name(name.into(), port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Fallback, Subsets};

    struct Told(Option<&'static str>);

    impl Evidence for Told {
        fn hash(&self) -> Option<u64> {
            Some(7)
        }

        fn metadata(&self) -> Arc<Metadata> {
            Arc::new([("zone".to_owned(), "b".to_owned())].into())
        }

        fn field(&self, name: &str) -> Option<&[u8]> {
            assert_eq!(name, "x-to");
            self.0.map(str::as_bytes)
        }

        fn destination(&self) -> Option<SocketAddr> {
            Some(([10, 0, 0, 1], 8080).into())
        }
    }

    fn cluster(balancer: Balancer) -> config::Cluster {
        config::Cluster {
            balancer,
            ..config::Cluster::new("c", [])
        }
    }

    #[test]
    fn a_cluster_that_asks_for_nothing_is_told_nothing() {
        let clue = Clue::of(&cluster(Balancer::RoundRobin), &Told(Some("a")));
        assert_eq!(clue, Clue::default());
    }

    #[test]
    fn a_cluster_is_told_what_it_has_a_use_for() {
        let mut settings = cluster(Balancer::Maglev);
        settings.subsets = Some(Subsets {
            selectors: vec![vec!["zone".to_owned()]],
            fallback: Fallback::None,
        });
        let clue = Clue::of(&settings, &Told(None));
        assert_eq!(clue.hash, Some(7));
        assert_eq!(clue.metadata.unwrap()["zone"], "b");
        assert_eq!(clue.destination, None);
    }

    /// What a field says, and where that leads.
    const DESTINATIONS: [(Option<&str>, Reached, &str); 13] = [
        (None, Reached::There, "10.0.0.1:8080"),
        (None, Reached::Here, "127.0.0.1:8080"),
        (Some(" 10.0.0.2:90 "), Reached::There, "10.0.0.2:90"),
        (Some("10.0.0.2"), Reached::There, "10.0.0.2:80"),
        (Some("[2001:db8::1]"), Reached::There, "[2001:db8::1]:80"),
        (Some("2001:db8::1"), Reached::There, "[2001:db8::1]:80"),
        (Some("[2001:db8::1]:81"), Reached::Here, "127.0.0.1:81"),
        (Some("origin.test:81"), Reached::There, "origin.test:81"),
        (Some("origin.test"), Reached::Here, "127.0.0.1:80"),
        (Some("origin.test:x"), Reached::There, "none"),
        (Some("origin.test:0"), Reached::There, "none"),
        (Some("a b"), Reached::There, "none"),
        (Some(""), Reached::There, "none"),
    ];

    #[test]
    fn a_destination_is_a_fields_or_else_the_connections() {
        let shown = |address: Option<HostAddress>| match address {
            None => "none".to_owned(),
            Some(HostAddress::Socket(address)) => address.to_string(),
            Some(HostAddress::Name(name, port)) => format!("{name}:{port}"),
        };
        for (value, reached, expected) in DESTINATIONS {
            let mut settings = cluster(Balancer::OriginalDestination);
            settings.original_destination = config::OriginalDestination {
                field: Some("x-to".to_owned()),
                reached,
            };
            let clue = Clue::of(&settings, &Told(value));
            assert_eq!(shown(clue.destination), expected, "{value:?} {reached:?}");
        }
    }
}
