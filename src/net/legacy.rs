//! Listening sockets that a predecessor hands over, or that the process was started with, until a
//! listener claims them.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::{Given, Keeper, Listening};
use crate::config::Address;
use crate::name::ListenerName;
use crate::protocol::handover::{ListenerOffer, Place};

/// The sockets of one listener.
#[derive(Debug)]
struct Set {
    name: ListenerName,
    origin: Origin,
    sockets: Vec<Arc<Listening>>,
    silent: Vec<(SocketAddr, Duration)>,
}

/// Where sockets come from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    /// From a predecessor, whose listener was configured so.
    Predecessor(Address),
    /// The process was started with them.
    Given(Keeper),
}

impl Set {
    fn is_at(&self, wanted: &Address) -> bool {
        self.address().is_some_and(|there| is_same(there, wanted))
    }

    fn is_of(&self, name: &ListenerName, wanted: &Address) -> bool {
        let by_name = match &self.origin {
            Origin::Predecessor(configured) => configured == wanted,
            Origin::Given(Keeper::Starter) => true,
            Origin::Given(Keeper::EarlierLife) => self.has_any_port_of(wanted),
        };
        by_name && self.name == *name
    }

    fn has_any_port_of(&self, wanted: &Address) -> bool {
        match (self.address(), wanted) {
            (Some(Address::Tcp(there)), Address::Tcp(wanted)) => {
                wanted.port() == 0 && there.ip() == wanted.ip()
            }
            _ => false,
        }
    }

    /// Whether whoever starts the process calls it so, and it is what listens at such an address.
    fn is_lent_as(&self, called: &str, wanted: &Address) -> bool {
        let is_kin = match wanted {
            Address::Tcp(_) => matches!(self.address(), Some(Address::Tcp(_))),
            Address::Unix(_) => matches!(self.address(), Some(Address::Unix(_))),
        };
        is_kin && self.origin == Origin::Given(Keeper::Starter) && self.name.as_str() == called
    }

    fn address(&self) -> Option<&Address> {
        self.sockets.first().map(|socket| socket.address())
    }
}

/// What a predecessor hands over, and what the process was started with; each listener may claim
/// its sockets once.
#[derive(Debug, Default)]
pub struct Legacy {
    /// In the order of the offer; then those that were given.
    sets: Vec<Option<Set>>,
    /// Where what was claimed listens.
    claimed: Vec<Address>,
}

/// What a listener has claimed.
#[derive(Debug)]
pub struct Claimed {
    /// Its place in the predecessor's offer, if the sockets come from there.
    pub place: Option<usize>,
    /// Its sockets.
    pub sockets: Vec<Arc<Listening>>,
    /// To where its clients were silent at first, and how long ago.
    pub silent: Vec<(SocketAddr, Duration)>,
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
            let silent = offer.silent.iter();
            let silent = silent.map(|&(place, ago)| (place, Duration::from_millis(ago)));
            sets.push(Some(Set {
                name: offer.name.as_str().into(),
                origin: Origin::Predecessor(address(&offer.configured)),
                sockets: sockets.collect::<io::Result<_>>()?,
                silent: silent.collect(),
            }));
        }
        let claimed = Vec::new();
        Ok(Self { sets, claimed })
    }

    /// Adds what another one has, behind its own.
    pub fn join(&mut self, other: Self) {
        self.sets.extend(other.sets);
        self.claimed.extend(other.claimed);
    }

    /// Adds sockets that the process was started with; those that are of no use are closed and
    /// returned by their names, with the reason.
    ///
    /// Those of one name and one address are one listener's.
    pub fn give(&mut self, mut given: Vec<Given>) -> Vec<(String, io::Error)> {
        // Whoever starts the process knows better than its earlier life.
        given.sort_by_key(|one| one.keeper);
        let mut useless = Vec::new();
        for one in given {
            let (name, keeper) = (one.name.clone(), one.keeper);
            match Listening::given(one) {
                Ok(socket) => self.add_given(&name.as_str().into(), keeper, socket),
                Err(error) => useless.push((name, error)),
            }
        }
        useless
    }

    fn add_given(&mut self, name: &ListenerName, keeper: Keeper, socket: Listening) {
        let origin = Origin::Given(keeper);
        let of_one = |set: &&mut Set| {
            set.name == *name && set.origin == origin && set.address() == Some(socket.address())
        };
        match self.sets.iter_mut().flatten().find(of_one) {
            Some(set) => set.sockets.push(Arc::new(socket)),
            None => self.sets.push(Some(Set {
                name: name.clone(),
                origin,
                sockets: vec![Arc::new(socket)],
                silent: Vec::new(),
            })),
        }
    }

    /// The sockets that listen where a listener is told to; the first that fit, and only once.
    ///
    /// Where none do, one that asks for any port gets that of the listener of its name which asked
    /// for the same, and what whoever starts the process calls by the name of a listener is that
    /// one's, wherever it listens.
    pub fn claim(&mut self, name: &ListenerName, wanted: &Address) -> Option<Claimed> {
        self.claim_first(|set| set.is_at(wanted))
            .or_else(|| self.claim_first(|set| set.is_of(name, wanted)))
    }

    /// As [`claim`](Self::claim), and then also what whoever starts the process calls so, if it is of
    /// the family that is wanted.
    pub fn claim_called(
        &mut self,
        called: &str,
        name: &ListenerName,
        wanted: &Address,
    ) -> Option<Claimed> {
        self.claim(name, wanted)
            .or_else(|| self.claim_first(|set| set.is_lent_as(called, wanted)))
    }

    fn claim_first(&mut self, fits: impl Fn(&Set) -> bool) -> Option<Claimed> {
        let fits = |set: &Option<Set>| set.as_ref().is_some_and(&fits);
        let place = self.sets.iter().position(fits)?;
        let set = self.sets[place].take()?;
        self.claimed.extend(set.address().cloned());
        Some(Claimed {
            place: matches!(set.origin, Origin::Predecessor(_)).then_some(place),
            sockets: set.sockets,
            silent: set.silent,
        })
    }

    /// Names and addresses of the sockets that the process was started with and nobody has claimed,
    /// those excepted that are there twice.
    pub fn unused(&self) -> impl Iterator<Item = (&ListenerName, &Address)> {
        let given = |set: &&Set| matches!(set.origin, Origin::Given(_));
        let sets = self.sets.iter().flatten().filter(given);
        let all = sets.filter_map(|set| Some((&set.name, set.address()?)));
        all.filter(|(_, address)| !self.claimed.contains(address))
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
            silent: Vec::new(),
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
        assert_eq!((by_name.place, by_name.sockets.len()), (Some(1), 1));
        let by_address = legacy.claim(&"other".into(), a[0].address()).unwrap();
        assert_eq!((by_address.place, by_address.sockets.len()), (Some(0), 3));
        assert!(legacy.claim(&"a".into(), a[0].address()).is_none());
    }

    fn given(name: &str, keeper: Keeper, bound: &[Arc<Listening>]) -> Vec<Given> {
        let one = |socket| Given {
            name: name.to_owned(),
            keeper,
            file: None,
            socket,
        };
        dup(bound).into_iter().map(one).collect()
    }

    #[test]
    fn what_the_process_was_started_with_is_claimed_by_address_or_by_name() {
        let bind_any = |workers| bind(&tcp("127.0.0.1:0"), workers).unwrap();
        let (lent, kept, idle) = (bind_any(1), bind_any(2), bind_any(1));
        let mut legacy = Legacy::default();
        let mut all = given("kept", Keeper::EarlierLife, &kept);
        all.extend(given("lent", Keeper::Starter, &lent));
        all.extend(given("idle", Keeper::Starter, &idle));
        assert!(legacy.give(all).is_empty());
        let mut count = |name: &str, wanted: &Address| {
            let claimed = legacy.claim(&name.into(), wanted)?;
            Some((claimed.place, claimed.sockets.len()))
        };

        // An earlier life's is only where it was, or where any port will do.
        assert_eq!(count("kept", &tcp("127.0.0.1:9")), None);
        assert_eq!(count("other", kept[0].address()), Some((None, 2)));
        assert_eq!(count("lent", &tcp("127.0.0.1:9")), Some((None, 1)));
        assert!(
            legacy
                .give(given("again", Keeper::EarlierLife, &kept))
                .is_empty()
        );
        let unused: Vec<_> = legacy.unused().map(|(name, _)| name.to_string()).collect();
        assert_eq!(unused, ["idle"]);
    }

    #[test]
    fn where_it_listens_goes_before_how_it_is_called() {
        let (one, other) = (bind(&tcp("127.0.0.1:0"), 1), bind(&tcp("127.0.0.1:0"), 1));
        let (one, other) = (one.unwrap(), other.unwrap());
        let mut legacy = Legacy::default();
        // As a unit gives them that has two ports and one name.
        for bound in [&one, &other] {
            assert!(legacy.give(given("web", Keeper::Starter, bound)).is_empty());
        }

        let claimed = legacy.claim(&"web".into(), other[0].address()).unwrap();
        assert_eq!(claimed.sockets[0].address(), other[0].address());
        let unix = Address::Unix("/run/a.sock".into());
        assert!(legacy.claim_called("web", &"door".into(), &unix).is_none());
        let elsewhere = tcp("127.0.0.1:9");
        assert!(
            legacy
                .claim_called("other", &"door".into(), &elsewhere)
                .is_none()
        );
        let claimed = legacy
            .claim_called("web", &"door".into(), &elsewhere)
            .unwrap();
        assert_eq!(claimed.sockets[0].address(), one[0].address());
    }

    #[test]
    fn what_does_not_listen_is_given_back_with_the_reason() {
        let socket = OwnedFd::from(std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
        let of_udp = Given {
            name: "dns".to_owned(),
            keeper: Keeper::Starter,
            file: None,
            socket,
        };
        let useless = Legacy::default().give(vec![of_udp]);
        assert_eq!(useless[0].0, "dns");
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
