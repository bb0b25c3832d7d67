//! The hosts that a virtual host is for, as text.

use crate::config::plan::{Domain, DomainHost, Port};

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DomainError {
    #[error("`*` stands only at the begin of a name, or for it")]
    Asterisk,
    #[error("a control character or a blank is in no host name")]
    Blank,
    #[error("the name is missing")]
    Name,
    #[error("the port is `*` or a number from 1 to 65535")]
    Port,
    #[error("there are too many colons: an IPv6 address stands in brackets")]
    TooManyColons,
}

/// Reads `host`, `host:port`, `host:*`, `*.suffix`, `*suffix`, `*` and `*:*`.
pub(super) fn parse(text: &str) -> Result<Domain, DomainError> {
    let text = text.to_lowercase();
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(DomainError::Blank);
    }
    if matches!(&*text, "*" | "*:*") {
        let (host, port) = (DomainHost::Any, Port::Any);
        return Ok(Domain { host, port });
    }
    let (host, port) = split(&text)?;
    if host.is_empty() {
        return Err(DomainError::Name);
    }
    let host = match host.strip_prefix('*') {
        Some(suffix) if suffix.contains('*') => return Err(DomainError::Asterisk),
        None if host.contains('*') => return Err(DomainError::Asterisk),
        Some(suffix) => DomainHost::Suffix(suffix.to_owned()),
        None => DomainHost::Exact(host.to_owned()),
    };
    Ok(Domain { host, port })
}

fn split(text: &str) -> Result<(&str, Port), DomainError> {
    // The colons of an IPv6 address are inside its brackets.
    let names_end = text.rfind(']').map_or(0, |end| end + 1);
    let Some(colon) = text[names_end..].find(':') else {
        return Ok((text, Port::None));
    };
    let (host, port) = text.split_at(names_end + colon);
    Ok((host, port_of(&port[1..])?))
}

fn port_of(text: &str) -> Result<Port, DomainError> {
    if text.contains(':') {
        return Err(DomainError::TooManyColons);
    }
    if text == "*" {
        return Ok(Port::Any);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(1..) if digits && !text.starts_with('0') => Ok(Port::Exact(text.to_owned())),
        _ => Err(DomainError::Port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_names_suffixes_or_all() {
        let exact = |name: &str| DomainHost::Exact(name.to_owned());
        let suffix = |name: &str| DomainHost::Suffix(name.to_owned());
        let port = |port: &str| Port::Exact(port.to_owned());
        for (text, host, port) in [
            ("*", DomainHost::Any, Port::Any),
            ("*:*", DomainHost::Any, Port::Any),
            ("A.example", exact("a.example"), Port::None),
            ("a.example:80", exact("a.example"), port("80")),
            ("a.example:*", exact("a.example"), Port::Any),
            ("*.example", suffix(".example"), Port::None),
            ("*.Example:*", suffix(".example"), Port::Any),
            ("*-x.example:8080", suffix("-x.example"), port("8080")),
            ("*:80", suffix(""), port("80")),
            ("[::1]", exact("[::1]"), Port::None),
            ("[::1]:80", exact("[::1]"), port("80")),
        ] {
            assert_eq!(parse(text), Ok(Domain { host, port }), "{text}");
        }
    }

    #[test]
    fn what_is_no_domain_is_refused() {
        for (text, error) in [
            ("a.*", DomainError::Asterisk),
            ("**", DomainError::Asterisk),
            ("a b", DomainError::Blank),
            (":80", DomainError::Name),
            ("a:", DomainError::Port),
            ("a:http", DomainError::Port),
            ("a:0", DomainError::Port),
            ("a:080", DomainError::Port),
            ("a:70000", DomainError::Port),
            ("::1", DomainError::TooManyColons),
            ("a::1", DomainError::TooManyColons),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }
}
