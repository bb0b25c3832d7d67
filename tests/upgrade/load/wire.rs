//! As much of HTTP/1.1 and WebSocket as the load speaks.

use std::io::{self, Read};
use std::net::TcpStream;

use super::tally::wrong;

/// The head of a message.
pub(crate) struct Head {
    /// Its first line.
    pub(crate) start: String,
    fields: Vec<(String, String)>,
}

impl Head {
    /// The next head; `None` when the peer has ended before a byte of it. What follows stays in
    /// `buffer`.
    pub(crate) fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Self>> {
        loop {
            if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let text = String::from_utf8_lossy(&buffer[..end]).into_owned();
                buffer.drain(..end + 4);
                let mut lines = text.lines().map(str::to_owned);
                let start = lines.next().unwrap_or_default();
                let field = |line: String| {
                    let (name, value) = line.split_once(':')?;
                    Some((name.to_ascii_lowercase(), value.trim().to_owned()))
                };
                let fields = lines.filter_map(field).collect();
                return Ok(Some(Self { start, fields }));
            }
            if more(stream, buffer)? == 0 {
                return match buffer.is_empty() {
                    true => Ok(None),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| &**value)
    }

    pub(crate) fn length(&self) -> io::Result<usize> {
        let length = self
            .field("content-length")
            .and_then(|text| text.parse().ok());
        length.ok_or_else(|| wrong("a response without a length"))
    }

    pub(crate) fn closes(&self) -> bool {
        let closes = |value: &str| value.eq_ignore_ascii_case("close");
        self.field("connection").is_some_and(closes)
    }
}

/// Reads what there is; 0 at the end.
pub(crate) fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let mut chunk = [0; 16 << 10];
    let read = stream.read(&mut chunk)?;
    buffer.extend_from_slice(&chunk[..read]);
    Ok(read)
}

/// A frame of WebSocket with at most 125 bytes, masked as a client has to.
pub(crate) fn frame(payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("it is small");
    let mut frame = vec![0x82, length | if mask.is_some() { 0x80 } else { 0 }];
    frame.extend(mask.into_iter().flatten());
    let key = mask.unwrap_or_default();
    frame.extend(
        payload
            .iter()
            .zip(key.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    frame
}

/// The payload of the next frame; `None` at the end.
pub(crate) fn read_frame(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
) -> io::Result<Option<Vec<u8>>> {
    loop {
        if let [_, second, rest @ ..] = &**buffer {
            let (masked, length) = (second & 0x80 != 0, usize::from(second & 0x7f));
            let head = if masked { 4 } else { 0 };
            if rest.len() >= head + length {
                let key: [u8; 4] = match masked {
                    true => [rest[0], rest[1], rest[2], rest[3]],
                    false => [0; 4],
                };
                let payload = &rest[head..head + length];
                let payload = payload.iter().zip(key.iter().cycle());
                let payload = payload.map(|(byte, key)| byte ^ key).collect();
                buffer.drain(..2 + head + length);
                return Ok(Some(payload));
            }
        }
        if more(stream, buffer)? == 0 {
            return match buffer.is_empty() {
                true => Ok(None),
                false => Err(io::ErrorKind::UnexpectedEof.into()),
            };
        }
    }
}
