//! Where a connection was meant to go.

use std::net::SocketAddr;

use crate::config::Address;

/// Where a connection was meant to go that the listener at this address accepted; `None` when that
/// is the listener itself: what nobody redirected would go round in circles.
///
/// `original` is what the packet filter remembers of a redirected connection. One that came by
/// transparent proxying has its destination as the `local` address of its socket.
#[must_use]
pub fn meant_for(
    original: Option<SocketAddr>,
    local: Option<SocketAddr>,
    listener: &Address,
) -> Option<SocketAddr> {
    let found = original.or(local).map(canonical)?;
    let Address::Tcp(listener) = listener else {
        return original.map(canonical);
    };
    let listener = canonical(*listener);
    let is_own = match listener.port() {
        // The kernel chose the port.
        0 => local.map(canonical) == Some(found),
        port => {
            port == found.port() && (listener.ip().is_unspecified() || listener.ip() == found.ip())
        }
    };
    (!is_own).then_some(found)
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_goes_where_it_was_meant_to_but_not_in_circles() {
        let address = |text: &str| Some(text.parse::<SocketAddr>().unwrap());
        let own = "10.0.0.9:15001";
        for (original, local, listener, expected) in [
            // Redirected by the packet filter.
            (
                Some("10.0.0.1:80"),
                own,
                "0.0.0.0:15001",
                Some("10.0.0.1:80"),
            ),
            (Some("10.0.0.1:80"), own, own, Some("10.0.0.1:80")),
            (
                Some("[::ffff:10.0.0.1]:80"),
                own,
                "[::]:15001",
                Some("10.0.0.1:80"),
            ),
            // Proxied transparently.
            (None, "10.0.0.1:80", "0.0.0.0:15001", Some("10.0.0.1:80")),
            // Sent here.
            (None, own, "0.0.0.0:15001", None),
            (Some(own), own, "0.0.0.0:15001", None),
            (None, own, own, None),
            (None, "[::ffff:10.0.0.9]:15001", "[::]:15001", None),
            (None, own, "0.0.0.0:0", None),
        ] {
            let listener = Address::Tcp(listener.parse().unwrap());
            let found = meant_for(original.and_then(address), address(local), &listener);
            assert_eq!(found, expected.and_then(address), "{original:?} {local}");
        }
        let unix = Address::Unix("/run/a.sock".into());
        assert_eq!(meant_for(None, None, &unix), None);
    }
}
