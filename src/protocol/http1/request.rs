//! The head of a request.

use httparse::Status;

use super::authority::is_authority;
use super::connection::Options;
use super::error::{Malformed, Refusal};
use super::fields::{Fields, Span};
use super::framing::{Body, Declared, Persistence, Seen};
use super::head::{HeadLimits, Parsed, Version, complaint, table};
use super::method::Method;
use super::target::{Target, TargetForm};

/// Empty lines that RFC 9112 section 2.2 has us overlook: what an old client sends after a body.
const MAX_EMPTY_LINES: usize = 2;

/// The head of a request.
///
/// One is made for a connection and parsed into again and again; its memory is kept. The fields
/// may be changed: what the methods tell is as received.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The method; [`method_text`](Self::method_text) has its letters.
    pub method: Method,
    /// The version of the client.
    pub version: Version,
    /// The fields, `Host` and those of one hop among them.
    pub fields: Fields,
    /// Where the body ends. Never [`Body::UntilClose`].
    pub body: Body,
    /// Whether the client lets another request follow.
    pub persistence: Persistence,
    /// Method and target, and copies of the host and the upgrade.
    text: Vec<u8>,
    method_text: Span,
    target_text: Span,
    target: Target,
    host: Option<Span>,
    upgrade: Option<Span>,
    named: Vec<u8>,
    expectation: Expectation,
    head_bytes: usize,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Expectation {
    #[default]
    None,
    Continue,
}

impl Request {
    /// Parses the head that `input` begins with. Everything in `self` is replaced.
    ///
    /// Input that is [`Partial`](Parsed::Partial) is given again, with more behind it; until the
    /// head is whole, `self` says nothing.
    ///
    /// # Errors
    ///
    /// The first rule that is broken, as soon as it is known to be.
    pub fn parse(&mut self, input: &[u8], limits: &HeadLimits) -> Result<Parsed, Refusal> {
        self.clear();
        let window = limits.window(input);
        let empty = empty_lines(window)?;
        let head = &window[empty..];
        let mut table = table();
        let mut tokens = httparse::Request::new(&mut []);
        match tokens.parse_with_uninit_headers(head, limits.rows(&mut table)) {
            Ok(Status::Complete(length)) => {
                self.read(&head[..length], &tokens)?;
                self.head_bytes = empty + length;
                Ok(Parsed::Whole(self.head_bytes))
            }
            Ok(Status::Partial) => allow_more(window, head, limits),
            Err(error) => refuse(error, head, &tokens),
        }
    }

    /// The method as received.
    #[must_use]
    pub fn method_text(&self) -> &[u8] {
        self.method_text.of(&self.text)
    }

    /// The form of the target.
    #[must_use]
    pub fn target_form(&self) -> TargetForm {
        self.target.form
    }

    /// The target as received.
    #[must_use]
    pub fn target(&self) -> &[u8] {
        self.target_text.of(&self.text)
    }

    /// The path of the target, as received: `/` for an absolute form without one, `*` for an
    /// asterisk, empty for CONNECT.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        self.target.path.map_or(b"/", |path| path.of(self.target()))
    }

    /// What follows the `?` of the target, as received.
    #[must_use]
    pub fn query(&self) -> Option<&[u8]> {
        self.target.query.map(|query| query.of(self.target()))
    }

    /// The scheme of an absolute form.
    #[must_use]
    pub fn scheme(&self) -> Option<&[u8]> {
        self.target.scheme.map(|scheme| scheme.of(self.target()))
    }

    /// The host and the port asked for, as received: the target's if it has one, else `Host`'s.
    ///
    /// Empty if `Host` is; none in HTTP/1.0 without it. Where the target has one, `Host` may name
    /// another: whoever sends the request on sets `Host` to this (RFC 9112 section 3.2.2).
    #[must_use]
    pub fn host(&self) -> Option<&[u8]> {
        let in_target = self.target.authority.map(|host| host.of(self.target()));
        in_target.or_else(|| self.host.map(|host| host.of(&self.text)))
    }

    /// Whether the client waits for a 100 before it sends its body.
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        self.expectation == Expectation::Continue
    }

    /// The value of `Upgrade`, if it stands once and `Connection` names it.
    #[must_use]
    pub fn upgrade(&self) -> Option<&[u8]> {
        self.upgrade.map(|upgrade| upgrade.of(&self.text))
    }

    /// The fields that `Connection` names, as a list; told where there may be trailers.
    #[must_use]
    pub fn named_by_connection(&self) -> &[u8] {
        &self.named
    }

    /// The length of the head as received, with the empty lines before it.
    #[must_use]
    pub fn head_bytes(&self) -> usize {
        self.head_bytes
    }

    fn clear(&mut self) {
        self.fields.clear();
        self.text.clear();
        self.method_text = Span::default();
        self.target_text = Span::default();
        self.target = Target::default();
        self.host = None;
        self.upgrade = None;
        self.named.clear();
        self.expectation = Expectation::None;
        self.head_bytes = 0;
    }

    fn read(&mut self, head: &[u8], tokens: &httparse::Request<'_, '_>) -> Result<(), Refusal> {
        let method = tokens.method.unwrap_or_default();
        let target = tokens.path.unwrap_or_default();
        let line = method.len() + 1 + target.len();
        let end = line + b" HTTP/1.1".len();
        if head.get(end..end + 2) != Some(b"\r\n") {
            return Err(Malformed::LineEnd.into());
        }
        self.text.extend_from_slice(&head[..line]);
        self.method_text = Span::new(0, method.len());
        self.target_text = Span::new(method.len() + 1, target.len());
        self.method = Method::of(method.as_bytes());
        self.version = Version::of(tokens.version);
        self.target = Target::read(target.as_bytes(), self.method)?;
        self.fields.adopt(&head[end + 2..], tokens.headers)?;

        let declared = Declared::read(&self.fields, self.version)?;
        self.body = declared.body(Body::None);
        self.persistence = declared.persistence(self.version);
        if self.body == Body::Chunked {
            self.fields.list_named(&mut self.named);
        }
        self.read_host(declared.host)?;
        self.read_wishes(&declared);
        Ok(())
    }

    fn read_host(&mut self, host: Seen) -> Result<(), Refusal> {
        match host {
            Seen::Once(place) => {
                let host = self.fields.value(place);
                if !is_authority(host) {
                    return Err(Refusal::Host);
                }
                self.host = Some(stored(&mut self.text, host));
                Ok(())
            }
            Seen::Never if self.version == Version::Http10 => Ok(()),
            Seen::Never => Err(Refusal::NoHost),
            Seen::Often => Err(Refusal::Hosts),
        }
    }

    /// What only a client of HTTP/1.1 may wish for.
    fn read_wishes(&mut self, declared: &Declared) {
        if self.version == Version::Http10 {
            return;
        }
        if let Seen::Once(place) = declared.expect
            && self
                .fields
                .value(place)
                .eq_ignore_ascii_case(b"100-continue")
            && !matches!(self.body, Body::None | Body::Length(0))
        {
            self.expectation = Expectation::Continue;
        }
        if let Seen::Once(place) = declared.upgrade
            && declared.options.has(Options::UPGRADE)
        {
            self.upgrade = Some(stored(&mut self.text, self.fields.value(place)));
        }
    }
}

fn stored(text: &mut Vec<u8>, value: &[u8]) -> Span {
    let at = text.len();
    text.extend_from_slice(value);
    Span::new(at, value.len())
}

/// The bytes of empty lines that come first.
fn empty_lines(input: &[u8]) -> Result<usize, Refusal> {
    let mut at = 0;
    while input[at..].starts_with(b"\r\n") {
        at += 2;
        if at > 2 * MAX_EMPTY_LINES {
            return Err(Refusal::EmptyLines);
        }
    }
    match input[at..] {
        [b'\n', ..] | [b'\r', _, ..] => Err(Malformed::LineEnd.into()),
        _ => Ok(at),
    }
}

/// `window` is `head` with the empty lines before it.
fn allow_more(window: &[u8], head: &[u8], limits: &HeadLimits) -> Result<Parsed, Refusal> {
    match limits.allow_more(window) {
        Ok(()) => Ok(Parsed::Partial),
        Err(Malformed::HeadTooLarge) if !head.contains(&b'\n') => Err(Refusal::TargetTooLong),
        Err(malformed) => Err(malformed.into()),
    }
}

fn refuse(
    error: httparse::Error,
    head: &[u8],
    tokens: &httparse::Request<'_, '_>,
) -> Result<Parsed, Refusal> {
    use httparse::Error;
    Err(match (error, tokens.method, tokens.path) {
        (Error::Token, None, _) => Refusal::Method,
        (Error::Token, Some(_), None) => Refusal::Target,
        (Error::Version, Some(method), Some(target)) => {
            return version(&head[method.len() + 1 + target.len() + 1..]);
        }
        (Error::NewLine, _, Some(_)) if !head.contains(&b'\n') => Refusal::RequestLine,
        _ => complaint(error, head).into(),
    })
}

/// What to say of a version that the tokeniser does not know, given what follows the target.
fn version(text: &[u8]) -> Result<Parsed, Refusal> {
    let is_like = |(byte, model): (&u8, &u8)| match model {
        b'0' => byte.is_ascii_digit(),
        _ => byte == model,
    };
    let model = b"HTTP/0.0\r\n";
    if !text.iter().zip(model).all(is_like) {
        return Err(Refusal::RequestLine);
    }
    if text.len() < model.len() {
        return Ok(Parsed::Partial);
    }
    Err(Refusal::UnsupportedVersion)
}
