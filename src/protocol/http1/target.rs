//! What a request is for, in the four forms of RFC 9112 section 3.2.

use super::authority::{names_a_host, names_a_host_and_a_port};
use super::error::Refusal;
use super::fields::Span;
use super::method::Method;

/// The form of a target.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TargetForm {
    /// `/where?now`
    #[default]
    Origin,
    /// `http://example.org/where?now`
    Absolute,
    /// `example.org:443`, of CONNECT only.
    Authority,
    /// `*`, of OPTIONS only.
    Asterisk,
}

/// Where the parts of a target lie in it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Target {
    pub(super) form: TargetForm,
    pub(super) scheme: Option<Span>,
    pub(super) authority: Option<Span>,
    /// None of an absolute form that ends before it.
    pub(super) path: Option<Span>,
    pub(super) query: Option<Span>,
}

impl Target {
    /// Takes a target apart.
    pub(super) fn read(text: &[u8], method: Method) -> Result<Self, Refusal> {
        // The tokeniser lets no control byte and no space through.
        if !text.is_ascii() {
            return Err(Refusal::Target);
        }
        if method == Method::Connect {
            return Self::authority(text);
        }
        match text {
            [b'/', ..] => Self::origin(text),
            b"*" if method == Method::Options => Ok(Self {
                form: TargetForm::Asterisk,
                path: Some(Span::new(0, 1)),
                ..Self::default()
            }),
            b"*" => Err(Refusal::AsteriskTarget),
            _ => Self::absolute(text),
        }
    }

    fn origin(text: &[u8]) -> Result<Self, Refusal> {
        let (path, query) = path_and_query(text, 0)?;
        Ok(Self {
            path: Some(path),
            query,
            ..Self::default()
        })
    }

    fn authority(text: &[u8]) -> Result<Self, Refusal> {
        if !names_a_host_and_a_port(text) {
            return Err(Refusal::ConnectTarget);
        }
        Ok(Self {
            form: TargetForm::Authority,
            authority: Some(Span::new(0, text.len())),
            path: Some(Span::default()),
            ..Self::default()
        })
    }

    fn absolute(text: &[u8]) -> Result<Self, Refusal> {
        let colon = memchr::memchr(b':', text).ok_or(Refusal::Target)?;
        let scheme = &text[..colon];
        let is_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        if !scheme.first().is_some_and(u8::is_ascii_alphabetic)
            || !scheme.iter().all(is_scheme)
            || !text[colon..].starts_with(b"://")
        {
            return Err(Refusal::Target);
        }
        let start = colon + 3;
        let rest = &text[start..];
        let end = start + memchr::memchr3(b'/', b'?', b'#', rest).unwrap_or(rest.len());
        if !names_a_host(&text[start..end]) {
            return Err(Refusal::Target);
        }
        let (path, query) = path_and_query(text, end)?;
        Ok(Self {
            form: TargetForm::Absolute,
            scheme: Some(Span::new(0, colon)),
            authority: Some(Span::new(start, end - start)),
            path: Some(path).filter(|path| !path.is_empty()),
            query,
        })
    }
}

/// The path that starts at `start`, and what follows its `?`.
fn path_and_query(text: &[u8], start: usize) -> Result<(Span, Option<Span>), Refusal> {
    let rest = &text[start..];
    let Some(mark) = memchr::memchr2(b'?', b'#', rest) else {
        return Ok((Span::new(start, rest.len()), None));
    };
    let query = &rest[mark + 1..];
    // A fragment is the client's own: one that is sent was never meant to be.
    if rest[mark] == b'#' || memchr::memchr(b'#', query).is_some() {
        return Err(Refusal::Target);
    }
    let query = Span::new(start + mark + 1, query.len());
    Ok((Span::new(start, mark), Some(query)))
}
