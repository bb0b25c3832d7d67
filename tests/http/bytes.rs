//! Bytes as scripts write them, and what may stand for bytes not known before.

use std::fmt::Write;
use std::net::SocketAddr;

/// What one side is to receive.
#[derive(Clone, Debug)]
pub(crate) enum Expected {
    /// These pieces, one after the other.
    Exactly(Vec<Piece>),
    /// A head of these lines: the first one first, the others in any order and in any case.
    Head(Vec<u8>),
}

/// A piece of a text.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Bytes(Vec<u8>),
    /// These bytes in chunks of any sizes, without the last chunk.
    Chunks(Vec<u8>),
    /// Whatever comes before the next CR.
    Line,
    /// The address of the case's upstream.
    Upstream,
}

/// How far received bytes are what was expected.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// So many bytes are it.
    Whole(usize),
    /// More have to come.
    Part,
    /// They are something else.
    Else,
}

impl Expected {
    /// Compares what was received so far.
    pub(crate) fn find(&self, received: &[u8], upstream: SocketAddr) -> Found {
        match self {
            Self::Exactly(pieces) => find(pieces, received, upstream),
            Self::Head(lines) => {
                let Some(end) = head_end(received) else {
                    return Found::Part;
                };
                if sorted(&received[..end]) == sorted(lines) {
                    Found::Whole(end)
                } else {
                    Found::Else
                }
            }
        }
    }

    pub(crate) fn show(&self) -> String {
        match self {
            Self::Head(lines) => show(lines),
            Self::Exactly(pieces) => pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Bytes(bytes) => show(bytes),
                    Piece::Chunks(bytes) => format!("\\{{chunks {}}}", show(bytes)),
                    Piece::Line => "\\{line}".to_owned(),
                    Piece::Upstream => "\\{upstream}".to_owned(),
                })
                .collect(),
        }
    }
}

fn find(pieces: &[Piece], received: &[u8], upstream: SocketAddr) -> Found {
    let mut at = 0;
    for piece in pieces {
        let rest = &received[at..];
        let address;
        let wanted = match piece {
            Piece::Line => match rest.iter().position(|&byte| byte == b'\r') {
                Some(length) => {
                    at += length;
                    continue;
                }
                None => return Found::Part,
            },
            Piece::Bytes(bytes) => bytes,
            Piece::Chunks(data) => match find_chunks(data, rest) {
                Found::Whole(length) => {
                    at += length;
                    continue;
                }
                other => return other,
            },
            Piece::Upstream => {
                address = upstream.to_string().into_bytes();
                &address
            }
        };
        if rest.len() >= wanted.len() && rest.starts_with(wanted) {
            at += wanted.len();
        } else if wanted.starts_with(rest) {
            return Found::Part;
        } else {
            return Found::Else;
        }
    }
    Found::Whole(at)
}

/// Finds `data` cut into chunks without extensions.
fn find_chunks(mut data: &[u8], received: &[u8]) -> Found {
    let mut at = 0;
    while !data.is_empty() {
        let rest = &received[at..];
        let Some(line) = rest.windows(2).position(|two| two == b"\r\n") else {
            let digits = rest
                .iter()
                .take_while(|byte| byte.is_ascii_hexdigit())
                .count();
            let ends = rest[digits..].is_empty() || &rest[digits..] == b"\r";
            return if ends { Found::Part } else { Found::Else };
        };
        let size = std::str::from_utf8(&rest[..line]).ok();
        let size = size.and_then(|digits| usize::from_str_radix(digits, 16).ok());
        let Some((chunk, after)) = size
            .filter(|&size| size > 0)
            .and_then(|size| data.split_at_checked(size))
        else {
            return Found::Else;
        };
        let body = &rest[line + 2..];
        let wanted = [chunk, b"\r\n"].concat();
        if !body.starts_with(&wanted) {
            let part = wanted.starts_with(body);
            return if part { Found::Part } else { Found::Else };
        }
        at += line + 2 + wanted.len();
        data = after;
    }
    Found::Whole(at)
}

/// Where the body begins.
pub(crate) fn head_end(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(end + 4)
}

fn sorted(head: &[u8]) -> (String, Vec<String>) {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n").map(str::to_owned);
    let first = lines.next().unwrap_or_default();
    let mut others: Vec<_> = lines.map(|line| line.to_ascii_lowercase()).collect();
    others.sort();
    (first, others)
}

/// The bytes that a text without placeholders stands for.
pub(crate) fn plain(text: &str) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    for piece in pieces(text)? {
        match piece {
            Piece::Bytes(bytes) => all.extend(bytes),
            Piece::Chunks(_) | Piece::Line | Piece::Upstream => {
                return Err("a placeholder cannot be sent".into());
            }
        }
    }
    Ok(all)
}

/// Reads `\r`, `\n`, `\t`, `\s` (a blank), `\0`, `\\`, `\xNN`, `\{9000 text}` (the text so often),
/// `\{chunks text}`, `\{line}` and `\{upstream}`.
pub(crate) fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut done = Vec::new();
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = &rest[at + 1..];
        let kind = escape.chars().next().ok_or("a backslash at the end")?;
        rest = &escape[kind.len_utf8()..];
        match kind {
            'r' => bytes.push(b'\r'),
            'n' => bytes.push(b'\n'),
            't' => bytes.push(b'\t'),
            's' => bytes.push(b' '),
            '0' => bytes.push(0),
            '\\' => bytes.push(b'\\'),
            'x' => {
                let digits = rest.get(..2).ok_or("\\x wants two digits")?;
                bytes.push(u8::from_str_radix(digits, 16).map_err(|error| error.to_string())?);
                rest = &rest[2..];
            }
            '{' => {
                let (inside, after) = rest.split_once('}').ok_or("\\{ without }")?;
                rest = after;
                match inside {
                    _ if inside.starts_with("chunks ") => {
                        done.push(Piece::Bytes(std::mem::take(&mut bytes)));
                        done.push(Piece::Chunks(plain(&inside[7..])?));
                    }
                    "line" => {
                        done.push(Piece::Bytes(std::mem::take(&mut bytes)));
                        done.push(Piece::Line);
                    }
                    "upstream" => {
                        done.push(Piece::Bytes(std::mem::take(&mut bytes)));
                        done.push(Piece::Upstream);
                    }
                    _ => bytes.extend(repeated(inside)?),
                }
            }
            other => return Err(format!("what is \\{other}?")),
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    done.push(Piece::Bytes(bytes));
    Ok(done)
}

fn repeated(inside: &str) -> Result<Vec<u8>, String> {
    let (count, text) = inside.split_once(' ').ok_or("what is to be repeated?")?;
    let count = count
        .parse()
        .map_err(|_| format!("how often is {count}?"))?;
    Ok(plain(text)?.repeat(count))
}

/// Bytes as a script would write them, long ones cut.
pub(crate) fn show(bytes: &[u8]) -> String {
    const MOST: usize = 600;
    let mut text = String::new();
    for &byte in bytes.iter().take(MOST) {
        match byte {
            b'\r' => text.push_str("\\r"),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            b'\\' => text.push_str("\\\\"),
            0 => text.push_str("\\0"),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => write!(text, "\\x{byte:02x}").unwrap(),
        }
    }
    if bytes.len() > MOST {
        write!(text, "… ({} bytes)", bytes.len()).unwrap();
    }
    text
}
