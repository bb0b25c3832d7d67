//! Bodies, piece by piece.
//!
//! ```text
//!           digits     ;          CR           LF
//!  Size ─────────────► Extension ───► SizeEnd ────► Data(n) ──► DataCr ──► DataLf ──► Size
//!    └── CR ──────────────────────────► │ └─ n = 0 ─► Trailers ──── empty line ────► End
//! ```

use std::ops::Range;

use super::error::Malformed;
use super::fields::Fields;
use super::framing::Body;
use super::grammar::{elements, is_line_byte, is_line_text, is_token, trimmed};

/// Digits of a chunk size: as many as 64 bits have.
const MAX_DIGITS: u8 = 16;
/// Bytes of the line that opens a chunk. Real ones have under ten; extensions are hardly used.
const MAX_LINE: u16 = 256;
/// Bytes of all extensions of a body, so that a body is not mostly them.
const MAX_EXTENSIONS: u16 = 16 << 10;
/// Bytes of all trailers, their line ends included.
const MAX_TRAILERS: usize = 8 << 10;
const MAX_TRAILER_FIELDS: u16 = 64;

/// Trailers that would mean something to whoever takes them for fields of the head.
const FORBIDDEN: [&[u8]; 9] = [
    b"connection",
    b"content-length",
    b"host",
    b"keep-alive",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
];

/// Decodes one body, piece by piece, in any pieces. Allocates for trailers only.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    /// The size of the chunk whose line is being read.
    size: u64,
    digits: u8,
    line_bytes: u16,
    extension_bytes: u16,
    trailer_bytes: usize,
    trailer_fields: u16,
    /// A trailer whose line end has not come.
    line: Vec<u8>,
    /// Names of trailers that are left out, as a list.
    left_out: Vec<u8>,
    trailers: Fields,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Data that last as long as the connection.
    UntilClose,
    /// Data of a body of known length: never 0.
    Length(u64),
    /// The digits of a chunk size.
    Size,
    /// White space behind them, which an extension must follow.
    Blank,
    Extension,
    /// The CR of the line has come, its LF has not.
    SizeEnd,
    /// Data of a chunk: never 0.
    Data(u64),
    DataCr,
    DataLf,
    Trailers,
    End,
    Broken(Malformed),
}

/// What one piece of input gave.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Decoded {
    /// Bytes of input that are done with.
    pub consumed: usize,
    /// Where in the input data of the body lie; may be empty.
    pub data: Range<usize>,
    /// Whether the body goes on.
    pub state: Progress,
}

/// Whether a body goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// It does, behind the input consumed.
    More,
    /// It has ended; what follows the input consumed is not part of it.
    End,
}

impl Decoder {
    /// Starts a body.
    #[must_use]
    pub fn new(body: Body) -> Self {
        let state = match body {
            Body::None | Body::Length(0) => State::End,
            Body::Length(length) => State::Length(length),
            Body::Chunked => State::Size,
            Body::UntilClose => State::UntilClose,
        };
        Self {
            state,
            size: 0,
            digits: 0,
            line_bytes: 0,
            extension_bytes: 0,
            trailer_bytes: 0,
            trailer_fields: 0,
            line: Vec::new(),
            left_out: Vec::new(),
            trailers: Fields::default(),
        }
    }

    /// Leaves out trailers of these names, which commas tell apart: those of fields that the
    /// message's `Connection` names (RFC 9110 section 7.6.1).
    pub fn leave_out(&mut self, names: &[u8]) {
        self.left_out.extend_from_slice(names);
    }

    /// Takes the next piece of input.
    ///
    /// Gives at most one run of data, and takes no more than it and the framing around it: call
    /// again with the rest until all is consumed or the body ends. Input that is consumed must not
    /// be given again.
    ///
    /// # Errors
    ///
    /// The rule of the chunked coding that is broken, now and at every later call. Data in the same
    /// piece may be withheld.
    pub fn decode(&mut self, input: &[u8]) -> Result<Decoded, Malformed> {
        let data = match self.state {
            State::UntilClose => 0..input.len(),
            State::Length(left) => {
                let taken = shorter(left, input.len());
                self.skip(taken as u64);
                0..taken
            }
            State::End => 0..0,
            _ => {
                let decoded = self.decode_chunks(input);
                return decoded.inspect_err(|&malformed| self.state = State::Broken(malformed));
            }
        };
        Ok(self.decoded(data.end, data))
    }

    /// Counts bytes of a body of known length that went past the decoder.
    ///
    /// # Panics
    ///
    /// When they are more than [`remaining`](Self::remaining) says.
    pub fn skip(&mut self, bytes: u64) {
        let left = self.remaining().unwrap_or(0);
        let left = left
            .checked_sub(bytes)
            .expect("no more is skipped than remains");
        if let State::Length(_) = self.state {
            self.state = match left {
                0 => State::End,
                _ => State::Length(left),
            };
        }
    }

    /// Says that the peer has closed.
    ///
    /// # Errors
    ///
    /// [`Malformed::BodyCut`] when the body was to go on; what was broken before, if anything was.
    pub fn eof(&mut self) -> Result<(), Malformed> {
        match self.state {
            State::End => {}
            State::UntilClose => self.state = State::End,
            State::Broken(malformed) => return Err(malformed),
            _ => {
                self.state = State::Broken(Malformed::BodyCut);
                return Err(Malformed::BodyCut);
            }
        }
        Ok(())
    }

    /// Whether the body has ended.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        matches!(self.state, State::End)
    }

    /// The trailers, once the body has ended: those that may be, which excludes the fields that
    /// frame or route a message, and those [left out](Self::leave_out).
    #[must_use]
    pub fn trailers(&self) -> &Fields {
        &self.trailers
    }

    /// The bytes that are left of a body whose length was declared or that has ended.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Length(left) => Some(left),
            State::End => Some(0),
            _ => None,
        }
    }

    fn decoded(&self, consumed: usize, data: Range<usize>) -> Decoded {
        let state = if self.is_ended() {
            Progress::End
        } else {
            Progress::More
        };
        Decoded {
            consumed,
            data,
            state,
        }
    }

    fn decode_chunks(&mut self, input: &[u8]) -> Result<Decoded, Malformed> {
        let mut data = 0..0;
        let mut at = 0;
        while at < input.len() {
            match self.state {
                State::End => break,
                State::Data(_) if !data.is_empty() => break,
                State::Data(left) => {
                    let taken = shorter(left, input.len() - at);
                    data = at..at + taken;
                    at += taken;
                    self.state = match left - taken as u64 {
                        0 => State::DataCr,
                        left => State::Data(left),
                    };
                }
                State::Trailers => at += self.take_trailer(&input[at..])?,
                _ => {
                    self.state = self.take_framing(input[at])?;
                    at += 1;
                }
            }
        }
        if let State::Broken(malformed) = self.state {
            return Err(malformed);
        }
        Ok(self.decoded(at, data))
    }

    /// Takes a byte that is not data.
    fn take_framing(&mut self, byte: u8) -> Result<State, Malformed> {
        match (self.state, byte) {
            (State::DataCr, b'\r') => return Ok(State::DataLf),
            (State::DataLf, b'\n') => {
                self.size = 0;
                self.digits = 0;
                self.line_bytes = 0;
                return Ok(State::Size);
            }
            (State::DataCr | State::DataLf, _) => return Err(Malformed::ChunkEnd),
            (State::Broken(malformed), _) => return Err(malformed),
            _ => {}
        }
        self.line_bytes += 1;
        if self.line_bytes > MAX_LINE {
            return Err(Malformed::ChunkLineTooLong);
        }
        if let State::Size = self.state {
            return self.take_size(byte);
        }
        match (self.state, byte) {
            (State::SizeEnd, b'\n') => Ok(match self.size {
                0 => State::Trailers,
                size => State::Data(size),
            }),
            (State::SizeEnd, _) => Err(Malformed::LineEnd),
            (State::Extension, b'\r') => Ok(State::SizeEnd),
            (State::Extension, b'\n') => Err(Malformed::LineEnd),
            (State::Blank, b';') => self.take_extension(byte, State::Extension),
            (State::Blank, b' ' | b'\t') => self.take_extension(byte, State::Blank),
            (State::Extension, _) => self.take_extension(byte, State::Extension),
            _ => Err(Malformed::ChunkLine),
        }
    }

    fn take_size(&mut self, byte: u8) -> Result<State, Malformed> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ if self.digits == 0 => return Err(Malformed::ChunkLine),
            b'\r' => return Ok(State::SizeEnd),
            b'\n' => return Err(Malformed::LineEnd),
            b';' => return self.take_extension(byte, State::Extension),
            b' ' | b'\t' => return self.take_extension(byte, State::Blank),
            _ => return Err(Malformed::ChunkLine),
        };
        if self.digits == MAX_DIGITS {
            return Err(Malformed::ChunkLine);
        }
        self.digits += 1;
        self.size = self.size << 4 | u64::from(digit);
        Ok(State::Size)
    }

    fn take_extension(&mut self, byte: u8, next: State) -> Result<State, Malformed> {
        self.extension_bytes += 1;
        if self.extension_bytes > MAX_EXTENSIONS {
            return Err(Malformed::ChunkExtensions);
        }
        if !is_line_byte(byte) {
            return Err(Malformed::ChunkLine);
        }
        Ok(next)
    }

    /// Takes a line of trailers, or what has come of it; how many bytes that is.
    fn take_trailer(&mut self, input: &[u8]) -> Result<usize, Malformed> {
        let end = memchr::memchr(b'\n', input);
        let taken = end.map_or(input.len(), |end| end + 1);
        self.trailer_bytes += taken;
        if self.trailer_bytes > MAX_TRAILERS {
            return Err(Malformed::Trailers);
        }
        if end.is_none() {
            self.line.extend_from_slice(input);
        } else if self.line.is_empty() {
            self.read_trailer(&input[..taken])?;
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(&input[..taken]);
            self.read_trailer(&line)?;
        }
        Ok(taken)
    }

    fn read_trailer(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let line = line.strip_suffix(b"\r\n").ok_or(Malformed::LineEnd)?;
        if line.is_empty() {
            self.state = State::End;
            return Ok(());
        }
        if let [b' ' | b'\t', ..] = line {
            return Err(Malformed::LineStart);
        }
        let colon = memchr::memchr(b':', line).ok_or(Malformed::FieldName)?;
        let (name, value) = (&line[..colon], trimmed(&line[colon + 1..]));
        if !is_token(name) {
            return Err(Malformed::FieldName);
        }
        if !is_line_text(value) {
            return Err(Malformed::FieldValue);
        }
        self.trailer_fields += 1;
        if self.trailer_fields > MAX_TRAILER_FIELDS {
            return Err(Malformed::Trailers);
        }
        let forbidden = FORBIDDEN.iter().copied().chain(elements(&self.left_out));
        if !forbidden
            .into_iter()
            .any(|no| name.eq_ignore_ascii_case(no))
        {
            self.trailers.push(name, value);
        }
        Ok(())
    }
}

fn shorter(left: u64, available: usize) -> usize {
    usize::try_from(left).map_or(available, |left| left.min(available))
}
