//! Which virtual host a request's host belongs to, by hash and not by search.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::fold::Room;
use crate::config::{DomainHost, Port, VirtualHost};

/// Finds the place of a virtual host in its router's list.
///
/// In this order: the name and its port, the name with any port, the longest suffix with the port,
/// the longest suffix with any port, the default. The default also takes requests without a host.
#[derive(Debug, Default)]
pub(super) struct Domains {
    names: Ports,
    suffixes: Ports,
    /// Lengths of suffixes that begin with a dot, which is nearly all of them: they are looked for
    /// only where a host has a dot.
    dotted: Lengths,
    plain: Lengths,
    default: Option<usize>,
}

/// By name. Those who choose the names are not those who ask, so no one can make them collide.
type Ports = HashMap<Box<[u8]>, Choices, RandomState>;

/// The virtual hosts of one name, by port.
#[derive(Debug, Default)]
struct Choices {
    any: Option<usize>,
    none: Option<usize>,
    exact: Vec<(Box<[u8]>, usize)>,
}

impl Choices {
    fn insert(&mut self, port: &Port, at: usize) {
        match port {
            Port::Any => self.any = self.any.or(Some(at)),
            Port::None => self.none = self.none.or(Some(at)),
            Port::Exact(port) => self.exact.push((port.as_bytes().into(), at)),
        }
    }

    fn of(&self, port: Option<&[u8]>) -> Option<usize> {
        let Some(port) = port else {
            return self.none;
        };
        let mut exact = self.exact.iter();
        exact.find(|(of, _)| **of == *port).map(|&(_, at)| at)
    }
}

/// A set of lengths.
#[derive(Debug, Default)]
struct Lengths(Vec<bool>);

impl Lengths {
    fn insert(&mut self, length: usize) {
        if self.0.len() <= length {
            self.0.resize(length + 1, false);
        }
        self.0[length] = true;
    }

    fn contains(&self, length: usize) -> bool {
        self.0.get(length).is_some_and(|&has| has)
    }

    fn longest(&self) -> usize {
        self.0.len().saturating_sub(1)
    }
}

impl Domains {
    pub(super) fn new(virtual_hosts: &[Arc<VirtualHost>]) -> Self {
        let mut domains = Self::default();
        for (at, virtual_host) in virtual_hosts.iter().enumerate() {
            for domain in &virtual_host.domains {
                match &domain.host {
                    DomainHost::Any => domains.default = domains.default.or(Some(at)),
                    DomainHost::Exact(name) => {
                        let name = bare(name.as_bytes()).into();
                        let choices = domains.names.entry(name).or_default();
                        choices.insert(&domain.port, at);
                    }
                    DomainHost::Suffix(suffix) => {
                        let lengths = match suffix.starts_with('.') {
                            true => &mut domains.dotted,
                            false => &mut domains.plain,
                        };
                        lengths.insert(suffix.len());
                        let choices = domains.suffixes.entry(suffix.as_bytes().into());
                        choices.or_default().insert(&domain.port, at);
                    }
                }
            }
        }
        domains
    }

    /// The virtual host for `host`, which is as it came.
    pub(super) fn find(&self, host: Option<&[u8]>) -> Option<usize> {
        let named = host.filter(|host| !host.is_empty()).and_then(|host| {
            let mut room = Room::new();
            let host = room.lower(host);
            let (name, port) = split(&host);
            self.by_name(name, port)
                .or_else(|| self.by_suffix(name, port))
        });
        named.or(self.default)
    }

    fn by_name(&self, name: &[u8], port: Option<&[u8]>) -> Option<usize> {
        let choices = self.names.get(name)?;
        choices.of(port).or(choices.any)
    }

    fn by_suffix(&self, name: &[u8], port: Option<&[u8]>) -> Option<usize> {
        if self.suffixes.is_empty() {
            return None;
        }
        let mut any = None;
        let longest = self.dotted.longest().max(self.plain.longest());
        // At least one character stands before the suffix.
        for start in name.len().saturating_sub(longest).max(1)..=name.len() {
            let suffix = &name[start..];
            let lengths = match suffix.first() {
                Some(b'.') => &self.dotted,
                _ => &self.plain,
            };
            if !lengths.contains(suffix.len()) {
                continue;
            }
            let Some(choices) = self.suffixes.get(suffix) else {
                continue;
            };
            if let Some(at) = choices.of(port) {
                return Some(at);
            }
            any = any.or(choices.any);
        }
        any
    }
}

/// Name and port of a host. An address of IPv6 without brackets has no port.
fn split(host: &[u8]) -> (&[u8], Option<&[u8]>) {
    let from = match host.first() {
        Some(b'[') => memchr::memchr(b']', host).map_or(0, |end| end + 1),
        _ => 0,
    };
    let Some(colon) = memchr::memchr(b':', &host[from..]).map(|at| from + at) else {
        return (bare(host), None);
    };
    let (name, port) = (&host[..colon], &host[colon + 1..]);
    match port {
        _ if memchr::memchr(b':', port).is_some() => (host, None),
        b"" => (bare(name), None),
        _ => (bare(name), Some(port)),
    }
}

/// Without the brackets of an IPv6 address.
fn bare(name: &[u8]) -> &[u8] {
    let inside = name
        .strip_prefix(b"[")
        .and_then(|name| name.strip_suffix(b"]"));
    inside.unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Domain;
    use crate::route::table::tests::{domain, virtual_host};

    fn domains(texts: &[&str]) -> Domains {
        let hosts = texts.iter().map(|text| virtual_host(&[text], vec![]));
        Domains::new(&hosts.map(Arc::new).collect::<Vec<_>>())
    }

    #[test]
    fn the_most_particular_domain_takes_a_host() {
        let texts = [
            "*",
            "*.com:*",
            "*.com",
            "*.example.com",
            "www.example.com:*",
            "www.example.com:8080",
            "www.example.com",
            "*.example.com:81",
            "*.a.example.com:*",
            "*suffix",
            "[::1]:*",
            "[::1]:80",
            "fe80::1",
        ];
        let domains = domains(&texts);
        for (host, expected) in [
            ("www.example.com", "www.example.com"),
            ("WWW.Example.COM", "www.example.com"),
            ("www.example.com:8080", "www.example.com:8080"),
            ("www.example.com:81", "www.example.com:*"),
            ("www.example.com:", "www.example.com"),
            ("a.example.com", "*.example.com"),
            ("a.example.com:81", "*.example.com:81"),
            // A suffix with the port comes before a longer one with any.
            ("b.a.example.com:81", "*.example.com:81"),
            ("b.a.example.com:82", "*.a.example.com:*"),
            ("b.a.example.com", "*.example.com"),
            ("a.example.com:82", "*.com:*"),
            ("x.com", "*.com"),
            (".com", "*"),
            ("com", "*"),
            ("xsuffix", "*suffix"),
            ("x.suffix", "*suffix"),
            ("suffix", "*"),
            ("xsuffix:80", "*"),
            ("", "*"),
            ("[::1]", "[::1]:*"),
            ("[::1]:80", "[::1]:80"),
            ("[::1]:81", "[::1]:*"),
            ("fe80::1", "fe80::1"),
            ("[fe80::1]", "fe80::1"),
            ("[", "*"),
            (":80", "*"),
            ("elsewhere", "*"),
        ] {
            let found = domains.find(Some(host.as_bytes())).map(|at| texts[at]);
            assert_eq!(found, Some(expected), "{host}");
        }
    }

    #[test]
    fn a_request_without_host_belongs_to_the_default() {
        assert_eq!(domains(&["a", "*"]).find(None), Some(1));
        assert_eq!(domains(&["a"]).find(None), None);
    }

    #[test]
    fn a_host_of_no_domain_belongs_nowhere_without_a_default() {
        assert_eq!(domains(&["a", "*.b"]).find(Some(b"c")), None);
        assert_eq!(domains(&[]).find(Some(b"c")), None);
    }

    #[test]
    fn domains_are_written_for_tests_as_in_files() {
        assert_eq!(
            domain("*.a:80"),
            Domain {
                host: DomainHost::Suffix(".a".to_owned()),
                port: Port::Exact("80".to_owned()),
            }
        );
    }
}
