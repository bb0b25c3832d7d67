//! The least of an HTTP client: one request a connection, over TCP or a unix socket.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::home::PATIENCE;

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a field; empty when there is none.
    pub(crate) fn field(&self, name: &str) -> &str {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Asks over TCP.
pub(crate) fn ask(to: SocketAddr, method: &str, target: &str, fields: &str, body: &str) -> Answer {
    let request = request(method, target, &format!("host: {to}\r\n{fields}"), body);
    let stream = TcpStream::connect(to).expect("it accepts");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("it is a time");
    exchange(stream, request.as_bytes()).expect("it answers")
}

/// Asks over a unix socket.
pub(crate) fn ask_socket(to: &Path, method: &str, target: &str, body: &str) -> Answer {
    let request = request(method, target, "host: localhost\r\n", body);
    let stream = UnixStream::connect(to).expect("it accepts");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("it is a time");
    exchange(stream, request.as_bytes()).expect("it answers")
}

fn request(method: &str, target: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {target} HTTP/1.1\r\n{fields}connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// Sends bytes and reads the answer to its end.
pub(crate) fn exchange(mut stream: impl Read + Write, request: &[u8]) -> io::Result<Answer> {
    // Who is refused early may be told before all is sent.
    let _sent = stream.write_all(request);
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer).into_owned();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        read?;
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok(Answer {
        status: status.unwrap_or(0),
        head: head.to_owned(),
        body: body.to_owned(),
    })
}
