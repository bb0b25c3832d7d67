//! `host:port` and socket paths, as Go splits them.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::config::raw::shorten;

/// What a unix socket's path may hold (`sun_path` less its closing NUL).
const LONGEST_PATH: usize = 107;

/// The service names that Go knows without asking the machine.
const SERVICES: &[(&str, u16)] = &[
    ("domain", 53),
    ("ftp", 21),
    ("ftps", 990),
    ("gopher", 70),
    ("http", 80),
    ("https", 443),
    ("imap2", 143),
    ("imap3", 220),
    ("imaps", 993),
    ("pop3", 110),
    ("pop3s", 995),
    ("smtp", 25),
    ("ssh", 22),
    ("submissions", 465),
    ("telnet", 23),
];

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AddressError {
    #[error("the address is empty")]
    Empty,
    #[error("`{0}` is no host name")]
    Host(String),
    #[error("the path of a unix socket has at most {LONGEST_PATH} bytes and no NUL")]
    Path,
    #[error("`{0}` is no port")]
    Port(String),
    #[error("the port is missing")]
    PortMissing,
    #[error("there are too many colons: an IPv6 address stands in brackets")]
    TooManyColons,
}

/// A host, possibly empty, and a port.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HostPort<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
}

impl<'a> HostPort<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        let (host, port) = split(text)?;
        Ok(Self {
            host,
            port: parse_port(port)?,
        })
    }

    /// The address, when the host is one.
    pub(super) fn literal(&self) -> Option<SocketAddr> {
        let ip: IpAddr = self.host.parse().ok()?;
        Some(SocketAddr::new(ip, self.port))
    }
}

fn split(text: &str) -> Result<(&str, &str), AddressError> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(AddressError::TooManyColons)?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, port)),
            None => Err(AddressError::PortMissing),
        };
    }
    let (host, port) = text.rsplit_once(':').ok_or(AddressError::PortMissing)?;
    if host.contains(':') {
        return Err(AddressError::TooManyColons);
    }
    Ok((host, port))
}

fn parse_port(text: &str) -> Result<u16, AddressError> {
    if text.is_empty() {
        return Err(AddressError::PortMissing);
    }
    let numeric = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = if numeric {
        text.parse().ok()
    } else {
        let lower = text.to_ascii_lowercase();
        SERVICES
            .iter()
            .find(|(name, _)| *name == lower)
            .map(|(_, port)| *port)
    };
    port.ok_or_else(|| AddressError::Port(shorten(text)))
}

/// A host name that a resolver may be asked for.
pub(super) fn host_name(host: &str) -> Result<&str, AddressError> {
    let fits = !host.is_empty()
        && host.len() <= 253
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.%:".contains(&byte));
    fits.then_some(host)
        .ok_or_else(|| AddressError::Host(shorten(host)))
}

pub(super) fn socket_path(text: &str) -> Result<PathBuf, AddressError> {
    match text.len() {
        0 => Err(AddressError::Empty),
        1..=LONGEST_PATH if !text.contains('\0') => Ok(PathBuf::from(text)),
        _ => Err(AddressError::Path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_split_as_in_go() {
        for (text, expected) in [
            ("127.0.0.1:80", Ok(("127.0.0.1", 80))),
            (":80", Ok(("", 80))),
            ("[::1]:80", Ok(("::1", 80))),
            ("example.com:https", Ok(("example.com", 443))),
            ("", Err(AddressError::Empty)),
            ("127.0.0.1", Err(AddressError::PortMissing)),
            ("127.0.0.1:", Err(AddressError::PortMissing)),
            ("[::1]", Err(AddressError::PortMissing)),
            ("[::1", Err(AddressError::TooManyColons)),
            ("::1:80", Err(AddressError::TooManyColons)),
            ("h:65536", Err(AddressError::Port("65536".into()))),
            ("h:+1", Err(AddressError::Port("+1".into()))),
            ("h:nope", Err(AddressError::Port("nope".into()))),
        ] {
            let found = HostPort::parse(text).map(|found| (found.host, found.port));
            assert_eq!(found, expected, "{text}");
        }
    }
}
