//! What is wrong with a message, in the words of the rule it breaks.

use thiserror::Error;

/// What makes a message unreadable, from either side. The connection it came over is lost.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Malformed {
    /// The peer closed before the end of a body.
    #[error("closed before the end of the body")]
    BodyCut,
    /// A chunk's data are not followed by a line end.
    #[error("chunk longer than its size")]
    ChunkEnd,
    /// All chunk extensions of a body together are too long.
    #[error("too many bytes of chunk extensions")]
    ChunkExtensions,
    /// The line that opens a chunk is not a size and its extensions.
    #[error("chunk size that is not hexadecimal digits")]
    ChunkLine,
    /// The line that opens a chunk is too long.
    #[error("chunk size line too long")]
    ChunkLineTooLong,
    /// `Connection` names too many options.
    #[error("too many connection options")]
    ConnectionOptions,
    /// A length that is not digits, or does not fit 64 bits.
    #[error("content-length that is not a number")]
    ContentLength,
    /// Two ways to tell where the body ends.
    #[error("content-length beside transfer-encoding")]
    ContentLengthBesideTransferEncoding,
    /// Two lengths, be they equal.
    #[error("more than one content-length")]
    ContentLengths,
    /// A field without a name, or one that is not a token and a colon.
    #[error("field name that is not a token followed by a colon")]
    FieldName,
    /// A control byte in a field's value.
    #[error("control byte in a field value")]
    FieldValue,
    /// The head is longer than its limit.
    #[error("head too large")]
    HeadTooLarge,
    /// A line that ends in a bare CR or LF.
    #[error("line end that is not CR LF")]
    LineEnd,
    /// A folded line, or white space before the first field.
    #[error("line that starts with white space")]
    LineStart,
    /// A status line without three digits of status, or with a control byte in its reason.
    #[error("malformed status line")]
    StatusLine,
    /// More fields than the limit.
    #[error("too many fields")]
    TooManyFields,
    /// Too many trailer fields, or too many bytes of them.
    #[error("trailers too large")]
    Trailers,
    /// Transfer codings other than `chunked`, once and last.
    #[error("transfer-encoding other than one chunked at the end")]
    TransferEncoding,
    /// HTTP/1.0 has no transfer codings: whoever relayed this message did not understand them.
    #[error("transfer-encoding in HTTP/1.0")]
    TransferEncodingInHttp10,
    /// A transfer coding that is not `chunked`.
    #[error("unknown transfer coding")]
    UnknownTransferCoding,
    /// Not HTTP, or a version that does not begin with `HTTP/1.`.
    #[error("version other than HTTP/1.0 and HTTP/1.1")]
    Version,
}

/// Why a request is refused. Its [`status`](Self::status) is the answer, after which the
/// connection is closed: where the next request begins is not known.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Refusal {
    /// `*` with a method other than OPTIONS.
    #[error("asterisk target without OPTIONS")]
    AsteriskTarget,
    /// CONNECT with anything but a host and a port.
    #[error("CONNECT target that is not a host and a port")]
    ConnectTarget,
    /// More than two empty lines before the request.
    #[error("empty lines before the request")]
    EmptyLines,
    /// A `Host` that is not a host and perhaps a port.
    #[error("malformed host")]
    Host,
    /// More than one `Host`.
    #[error("more than one host field")]
    Hosts,
    /// A rule that requests share with responses.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A method that is not a token followed by one space.
    #[error("malformed method")]
    Method,
    /// HTTP/1.1 without `Host`.
    #[error("no host field")]
    NoHost,
    /// A request line that is not method, target and version with one space between them.
    #[error("malformed request line")]
    RequestLine,
    /// A target with a byte that it may not have, or of no known form.
    #[error("malformed target")]
    Target,
    /// A request line that is as long as a whole head may be.
    #[error("target too long")]
    TargetTooLong,
    /// A well-formed version that is neither HTTP/1.0 nor HTTP/1.1.
    #[error("version not supported")]
    UnsupportedVersion,
}

impl Refusal {
    /// The status of the answer: 400, 414, 431, 501 or 505.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::TargetTooLong => 414,
            Self::Malformed(Malformed::HeadTooLarge | Malformed::TooManyFields) => 431,
            Self::Malformed(Malformed::UnknownTransferCoding) => 501,
            Self::UnsupportedVersion => 505,
            _ => 400,
        }
    }
}
