//! Servers that take a line a message: syslog here and elsewhere, journald.

use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::clock;
use super::output::Transport;

/// Where a syslog server may listen on this machine.
pub(super) const LOCAL_SYSLOG: [&str; 3] = ["/dev/log", "/var/run/syslog", "/var/run/log"];

/// A server that does not answer costs the writer so much, each time it is tried.
const TIMEOUT: Duration = Duration::from_secs(1);

/// What MOSN puts before a line: facility local0, severity error, tag `mosn`.
pub(super) fn header(zone: &TimeZone, host: Option<&str>) -> String {
    let now = i64::try_from(clock::now().as_secs()).unwrap_or(0);
    let at = Timestamp::from_second(now)
        .unwrap_or_default()
        .to_zoned(zone.clone());
    let pid = std::process::id();
    match host {
        None => format!("<131>{} mosn[{pid}]: ", at.strftime("%b %e %H:%M:%S")),
        Some(host) => format!(
            "<131>{} {host} mosn[{pid}]: ",
            at.strftime("%Y-%m-%dT%H:%M:%S%:z")
        ),
    }
}

/// A datagram socket connected to a path on this machine.
pub(super) struct LocalSocket {
    path: PathBuf,
    socket: UnixDatagram,
}

impl LocalSocket {
    /// Connects to the first path that answers.
    pub(super) fn open(paths: &[&str]) -> io::Result<Self> {
        let mut refused = io::Error::from(io::ErrorKind::NotFound);
        for path in paths.iter().map(Path::new) {
            match connect_local(path) {
                Ok(socket) => {
                    let path = path.to_owned();
                    return Ok(Self { path, socket });
                }
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    pub(super) fn reconnect(&mut self) -> io::Result<()> {
        self.socket = connect_local(&self.path)?;
        Ok(())
    }

    /// A server that was restarted has a new socket under the old name.
    pub(super) fn send(&mut self, line: &[u8]) -> io::Result<()> {
        if self.socket.send(line).is_err() {
            self.reconnect()?;
            self.socket.send(line)?;
        }
        Ok(())
    }
}

fn connect_local(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_write_timeout(Some(TIMEOUT))?;
    Ok(socket)
}

/// A syslog server somewhere else.
pub(super) struct SyslogServer {
    transport: Transport,
    server: String,
    /// This machine's name, which every line carries.
    pub(super) host: String,
    connection: Option<Connection>,
    /// When a lost connection may be tried again, since the epoch.
    retry: Duration,
}

enum Connection {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl SyslogServer {
    pub(super) fn open(transport: Transport, server: &str) -> io::Result<Self> {
        let host = nix::unistd::gethostname()?.to_string_lossy().into_owned();
        Ok(Self {
            transport,
            server: server.to_owned(),
            host,
            connection: Some(connect(transport, server)?),
            retry: Duration::ZERO,
        })
    }

    pub(super) fn reconnect(&mut self) -> io::Result<()> {
        self.connection = None;
        self.retry = clock::now() + TIMEOUT;
        self.connection = Some(connect(self.transport, &self.server)?);
        Ok(())
    }

    pub(super) fn send(&mut self, line: &[u8]) -> io::Result<()> {
        if self.connection.is_none() && clock::now() >= self.retry {
            self.reconnect()?;
        }
        let sent = match &mut self.connection {
            None => return Err(io::ErrorKind::NotConnected.into()),
            Some(Connection::Udp(socket)) => return socket.send(line).map(drop),
            Some(Connection::Tcp(stream)) => stream.write_all(line),
        };
        if sent.is_err() {
            // A line may have been cut: only a new connection begins with a whole one.
            self.connection = None;
        }
        sent
    }
}

fn connect(transport: Transport, server: &str) -> io::Result<Connection> {
    let unresolved = || io::Error::new(io::ErrorKind::NotFound, "no address");
    let address = server.to_socket_addrs()?.next().ok_or_else(unresolved)?;
    match transport {
        Transport::Tcp => {
            let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
            stream.set_write_timeout(Some(TIMEOUT))?;
            Ok(Connection::Tcp(stream))
        }
        Transport::Udp => {
            let any = if address.is_ipv4() {
                "0.0.0.0:0"
            } else {
                "[::]:0"
            };
            let socket = UdpSocket::bind(any)?;
            socket.connect(address)?;
            Ok(Connection::Udp(socket))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::output::{Batch, Sink};
    use super::super::roll::Roller;
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;

    fn sent_by(server: &str, then: impl FnOnce() -> Vec<u8>) -> String {
        let sink = Sink::open(&server.parse().unwrap(), Roller::default(), &TimeZone::UTC);
        let mut batch = Batch::default();
        batch.push(b"a b\n");
        sink.unwrap().write(&batch).unwrap();
        String::from_utf8(then()).unwrap()
    }

    #[test]
    fn a_syslog_server_gets_lines_as_mosn_sends_them() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let name = format!("syslog+tcp://{}", server.local_addr().unwrap());
        let line = sent_by(&name, || {
            let mut received = Vec::new();
            let (mut stream, _) = server.accept().unwrap();
            stream.read_to_end(&mut received).unwrap();
            received
        });
        assert!(line.starts_with("<131>20"), "{line}");
        let end = format!(" mosn[{}]: a b\n", std::process::id());
        assert!(line.ends_with(&end), "{line}");
    }

    #[test]
    fn a_line_is_a_datagram() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let name = format!("syslog://{}", server.local_addr().unwrap());
        let line = sent_by(&name, || {
            let mut received = vec![0; 1024];
            let length = server.recv(&mut received).unwrap();
            received.truncate(length);
            received
        });
        assert!(line.ends_with("]: a b\n"), "{line}");
    }

    #[test]
    fn a_restarted_local_server_is_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let first = UnixDatagram::bind(&path).unwrap();
        let mut socket = LocalSocket::open(&[path.to_str().unwrap()]).unwrap();
        drop(first);
        std::fs::remove_file(&path).unwrap();
        let second = UnixDatagram::bind(&path).unwrap();

        socket.send(b"line").unwrap();

        let mut received = [0; 16];
        assert_eq!(second.recv(&mut received).unwrap(), 4);
    }
}
