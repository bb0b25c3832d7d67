//! Listening sockets that a predecessor hands over, until a listener claims them.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::Listening;
use crate::config::Address;
use crate::name::ListenerName;
use crate::protocol::handover::{ListenerOffer, Place};

/// The sockets of one listener.
#[derive(Debug)]
struct Set {
    name: ListenerName,
    configured: Address,
    sockets: Vec<Arc<Listening>>,
}

/// What a predecessor hands over; each listener may claim its sockets once.
#[derive(Debug, Default)]
pub struct Legacy {
    /// In the order of the offer.
    sets: Vec<Option<Set>>,
}

/// What a listener has claimed.
#[derive(Debug)]
pub struct Claimed {
    /// Its place in the offer.
    pub place: usize,
    /// Its sockets.
    pub sockets: Vec<Arc<Listening>>,
}

impl Legacy {
    /// Sorts the descriptors that came by the listeners that were offered.
    ///
    /// # Errors
    ///
    /// When they are not what was offered; every one of them is closed then.
    pub fn new(offers: &[ListenerOffer], descriptors: Vec<OwnedFd>) -> io::Result<Self> {
        let announced: usize = offers.iter().map(|offer| offer.sockets).sum();
        if announced != descriptors.len() {
            let what = format!(
                "{announced} sockets were offered, {} came",
                descriptors.len()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let mut descriptors = descriptors.into_iter();
        let mut sets = Vec::with_capacity(offers.len());
        for offer in offers {
            let adopt = |socket| {
                let adopted = Listening::adopt(socket, address(&offer.place), offer.file);
                adopted.map(Arc::new)
            };
            let sockets = descriptors.by_ref().take(offer.sockets).map(adopt);
            sets.push(Some(Set {
                name: offer.name.as_str().into(),
                configured: address(&offer.configured),
                sockets: sockets.collect::<io::Result<_>>()?,
            }));
        }
        Ok(Self { sets })
    }

    /// The sockets that listen where a listener is told to; the first that fit, and only once.
    ///
    /// One that asks for any port gets that of the listener of its name which asked for the same.
    pub fn claim(&mut self, name: &ListenerName, wanted: &Address) -> Option<Claimed> {
        let fits = |set: &Set| {
            let listens = set.sockets.first().map(|socket| socket.address());
            listens.is_some_and(|there| is_same(there, wanted))
                || (set.name == *name && set.configured == *wanted)
        };
        let place = self
            .sets
            .iter()
            .position(|set| set.as_ref().is_some_and(fits))?;
        let set = self.sets[place].take()?;
        Some(Claimed {
            place,
            sockets: set.sockets,
        })
    }
}

/// The address of a place.
#[must_use]
pub fn address(place: &Place) -> Address {
    match place {
        Place::Tcp(address) => Address::Tcp(*address),
        Place::Unix(path) => Address::Unix(path.clone()),
    }
}

/// The place of an address.
#[must_use]
pub fn place(address: &Address) -> Place {
    match address {
        Address::Tcp(address) => Place::Tcp(*address),
        Address::Unix(path) => Place::Unix(path.clone()),
    }
}

/// Whether a socket at one of them serves who wants the other, by MOSN's rule: equal ports, and
/// both addresses unspecified, both loopback, or equal.
fn is_same(one: &Address, other: &Address) -> bool {
    let kin = |one: &SocketAddr, other: &SocketAddr| {
        let (a, b) = (one.ip(), other.ip());
        one.port() == other.port()
            && (a == b
                || (a.is_unspecified() && b.is_unspecified())
                || (a.is_loopback() && b.is_loopback()))
    };
    match (one, other) {
        (Address::Tcp(one), Address::Tcp(other)) => kin(one, other),
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::bind;

    fn tcp(text: &str) -> Address {
        Address::Tcp(text.parse().unwrap())
    }

    fn offer(name: &str, configured: &str, bound: &[Arc<Listening>]) -> ListenerOffer {
        ListenerOffer {
            name: name.to_owned(),
            configured: place(&tcp(configured)),
            place: place(bound[0].address()),
            sockets: bound.len(),
            file: None,
        }
    }

    fn dup(bound: &[Arc<Listening>]) -> Vec<OwnedFd> {
        use std::os::fd::AsFd;
        let dup = |one: &Arc<Listening>| one.as_fd().try_clone_to_owned().unwrap();
        bound.iter().map(dup).collect()
    }

    #[test]
    fn addresses_are_one_by_mosn_s_rule() {
        for (one, other, same) in [
            ("0.0.0.0:80", "[::]:80", true),
            ("127.0.0.1:80", "[::1]:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("0.0.0.0:80", "127.0.0.1:80", false),
            ("10.0.0.1:80", "10.0.0.1:80", true),
            ("10.0.0.1:80", "10.0.0.2:80", false),
        ] {
            assert_eq!(is_same(&tcp(one), &tcp(other)), same, "{one} {other}");
        }
        let unix = |path: &str| Address::Unix(path.into());
        assert!(is_same(&unix("/a"), &unix("/a")));
        assert!(!is_same(&unix("/a"), &unix("/b")));
    }

    #[test]
    fn each_set_is_claimed_once_by_address_or_by_name_and_any_port() {
        let (a, b) = (bind(&tcp("127.0.0.1:0"), 3), bind(&tcp("127.0.0.1:0"), 1));
        let (a, b) = (a.unwrap(), b.unwrap());
        let offers = [offer("a", "127.0.0.1:0", &a), offer("b", "127.0.0.1:0", &b)];
        let descriptors = [dup(&a), dup(&b)].into_iter().flatten().collect();
        let mut legacy = Legacy::new(&offers, descriptors).unwrap();

        let by_name = legacy.claim(&"b".into(), &tcp("127.0.0.1:0")).unwrap();
        assert_eq!((by_name.place, by_name.sockets.len()), (1, 1));
        let by_address = legacy.claim(&"other".into(), a[0].address()).unwrap();
        assert_eq!((by_address.place, by_address.sockets.len()), (0, 3));
        assert!(legacy.claim(&"a".into(), a[0].address()).is_none());
    }

    #[test]
    fn descriptors_that_are_not_what_was_offered_are_refused() {
        let bound = bind(&tcp("127.0.0.1:0"), 2).unwrap();
        let offers = [offer("a", "127.0.0.1:0", &bound)];
        assert!(Legacy::new(&offers, dup(&bound[..1])).is_err());
        let file = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let others = vec![file(), file()];
        assert!(Legacy::new(&offers, others).is_err());
    }
}
