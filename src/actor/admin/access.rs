//! Who may read and who may change: decided by where a request comes from and what it shows.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue, ORIGIN};

/// What a request wants, or a peer may do. Who may write may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// It looks and changes nothing.
    Read,
    /// It changes something, or sees what only those who do may see.
    Write,
}

/// Where a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// The unix socket, which only this user and root can open; the user's id.
    Socket(u32),
    /// The network.
    Network(IpAddr),
    /// The network, where there is nothing but metrics to read.
    Scraper(IpAddr),
}

/// Who may read and who may change beyond the unix socket, which may everything.
#[derive(Clone, Debug)]
pub struct Access {
    /// What a peer on this machine may do without a token (default: write).
    pub loopback: Option<Role>,
    /// What any other peer may do without a token (default: read).
    pub beyond: Option<Role>,
    /// Tokens and what each allows.
    pub tokens: Vec<(Role, Arc<str>)>,
    /// Names by which this address may be called, besides IP addresses and `localhost`.
    pub hosts: Vec<String>,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            loopback: Some(Role::Write),
            beyond: Some(Role::Read),
            tokens: Vec::new(),
            hosts: Vec::new(),
        }
    }
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// Another site's page sent it (403).
    CrossSite,
    /// It calls us by a name that is not ours, as DNS rebinding does (421).
    Host,
    /// It needs a token (401).
    NoToken,
    /// Its token is not enough (403).
    WrongToken,
}

impl Access {
    /// Decides whether a peer with these header fields may do what `wanted` says.
    pub(super) fn judge(
        &self,
        peer: &Peer,
        wanted: Role,
        headers: &HeaderMap,
    ) -> Result<(), Denied> {
        let Peer::Network(ip) = peer else {
            return Ok(());
        };
        let host = only(headers, HOST).and_then(|host| host.to_str().ok());
        let host = host.filter(|host| self.is_ours(host)).ok_or(Denied::Host)?;
        if from_elsewhere(headers, host) {
            return Err(Denied::CrossSite);
        }
        let free = match ip.to_canonical().is_loopback() {
            true => self.loopback,
            false => self.beyond,
        };
        if free >= Some(wanted) {
            return Ok(());
        }
        let shown = only(headers, AUTHORIZATION).ok_or(Denied::NoToken)?;
        let shown = shown.as_bytes();
        let shown = shown.strip_prefix(b"Bearer ").ok_or(Denied::NoToken)?;
        // Every token is compared, so that time tells nothing of which one is near.
        let allowed = self.tokens.iter().fold(None, |allowed, (role, token)| {
            match is_same(shown, token.as_bytes()) {
                true => allowed.max(Some(*role)),
                false => allowed,
            }
        });
        match allowed >= Some(wanted) {
            true => Ok(()),
            false => Err(Denied::WrongToken),
        }
    }

    /// A page that made a browser think its name is our address still calls us by that name.
    fn is_ours(&self, host: &str) -> bool {
        let name = without_port(host);
        let ip = name.trim_start_matches('[').trim_end_matches(']');
        ip.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Whether a browser says that a page of another site sent this.
fn from_elsewhere(headers: &HeaderMap, host: &str) -> bool {
    const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    let cross = headers
        .get(SITE)
        .is_some_and(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"));
    let foreign = headers.get_all(ORIGIN).iter().any(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        origin
            .split_once("://")
            .is_none_or(|(_, authority)| !authority.eq_ignore_ascii_case(host))
    });
    cross || foreign
}

/// The one field of that name; two of them are none.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut all = headers.get_all(name).iter();
    all.next().filter(|_| all.next().is_none())
}

/// Compares in a time that depends on the lengths alone.
fn is_same(shown: &[u8], token: &[u8]) -> bool {
    let differences = shown
        .iter()
        .zip(token)
        .fold(0, |found, (a, b)| found | (a ^ b));
    std::hint::black_box(differences) == 0 && shown.len() == token.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access {
        Access {
            tokens: vec![
                (Role::Read, "reader".into()),
                (Role::Write, "writer".into()),
            ],
            hosts: vec!["edge-7".to_owned()],
            ..Access::default()
        }
    }

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let fields = fields.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        fields.collect()
    }

    fn judged(
        access: &Access,
        ip: &str,
        wanted: Role,
        fields: &[(&'static str, &'static str)],
    ) -> Result<(), Denied> {
        access.judge(
            &Peer::Network(ip.parse().unwrap()),
            wanted,
            &headers(fields),
        )
    }

    const LOCAL: (&str, &str) = ("host", "127.0.0.1:34901");

    #[test]
    fn the_machine_itself_may_change_and_others_may_look() {
        for (ip, wanted, expected) in [
            ("127.0.0.1", Role::Write, Ok(())),
            ("127.8.8.8", Role::Read, Ok(())),
            ("::1", Role::Write, Ok(())),
            ("::ffff:127.0.0.1", Role::Write, Ok(())),
            ("192.0.2.1", Role::Read, Ok(())),
            ("192.0.2.1", Role::Write, Err(Denied::NoToken)),
        ] {
            assert_eq!(
                judged(&access(), ip, wanted, &[LOCAL]),
                expected,
                "{ip} {wanted:?}"
            );
        }
        let strict = Access {
            loopback: None,
            beyond: None,
            ..access()
        };
        for wanted in [Role::Read, Role::Write] {
            let judged = judged(&strict, "127.0.0.1", wanted, &[LOCAL]);
            assert_eq!(judged, Err(Denied::NoToken));
            assert_eq!(
                strict.judge(&Peer::Socket(0), wanted, &HeaderMap::new()),
                Ok(())
            );
        }
    }

    #[test]
    fn a_token_allows_what_it_is_for() {
        let strict = Access {
            beyond: None,
            ..access()
        };
        for (shown, wanted, expected) in [
            ("Bearer reader", Role::Read, Ok(())),
            ("Bearer reader", Role::Write, Err(Denied::WrongToken)),
            ("Bearer writer", Role::Read, Ok(())),
            ("Bearer writer", Role::Write, Ok(())),
            ("Bearer writer2", Role::Write, Err(Denied::WrongToken)),
            ("Bearer write", Role::Write, Err(Denied::WrongToken)),
            ("Bearer ", Role::Read, Err(Denied::WrongToken)),
            ("Basic writer", Role::Write, Err(Denied::NoToken)),
        ] {
            let fields = [LOCAL, ("authorization", shown)];
            assert_eq!(
                judged(&strict, "192.0.2.1", wanted, &fields),
                expected,
                "{shown}"
            );
        }
        let none = Access {
            tokens: Vec::new(),
            ..strict
        };
        let fields = [LOCAL, ("authorization", "Bearer ")];
        assert_eq!(
            judged(&none, "192.0.2.1", Role::Read, &fields),
            Err(Denied::WrongToken)
        );
    }

    #[test]
    fn only_our_own_names_are_answered() {
        for (host, expected) in [
            ("127.0.0.1", Ok(())),
            ("[::1]:34901", Ok(())),
            ("192.0.2.7:34901", Ok(())),
            ("LOCALHOST:1", Ok(())),
            ("Edge-7:34901", Ok(())),
            ("edge-7", Ok(())),
            ("rebound.example:34901", Err(Denied::Host)),
            ("localhost.rebound.example", Err(Denied::Host)),
            ("", Err(Denied::Host)),
        ] {
            let judged = judged(&access(), "127.0.0.1", Role::Read, &[("host", host)]);
            assert_eq!(judged, expected, "{host}");
        }
        assert_eq!(
            judged(&access(), "127.0.0.1", Role::Read, &[]),
            Err(Denied::Host)
        );
    }

    #[test]
    fn no_page_of_another_site_is_answered() {
        for (field, expected) in [
            (("origin", "http://127.0.0.1:34901"), Ok(())),
            (("origin", "http://127.0.0.1:80"), Err(Denied::CrossSite)),
            (("origin", "https://evil.example"), Err(Denied::CrossSite)),
            (("origin", "null"), Err(Denied::CrossSite)),
            (("sec-fetch-site", "cross-site"), Err(Denied::CrossSite)),
            (("sec-fetch-site", "same-site"), Err(Denied::CrossSite)),
            (("sec-fetch-site", "same-origin"), Ok(())),
            (("sec-fetch-site", "none"), Ok(())),
        ] {
            let judged = judged(&access(), "127.0.0.1", Role::Read, &[LOCAL, field]);
            assert_eq!(judged, expected, "{field:?}");
        }
    }
}
