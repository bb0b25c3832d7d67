//! Asking one host, once, whether it is fit for work.
//!
//! A probe makes a connection of its own, so it tells whether the host takes new ones, and closes it
//! in the end.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::future::poll_fn;
use std::io;
use std::ops::RangeInclusive;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::{Book, ConnectError, connect};
use crate::config::{Address, HealthCheck, HostAddress, HttpProbe, Probe};
use crate::net::{Stream, with_scratch};
use crate::protocol::http1::{
    Asked, Decoder, Framing, HeadLimits, Malformed, Parsed, Progress, Response, is_field_value,
    write_request_line,
};
use crate::telemetry::health_log::in_words;

/// What a response may have before its body.
const HEAD: HeadLimits = HeadLimits {
    bytes: 64 * 1024,
    fields: 256,
};

/// How often a response may send a probe elsewhere, as in MOSN.
const MOST_REDIRECTS: usize = 10;

/// Closing a connection with unread bytes resets it, which the host would log as an error. So much
/// of a body is read for its sake, for so long.
const READ_ON_BYTES: usize = 64 * 1024;
const READ_ON_FOR: Duration = Duration::from_millis(100);

/// What was found of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it says of the host.
    pub finding: Finding,
    /// The same in words.
    pub reason: String,
}

/// What an answer says of its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It answered as it should.
    Passed,
    /// It answered otherwise, or refused.
    Failed,
    /// It did not answer in time.
    Silent,
    /// Nothing: this process could not ask it.
    Unknown,
}

/// Asks a host of a cluster whose upstream sockets bear `mark`; `book` says where its name leads. It takes no longer than the check's
/// timeout.
///
/// # Cancel safety
///
/// Safe: dropping the future closes what it opened.
pub async fn probe(
    address: &HostAddress,
    mark: Option<u32>,
    check: &HealthCheck,
    book: &Book,
) -> Answer {
    let asked = async {
        match &check.probe {
            Probe::Tcp { port } => {
                let address = with_port(address, *port);
                // Whoever asks for a connection has a deadline: that of the whole.
                let connected = connect(&address, check.timeout, mark, book).await;
                connected
                    .map(|_| "connected".to_owned())
                    .map_err(Trouble::from)
            }
            Probe::Http(http) => {
                let asked = ask(address, (mark, book), check.timeout, http);
                let asked = timeout(http.timeout, asked).await;
                asked.unwrap_or_else(|_| {
                    let within = in_words(http.timeout);
                    Err(Trouble::Wrong(format!("no response in {within}")))
                })
            }
        }
    };
    // A connection that came to its deadline is as silent as a response.
    let answer = timeout(check.timeout, asked).await;
    match answer.unwrap_or(Err(Trouble::Silent)) {
        Ok(reason) => Answer {
            finding: Finding::Passed,
            reason,
        },
        Err(trouble) => trouble.answer(check.timeout),
    }
}

/// Why a probe did not pass.
enum Trouble {
    Silent,
    Unknown(String),
    Wrong(String),
}

impl Trouble {
    fn answer(self, timeout: Duration) -> Answer {
        let (finding, reason) = match self {
            Self::Silent => (
                Finding::Silent,
                format!("no answer in {}", in_words(timeout)),
            ),
            Self::Unknown(reason) => (Finding::Unknown, reason),
            Self::Wrong(reason) => (Finding::Failed, reason),
        };
        Answer { finding, reason }
    }
}

impl From<ConnectError> for Trouble {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::TimedOut(_) => Self::Silent,
            error if !error.blames_host() => Self::Unknown(format!("not asked: {error}")),
            ConnectError::Unresolved(_) => Self::Wrong(error.to_string()),
            error => Self::Wrong(format!("connect {error}")),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Wrong(match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                "reset before it answered".to_owned()
            }
            _ => format!("connection failed: {error}"),
        })
    }
}

impl From<Malformed> for Trouble {
    fn from(malformed: Malformed) -> Self {
        Self::Wrong(format!("not HTTP: {malformed}"))
    }
}

/// Where a check's own port is given, it is that of the same machine; a unix socket has none.
fn with_port(address: &HostAddress, port: Option<u16>) -> Cow<'_, HostAddress> {
    match (address, port) {
        (HostAddress::Socket(Address::Tcp(at)), Some(port)) => {
            let mut at = *at;
            at.set_port(port);
            Cow::Owned(HostAddress::from(at))
        }
        (HostAddress::Name(name, _), Some(port)) => {
            Cow::Owned(HostAddress::Name(name.clone(), port))
        }
        _ => Cow::Borrowed(address),
    }
}

/// What a request says, which redirects change.
struct Request<'a> {
    method: &'a str,
    target: Cow<'a, str>,
    authority: String,
}

/// Asks, and goes where the host sends it, as long as that is the host itself.
async fn ask(
    address: &HostAddress,
    (mark, book): (Option<u32>, &Book),
    within: Duration,
    http: &HttpProbe,
) -> Result<String, Trouble> {
    let address = with_port(address, http.port);
    let authority = http.domain.clone().unwrap_or_else(|| authority(&address));
    let mut request = Request {
        method: &http.method,
        target: Cow::Borrowed(&http.target),
        authority,
    };
    let mut response = Response::default();
    for _ in 0..=MOST_REDIRECTS {
        let stream = connect(&address, within, mark, book).await?;
        exchange(&stream, &request, &mut response).await?;
        let status = response.status;
        if http.codes.iter().any(|codes| codes.contains(&status)) {
            return Ok(format!("status {status}"));
        }
        let Some(target) = redirected(&response, &request) else {
            let wanted = in_ranges(&http.codes);
            return Err(Trouble::Wrong(format!("status {status}, want {wanted}")));
        };
        // RFC 9110, section 15.4: the method stays with 307 and 308.
        if !matches!(status, 307 | 308) && request.method != "HEAD" {
            request.method = "GET";
        }
        request.target = Cow::Owned(target);
    }
    let redirects = format!("sent elsewhere more than {MOST_REDIRECTS} times");
    Err(Trouble::Wrong(redirects))
}

/// The host as a `Host` field names it.
fn authority(address: &HostAddress) -> String {
    match address {
        HostAddress::Socket(Address::Tcp(address)) => address.to_string(),
        HostAddress::Socket(Address::Unix(_)) => "localhost".to_owned(),
        HostAddress::Name(name, port) => format!("{name}:{port}"),
    }
}

fn in_ranges(codes: &[RangeInclusive<u16>]) -> String {
    let mut text = String::new();
    for codes in codes {
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing to a string does not fail.
        let _infallible = match codes.start() == codes.end() {
            true => write!(text, "{comma}{}", codes.start()),
            false => write!(text, "{comma}{}-{}", codes.start(), codes.end()),
        };
    }
    text
}

/// Where on the same host a response sends the probe; `None` when it does not, or elsewhere.
fn redirected(response: &Response, request: &Request<'_>) -> Option<String> {
    if !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.fields.get("Location")?;
    let location = std::str::from_utf8(location).ok()?;
    let location = location.split('#').next().unwrap_or_default();
    let behind = location.strip_prefix("http:").unwrap_or(location);
    let rooted = match behind.strip_prefix("//") {
        Some(rest) => {
            let (authority, _) = rest.split_once(['/', '?']).unwrap_or((rest, ""));
            if !authority.eq_ignore_ascii_case(&request.authority) {
                return None;
            }
            &rest[authority.len()..]
        }
        None if behind.starts_with(['/', '?']) => behind,
        None if !behind.is_empty() && !behind.contains(':') => {
            return within(&relative(&request.target, behind));
        }
        None => return None,
    };
    match rooted.as_bytes().first() {
        Some(b'/') => within(rooted),
        Some(b'?') if behind.starts_with('?') => {
            let path = request.target.split('?').next().unwrap_or("/");
            within(&format!("{path}{rooted}"))
        }
        _ => within(&format!("/{rooted}")),
    }
}

/// Beside the last part of the path.
fn relative(target: &str, location: &str) -> String {
    let path = target.split('?').next().unwrap_or("/");
    let parent = path.rfind('/').map_or("/", |at| &path[..=at]);
    format!("{parent}{location}")
}

/// Only what may stand in a request line is sent.
fn within(target: &str) -> Option<String> {
    let is_sent = |byte: u8| byte.is_ascii_graphic();
    target.bytes().all(is_sent).then(|| target.to_owned())
}

async fn exchange(
    stream: &Stream,
    request: &Request<'_>,
    response: &mut Response,
) -> Result<(), Trouble> {
    let head = head_of(request);
    let mut sent = 0;
    while sent < head.len() {
        sent += poll_fn(|cx| stream.poll_send(cx, &head[sent..])).await?;
    }
    let asked = match request.method {
        "HEAD" => Asked::Head,
        _ => Asked::Other,
    };
    let mut input = Vec::new();
    let mut at = 0;
    loop {
        match response.parse(&input[at..], &HEAD, asked)? {
            Parsed::Whole(length) => {
                at += length;
                // Another response follows an interim one.
                if !matches!(response.status, 100 | 102..=199) {
                    break;
                }
            }
            Parsed::Partial => {
                if receive(stream, &mut input).await? == 0 {
                    let said = match input.is_empty() {
                        true => "closed before it answered",
                        false => "closed in the midst of its answer",
                    };
                    return Err(Trouble::Wrong(said.to_owned()));
                }
            }
        }
    }
    input.drain(..at);
    let body = Decoder::new(response.body);
    // The status is known: whatever becomes of the body changes nothing.
    let _late = timeout_at(Instant::now() + READ_ON_FOR, read_on(stream, body, input)).await;
    Ok(())
}

fn head_of(request: &Request<'_>) -> Vec<u8> {
    let mut head = Vec::new();
    let Request {
        method,
        target,
        authority,
    } = request;
    write_request_line(&mut head, method.as_bytes(), target.as_bytes());
    debug_assert!(
        is_field_value(authority.as_bytes()),
        "checked when it was configured"
    );
    for line in [
        "Host: ",
        authority,
        "\r\nUser-Agent: banyan-health-check\r\nConnection: close\r\n",
    ] {
        head.extend_from_slice(line.as_bytes());
    }
    // RFC 9110, section 8.6: a method that has a body says so when it has none.
    if matches!(*method, "POST" | "PUT" | "PATCH") {
        Framing::Length(0).write_to(&mut head);
    }
    head.extend_from_slice(b"\r\n");
    head
}

async fn receive(stream: &Stream, input: &mut Vec<u8>) -> io::Result<usize> {
    poll_fn(|cx| {
        with_scratch(|scratch| {
            let received = ready!(stream.poll_recv(cx, scratch))?;
            input.extend_from_slice(&scratch[..received]);
            Poll::Ready(Ok(received))
        })
    })
    .await
}

async fn read_on(stream: &Stream, mut body: Decoder, mut input: Vec<u8>) -> io::Result<()> {
    let mut read = 0;
    while read <= READ_ON_BYTES {
        let mut at = 0;
        while at < input.len() {
            match body.decode(&input[at..]) {
                Ok(step) if step.state == Progress::More && step.consumed > 0 => {
                    at += step.consumed
                }
                _ => return Ok(()),
            }
        }
        if body.is_ended() {
            return Ok(());
        }
        input.clear();
        match receive(stream, &mut input).await? {
            0 => return Ok(()),
            received => read += received,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
