//! Asks the running process over its control socket.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long the process may take: a change waits for its turn, for names and for the disk.
const PATIENCE: Duration = Duration::from_secs(150);

/// The largest answer.
const LARGEST: u64 = 256 << 20;

/// What the process answered.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

/// Sends one request and reads its answer to the end.
pub(super) fn ask(socket: &Path, method: &str, target: &str, body: &[u8]) -> io::Result<Answer> {
    ask_within(PATIENCE, socket, method, target, body)
}

/// The same, where the process may take so long for each part of its answer.
pub(super) fn ask_within(
    patience: Duration,
    socket: &Path,
    method: &str,
    target: &str,
    body: &[u8],
) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let head = format!(
        "{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.take(LARGEST).read_to_end(&mut answer)?;
    parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "this is no answer"))
}

/// The answer ends with the connection: the length has been said and is not needed.
fn parse(answer: &[u8]) -> Option<Answer> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(head) = response.parse(answer).ok()? else {
        return None;
    };
    let status = response.code?;
    let body = String::from_utf8_lossy(&answer[head..]).into_owned();
    Some(Answer { status, body })
}

/// A segment of a path, as it travels.
pub(super) fn segment(text: &str) -> String {
    let mut written = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b':' => {
                written.push(byte.into());
            }
            other => written += &format!("%{other:02X}"),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_status_and_its_body() {
        let answer = parse(b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno").unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (404, "no"));
        for none in [&b""[..], b"HTTP/1.1 200", b"hello\r\n\r\n"] {
            assert!(parse(none).is_none());
        }
        assert_eq!(segment("a/b c"), "a%2Fb%20c");
    }
}
