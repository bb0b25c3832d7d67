//! The values of variables, and the lines of access logs that are made of them.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Zoned;

use crate::config::{AccessFormat, Address, GoDuration, Known, Piece, Variable};
use crate::protocol::http1::Fields;

use super::facts::Subject;
use super::record::Origin;

/// The values of a field; several are one list, as RFC 9110 section 5.3 has it.
pub(in crate::proxy) fn field<'a>(fields: &'a Fields, name: &str) -> Option<Cow<'a, [u8]>> {
    let first = fields.get(name)?;
    let mut further = fields
        .iter()
        .filter(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
        .skip(1)
        .peekable();
    if further.peek().is_none() {
        return Some(first.into());
    }
    let mut joined = first.to_vec();
    for (_, value) in further {
        joined.extend_from_slice(b", ");
        joined.extend_from_slice(value);
    }
    Some(joined.into())
}

/// What a variable is worth for a request; `None` when it has no value.
pub(in crate::proxy) fn value<'a>(
    subject: &Subject<'a>,
    variable: &Variable,
) -> Option<Cow<'a, [u8]>> {
    value_among(subject, &subject.request.fields, variable)
}

/// The same, where these are the request's fields.
fn value_among<'a>(
    subject: &Subject<'a>,
    fields: &'a Fields,
    variable: &Variable,
) -> Option<Cow<'a, [u8]>> {
    match variable {
        Variable::Known(known) => known_value(subject, fields, *known),
        Variable::RequestField(name) => field(fields, name),
        Variable::ResponseField(name) => field(&subject.response?.fields, name),
        Variable::QueryArgument(name) => argument(subject.request.query()?, name),
        Variable::Cookie(name) => cookie(fields, name),
        Variable::Valueless(_) | Variable::Unknown(_) => None,
    }
}

/// Appends what a variable is worth while heads are being changed: `request` and `response` are the
/// fields as they are by then, where they are being changed.
pub(in crate::proxy) fn push(
    subject: &Subject<'_>,
    variable: &Variable,
    request: Option<&Fields>,
    response: Option<&Fields>,
    out: &mut Vec<u8>,
) {
    let value = match (variable, response) {
        (Variable::ResponseField(name), Some(fields)) => field(fields, name),
        _ => value_among(
            subject,
            request.unwrap_or(&subject.request.fields),
            variable,
        ),
    };
    out.extend_from_slice(&value.unwrap_or_default());
}

fn known_value<'a>(
    subject: &Subject<'a>,
    fields: &'a Fields,
    known: Known,
) -> Option<Cow<'a, [u8]>> {
    let (request, record) = (subject.request, subject.record);
    // Every request has a method; what has none is no request.
    if request.method_text().is_empty() && is_of_head(known) {
        return None;
    }
    Some(match known {
        Known::Method => request.method_text().into(),
        Known::Path => subject.path.as_bytes(request).into(),
        Known::PathOriginal => request.path().into(),
        Known::Query => request.query().filter(|query| !query.is_empty())?.into(),
        Known::Uri => request.target().into(),
        Known::Host => request.host()?.into(),
        Known::Authority => field(fields, "host")?,
        Known::Scheme => request.scheme().unwrap_or(b"http").into(),
        Known::Length => number(request.head_bytes() as u64 + record.body_received),
        Known::Protocol => subject.connection.speaks().as_bytes().into(),
        Known::BytesSent => number(record.body_sent),
        Known::BytesReceived => number(record.body_received),
        Known::ResponseCode => number(record.status.into()),
        Known::Status => number(Some(record.status).filter(|status| *status != 0)?.into()),
        Known::ResponseFlag if !record.flags.any() => b"false"[..].into(),
        Known::ResponseFlag => b"true"[..].into(),
        Known::FailureReason => text(record.flags.to_string()),
        Known::DirectResponse if record.origin == Origin::Local => b"true"[..].into(),
        Known::DirectResponse => return None,
        Known::UpstreamAddress => text(record.host.as_ref()?.to_string()),
        Known::UpstreamHost => text(record.host.as_ref()?.hostname()?.to_owned()),
        Known::UpstreamCluster => text(record.cluster.as_ref()?.to_string()),
        Known::UpstreamConnectionId => number(record.upstream_id?),
        Known::DownstreamLocalAddress => address(subject.connection.addresses().local)?,
        Known::DownstreamRemoteAddress => address(subject.connection.addresses().peer)?,
        Known::ConnectionId => number(subject.connection.id()),
        Known::StreamId => number(record.id),
        Known::TraceId => record.trace_id().as_bytes().into(),
        Known::ListenerName => text(subject.fitting.listener.name.to_string()),
        Known::ListenerPort => match &subject.fitting.listener.address {
            Address::Tcp(address) => number(address.port().into()),
            Address::Unix(_) => return None,
        },
        Known::ListenerType => return None,
        Known::GlobalTimeout => field(fields, "x-mosn-global-timeout")?,
        Known::TryTimeout => field(fields, "x-mosn-try-timeout")?,
        Known::RpcService => field(fields, "service")?,
        Known::StartTime => text(start(subject)),
        Known::RequestReceivedDuration
        | Known::ResponseReceivedDuration
        | Known::RequestFinishedDuration
        | Known::ProcessTimeDuration
        | Known::Duration => text(GoDuration::from(span(subject, known)).to_string()),
    })
}

/// Whether it is read off the head of a request.
fn is_of_head(known: Known) -> bool {
    matches!(
        known,
        Known::Length
            | Known::Method
            | Known::Path
            | Known::PathOriginal
            | Known::Scheme
            | Known::Uri
    )
}

fn span(subject: &Subject<'_>, known: Known) -> Duration {
    let record = subject.record;
    let since =
        |end: Option<tokio::time::Instant>| end.map_or(Duration::ZERO, |end| end - record.started);
    let finished = record.started.elapsed();
    match known {
        Known::RequestReceivedDuration => since(record.forwarded),
        Known::ResponseReceivedDuration => since(record.answered),
        Known::ProcessTimeDuration => record.process_time(finished),
        _ => finished,
    }
}

/// `YYYY/MM/DD HH:MM:SS.mmm`, local time.
fn start(subject: &Subject<'_>) -> String {
    let begun = Zoned::now() - subject.record.started.elapsed();
    begun.strftime("%Y/%m/%d %H:%M:%S%.3f").to_string()
}

fn number<'a>(number: u64) -> Cow<'a, [u8]> {
    let mut digits = itoa::Buffer::new();
    digits.format(number).as_bytes().to_vec().into()
}

fn text<'a>(text: String) -> Cow<'a, [u8]> {
    text.into_bytes().into()
}

fn address<'a>(address: Option<std::net::SocketAddr>) -> Option<Cow<'a, [u8]>> {
    Some(text(address?.to_string()))
}

/// The first value of an argument of a query, as it came.
fn argument<'a>(query: &'a [u8], name: &str) -> Option<Cow<'a, [u8]>> {
    let mut pairs = query.split(|&byte| byte == b'&').map(pair);
    let found = pairs.find(|(key, _)| *key == name.as_bytes())?;
    Some(found.1.into())
}

pub(in crate::proxy) fn cookie<'a>(fields: &'a Fields, name: &str) -> Option<Cow<'a, [u8]>> {
    let lines = fields
        .iter()
        .filter(|(found, _)| found.eq_ignore_ascii_case(b"cookie"));
    let cookies = lines.flat_map(|(_, line)| line.split(|&byte| byte == b';'));
    let mut cookies = cookies.map(|cookie| pair(cookie.trim_ascii()));
    let found = cookies.find(|(key, _)| *key == name.as_bytes())?;
    Some(found.1.into())
}

fn pair(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'=', text) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, b""),
    }
}

/// Appends the line of a request to `line`, with its end.
pub(in crate::proxy) fn write(subject: &Subject<'_>, format: &AccessFormat, line: &mut Vec<u8>) {
    match format {
        AccessFormat::Text(pieces) => {
            for piece in pieces {
                match piece {
                    Piece::Text(text) => line.extend_from_slice(text.as_bytes()),
                    Piece::Value(variable) => {
                        push_printable(&logged(subject, variable), line);
                    }
                }
            }
        }
        AccessFormat::Json(members) => {
            let values = members.iter().map(|(name, pieces)| {
                let text = pieces.iter().map(|piece| match piece {
                    Piece::Text(text) => text.clone(),
                    Piece::Value(variable) => {
                        String::from_utf8_lossy(&logged(subject, variable)).into_owned()
                    }
                });
                (name.as_str(), serde_json::Value::String(text.collect()))
            });
            let object: serde_json::Map<_, _> = values
                .map(|(name, value)| (name.to_owned(), value))
                .collect();
            line.extend_from_slice(serde_json::Value::Object(object).to_string().as_bytes());
        }
    }
}

fn logged<'a>(subject: &Subject<'a>, variable: &Variable) -> Cow<'a, [u8]> {
    value(subject, variable).unwrap_or(Cow::Borrowed(b"-"))
}

/// A client must not be able to write lines of its own, nor what a terminal obeys.
fn push_printable(text: &[u8], line: &mut Vec<u8>) {
    line.extend(text.iter().map(|&byte| match byte.is_ascii_control() {
        true => b' ',
        false => byte,
    }));
}
