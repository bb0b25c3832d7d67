//! `protocol` and `check_config`: what a host is asked when it is checked.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::Scope;
use super::text::{field_value, is_token};
use crate::config::diagnostics::Code;
use crate::config::plan::{HttpProbe, Probe};
use crate::config::raw::{Cursor, nearest};

/// MOSN's only word with a meaning.
const HTTP: &str = "Http1";

/// Every other word means this in MOSN; with this one it is meant.
const TCP: &str = "Tcp";

/// Ports that MOSN takes; others are the host's own.
const PORTS: RangeInclusive<i64> = 1..=65_534;

/// What a host may answer: three digits.
const STATUSES: RangeInclusive<i64> = 100..=999;

pub(super) fn probe(check: &Cursor<'_>, scope: &mut Scope<'_>) -> Probe {
    let config = check.filled("check_config");
    let config = config.and_then(|config| config.filled("http_check_config"));
    let config = config.filter(|at| !at.is_wrong());
    match (check.text("protocol"), config) {
        (Some((HTTP, _)), Some(config)) => return http_probe(&config, scope),
        (Some((HTTP, at)), None) => {
            let message = "without `http_check_config` hosts are only connected to, as in MOSN";
            scope.push(at.note(Code::NoEffect, message));
        }
        (other, config) => {
            let other = other.filter(|(word, _)| !word.eq_ignore_ascii_case(TCP));
            if let Some((word, at)) = other {
                let message = "hosts are only connected to, whatever this `protocol` is";
                let diagnostic = at.warning(Code::UnknownValue, message).found(at.brief());
                let diagnostic = diagnostic.accepted("`Http1` or `Tcp`");
                scope.push(diagnostic.suggest(nearest(word, [HTTP, TCP])));
            }
            if let Some(config) = config {
                let message = "`http_check_config` has no effect without the `protocol` `Http1`";
                scope.push(config.note(Code::NoEffect, message));
            }
        }
    }
    Probe::Tcp { port: None }
}

fn http_probe(config: &Cursor<'_>, scope: &mut Scope<'_>) -> Probe {
    let standard = HttpProbe::default();
    let port = port(config, scope);
    let timeout = scope.duration(config, "timeout");
    let codes = codes(config, scope);
    let method = method(config, scope).unwrap_or(standard.method);
    let domain = config.text("domain");
    let domain = domain.and_then(|(domain, at)| field_value(domain, &at, scope));
    match config.text("scheme") {
        None | Some(("http", _)) => {}
        Some(("https", at)) => {
            let message = "`https` is not yet in effect: hosts are only connected to, at this port";
            scope.push(at.warning(Code::NotInEffect, message));
            return Probe::Tcp { port };
        }
        Some((word, at)) => {
            let message = "hosts are only connected to, at this port: no check has this scheme";
            let diagnostic = at.warning(Code::UnknownValue, message).found(at.brief());
            let diagnostic = diagnostic.accepted("`http` or `https`");
            scope.push(diagnostic.suggest(nearest(word, ["http", "https"])));
            return Probe::Tcp { port };
        }
    }
    Probe::Http(HttpProbe {
        port,
        timeout: timeout
            .filter(|t: &Duration| !t.is_zero())
            .unwrap_or(standard.timeout),
        target: target(config.text("path").map_or("", |(path, _)| path)),
        method,
        domain: domain.map(str::to_owned),
        codes: if codes.is_empty() {
            standard.codes
        } else {
            codes
        },
    })
}

fn port(config: &Cursor<'_>, scope: &mut Scope<'_>) -> Option<u16> {
    let (written, at) = config.integer("port").filter(|(port, _)| *port != 0)?;
    let port = u16::try_from(written)
        .ok()
        .filter(|_| PORTS.contains(&written));
    if port.is_none() {
        let diagnostic = at.warning(Code::OutOfRange, "each host's own port is checked");
        let diagnostic = diagnostic.found(at.brief());
        scope.push(diagnostic.accepted("an integer from 1 to 65534"));
    }
    port
}

fn method(config: &Cursor<'_>, scope: &mut Scope<'_>) -> Option<String> {
    let (method, at) = config.text("method")?;
    if !is_token(method) {
        let diagnostic = at.error(Code::BadHeader, "this is no method of a request");
        scope.push(diagnostic.found(at.brief()));
    }
    Some(method.to_owned())
}

/// Statuses that pass. A range without any passes nothing, as in MOSN.
fn codes(config: &Cursor<'_>, scope: &mut Scope<'_>) -> Vec<RangeInclusive<u16>> {
    let mut codes = Vec::new();
    for at in config.list("codes") {
        if at.is_wrong() {
            continue;
        }
        let end = |name| at.integer(name).map_or(0, |(status, _)| status);
        let (start, end) = (end("Start"), end("End"));
        let (first, last) = (start.max(*STATUSES.start()), end.min(*STATUSES.end()));
        if first > last {
            let message = format!("no status lies from {start} to {end}");
            let diagnostic = at.warning(Code::OutOfRange, message).found(at.brief());
            scope.push(diagnostic.accepted("`Start` and `End` from 100 to 999"));
        }
        // An empty range is kept: alone, it must not become the default.
        let status = |written: i64| u16::try_from(written).unwrap_or(0);
        codes.push(status(first)..=status(last));
    }
    codes
}

/// The path as it goes over the wire: rooted, and with what may not stand there encoded.
fn target(path: &str) -> String {
    let mut target = String::with_capacity(path.len() + 1);
    if !path.starts_with('/') {
        target.push('/');
    }
    for byte in path.bytes() {
        match byte {
            b'!' | b'$'..=b';' | b'=' | b'?'..=b'Z' | b'_' | b'a'..=b'z' | b'~' | b'[' | b']' => {
                target.push(char::from(byte));
            }
            _ => {
                const DIGITS: [char; 16] = [
                    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
                ];
                target.push('%');
                target.push(DIGITS[usize::from(byte >> 4)]);
                target.push(DIGITS[usize::from(byte & 15)]);
            }
        }
    }
    target
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_rooted_and_may_be_sent() {
        for (path, expected) in [
            ("", "/"),
            ("health", "/health"),
            ("/a/b?x=1&y=%20", "/a/b?x=1&y=%20"),
            ("/a b#c", "/a%20b%23c"),
            ("/\r\n", "/%0D%0A"),
            ("/\u{e9}\u{7f}", "/%C3%A9%7F"),
        ] {
            assert_eq!(target(path), expected);
        }
    }
}
