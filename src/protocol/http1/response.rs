//! The head of a response.

use httparse::Status;

use super::connection::Options;
use super::error::Malformed;
use super::fields::Fields;
use super::framing::{Body, Coding, Declared, Persistence};
use super::head::{HeadLimits, Parsed, Version, complaint, table};

/// Where the reason starts: behind `HTTP/1.1 200 `.
const REASON: usize = 13;

/// What a response answers, as far as it decides whether a body follows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asked {
    /// HEAD: no body follows.
    Head,
    /// CONNECT: behind a 2xx there is a tunnel.
    Connect,
    /// Any other method.
    Other,
}

/// The head of a response. It is parsed into again and again; its memory is kept.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// From 100 to 999. Behind a 1xx, except 101, another response follows.
    pub status: u16,
    /// The version of the server.
    pub version: Version,
    /// The fields, those of one hop among them.
    pub fields: Fields,
    /// Where the body ends.
    pub body: Body,
    /// Whether the server lets another response follow.
    pub persistence: Persistence,
    /// Whether the server says so, when it lets none follow, instead of merely going.
    pub says_close: bool,
    reason: Vec<u8>,
    named: Vec<u8>,
    content_length: Option<u64>,
    head_bytes: usize,
}

impl Response {
    /// Parses the head that `input` begins with. Everything in `self` is replaced. Interim
    /// responses (1xx) are returned like others.
    ///
    /// Input that is [`Partial`](Parsed::Partial) is given again, with more behind it; until the
    /// head is whole, `self` says nothing.
    ///
    /// # Errors
    ///
    /// The first rule that is broken, as soon as it is known to be.
    pub fn parse(
        &mut self,
        input: &[u8],
        limits: &HeadLimits,
        to: Asked,
    ) -> Result<Parsed, Malformed> {
        self.clear();
        let head = limits.window(input);
        // The tokeniser would overlook empty lines; here they are bytes nobody asked for.
        if let Some(b'\r' | b'\n') = head.first() {
            return Err(Malformed::StatusLine);
        }
        let mut table = table();
        let mut tokens = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let rows = limits.rows(&mut table);
        match config.parse_response_with_uninit_headers(&mut tokens, head, rows) {
            Ok(Status::Complete(length)) => {
                self.read(&head[..length], &tokens, to)?;
                self.head_bytes = length;
                Ok(Parsed::Whole(length))
            }
            Ok(Status::Partial) => limits.allow_more(head).map(|()| Parsed::Partial),
            Err(error) => Err(complaint(error, head)),
        }
    }

    /// The reason as received; often empty.
    #[must_use]
    pub fn reason(&self) -> &[u8] {
        &self.reason
    }

    /// The value of `Content-Length`: also of a response to HEAD and of a 304, which have no body
    /// but tell its length.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// The fields that `Connection` names, as a list; told where there may be trailers.
    #[must_use]
    pub fn named_by_connection(&self) -> &[u8] {
        &self.named
    }

    /// The length of the head as received.
    #[must_use]
    pub fn head_bytes(&self) -> usize {
        self.head_bytes
    }

    fn clear(&mut self) {
        self.fields.clear();
        self.reason.clear();
        self.named.clear();
        self.content_length = None;
        self.head_bytes = 0;
    }

    fn read(
        &mut self,
        head: &[u8],
        tokens: &httparse::Response<'_, '_>,
        to: Asked,
    ) -> Result<(), Malformed> {
        self.status = tokens.code.unwrap_or_default();
        if self.status < 100 {
            return Err(Malformed::StatusLine);
        }
        let end = memchr::memchr(b'\n', head).ok_or(Malformed::LineEnd)?;
        let line = head[..end].strip_suffix(b"\r").ok_or(Malformed::LineEnd)?;
        self.reason
            .extend_from_slice(line.get(REASON..).unwrap_or_default());
        self.version = Version::of(tokens.version);
        self.fields.adopt(&head[end + 1..], tokens.headers)?;

        let declared = Declared::read(&self.fields, self.version)?;
        self.content_length = declared.length;
        self.body = body(to, self.status, &declared);
        if self.body == Body::Chunked {
            self.fields.list_named(&mut self.named);
        }
        self.says_close = declared.options.has(Options::CLOSE);
        self.persistence =
            if self.body == Body::UntilClose || declares_forbidden(self.status, &declared) {
                Persistence::Close
            } else {
                declared.persistence(self.version)
            };
        Ok(())
    }
}

/// RFC 9112 section 6.3.
fn body(to: Asked, status: u16, declared: &Declared) -> Body {
    match (to, status) {
        (Asked::Head, _) | (_, 100..=199 | 204 | 304) | (Asked::Connect, 200..=299) => Body::None,
        _ => declared.body(Body::UntilClose),
    }
}

/// Whether a body is declared where none may be. The server may send it all the same, and it would
/// be read as the next response.
fn declares_forbidden(status: u16, declared: &Declared) -> bool {
    matches!(status, 100..=199 | 204)
        && (declared.coding == Coding::Chunked || declared.length.is_some_and(|length| length > 0))
}
