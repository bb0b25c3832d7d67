//! Where load goes: `sofarpc://127.0.0.1:12200`, `http://host/path`, `tcp://host:port`.

use std::fmt;

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    Http,
    /// SOFA Bolt, version 1, as SOFARPC uses it.
    Sofarpc,
    /// Bytes that come back as they were sent.
    Tcp,
}

impl Protocol {
    /// Every protocol, by the name that `-p` takes and the scheme of its addresses.
    const NAMES: [(&'static str, &'static str, Self); 4] = [
        ("sofarpc", "sofarpc", Self::Sofarpc),
        ("bolt", "bolt", Self::Sofarpc),
        ("http/1.1", "http", Self::Http),
        ("tcp", "tcp", Self::Tcp),
    ];

    /// The protocol that `-p` names.
    ///
    /// # Errors
    ///
    /// A sentence with the names there are.
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(known, ..)| *known == name);
        found.map(|&(.., protocol)| protocol).ok_or_else(|| {
            let names: Vec<_> = Self::NAMES.iter().map(|&(name, ..)| name).collect();
            format!("it is none of {}", names.join(", "))
        })
    }

    fn of_scheme(scheme: &str) -> Option<Self> {
        let found = Self::NAMES.iter().find(|(_, known, _)| *known == scheme);
        found.map(|&(.., protocol)| protocol)
    }

    fn default_port(self) -> Option<u16> {
        (self == Self::Http).then_some(80)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Self::NAMES.iter().find(|(.., protocol)| protocol == self);
        f.write_str(named.map_or("", |(name, ..)| name))
    }
}

/// An address with its protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) protocol: Protocol,
    /// A name or an IP address, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// What follows the authority, as an HTTP request names it.
    pub(crate) path: String,
    authority: String,
}

impl Target {
    /// Reads `scheme://host:port/path`.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or("it has no scheme, as sofarpc://, http:// or tcp://")?;
        if scheme == "https" {
            return Err("load over TLS is not spoken".to_owned());
        }
        let protocol =
            Protocol::of_scheme(scheme).ok_or_else(|| format!("nobody speaks `{scheme}` here"))?;
        let (authority, path) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if protocol != Protocol::Http && !matches!(path, "" | "/") {
            return Err(format!("{scheme}:// has no path"));
        }
        let (host, port) = split(authority, protocol.default_port())?;
        let path = match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("/{path}"),
        };
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) || path.contains('#') {
            return Err("its path has characters that a request cannot name".to_owned());
        }
        Ok(Self {
            protocol,
            host,
            port,
            path,
            authority: authority.to_owned(),
        })
    }

    /// The authority as it was written.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }
}

fn split(authority: &str, port: Option<u16>) -> Result<(String, u16), String> {
    let (host, written) = match authority.strip_prefix('[') {
        Some(inside) => {
            let (host, rest) = inside.split_once(']').ok_or("a `]` is missing")?;
            match rest.strip_prefix(':') {
                None if !rest.is_empty() => return Err(format!("`{rest}` is no port")),
                port => (host, port),
            }
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = match written {
        Some(text) => text
            .parse()
            .ok()
            .filter(|&port| port != 0)
            .ok_or_else(|| format!("`{text}` is no port"))?,
        None => port.ok_or("it has no port")?,
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:%".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_name) {
        return Err(format!("`{host}` is no host"));
    }
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_says_where_and_what() {
        for (text, protocol, host, port, path) in [
            ("http://a.b:8080/x?y", Protocol::Http, "a.b", 8080, "/x?y"),
            ("http://a", Protocol::Http, "a", 80, "/"),
            ("http://a?x", Protocol::Http, "a", 80, "/?x"),
            ("http://[::1]:81/", Protocol::Http, "::1", 81, "/"),
            ("sofarpc://a:2", Protocol::Sofarpc, "a", 2, "/"),
            ("bolt://a:2", Protocol::Sofarpc, "a", 2, "/"),
            ("tcp://127.0.0.1:9/", Protocol::Tcp, "127.0.0.1", 9, "/"),
        ] {
            let target = Target::parse(text).unwrap();
            let found = (target.protocol, &*target.host, target.port, &*target.path);
            assert_eq!(found, (protocol, host, port, path), "{text}");
        }
    }

    #[test]
    fn what_is_no_target_is_refused_with_a_reason() {
        for (text, reason) in [
            ("127.0.0.1:80", "no scheme"),
            ("https://a", "TLS"),
            ("gopher://a", "`gopher`"),
            ("tcp://a", "no port"),
            ("tcp://a:0", "`0` is no port"),
            ("tcp://a:65536", "`65536` is no port"),
            ("tcp://a:1/path", "no path"),
            ("http://", "`` is no host"),
            ("http://a b/", "`a b` is no host"),
            ("http://[::1/", "`]`"),
            ("http://[::1]80/", "`80` is no port"),
            ("http://a/x y", "characters"),
        ] {
            let error = Target::parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn protocols_are_called_as_h2load_calls_them() {
        assert_eq!(Protocol::parse("http/1.1"), Ok(Protocol::Http));
        assert!(Protocol::parse("h2").unwrap_err().contains("http/1.1"));
    }
}
