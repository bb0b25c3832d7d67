//! A DNS server that says what it is told to, over UDP and TCP on one port of the loopback.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::spawn_local;

/// What the server says to a question.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// These addresses hold for so many seconds; those of the other family are not told.
    Found(Vec<IpAddr>, u32),
    /// There is no such name.
    NoName,
    /// The server is at a loss.
    Failure,
    /// Nothing.
    Silence,
    /// What is no answer.
    Garbage,
    /// Over UDP only that there is more; over TCP these addresses.
    Truncated(Vec<IpAddr>),
}

/// Addresses that hold for a minute.
pub(crate) fn found(addresses: &[&str]) -> Reply {
    let addresses = addresses.iter().map(|address| address.parse().unwrap());
    Reply::Found(addresses.collect(), 60)
}

/// The server. It answers while the test runs.
#[derive(Clone)]
pub(crate) struct DnsServer {
    pub(crate) port: u16,
    zone: Rc<RefCell<HashMap<String, Reply>>>,
    asked: Rc<RefCell<Vec<String>>>,
}

impl DnsServer {
    /// A server that knows no name yet.
    pub(crate) async fn start() -> Self {
        let (udp, tcp) = sockets().await;
        let server = Self {
            port: udp.local_addr().unwrap().port(),
            zone: Rc::default(),
            asked: Rc::default(),
        };
        spawn_local(server.clone().over_udp(udp));
        spawn_local(server.clone().over_tcp(tcp));
        server
    }

    /// What it says of a name from now on.
    pub(crate) fn says(&self, name: &str, reply: Reply) {
        self.zone.borrow_mut().insert(name.to_owned(), reply);
    }

    /// How often it was asked for a name.
    pub(crate) fn asked(&self, name: &str) -> usize {
        let asked = self.asked.borrow();
        asked.iter().filter(|asked| *asked == name).count()
    }

    /// A cluster `origins` of these hosts, whose names this server is asked for again and again.
    pub(crate) fn cluster(&self, hosts: &[String]) -> Value {
        let hosts: Vec<_> = hosts
            .iter()
            .map(|host| json!({ "address": host }))
            .collect();
        json!({
            "name": "origins", "type": "STRICT_DNS", "lb_type": "LB_ROUNDROBIN",
            "dns_refresh_rate": "20ms", "hosts": hosts,
            "dns_resolvers": {
                "servers": ["127.0.0.1"], "port": self.port.to_string(),
                "timeout": 1, "attempts": 1,
            },
        })
    }

    async fn over_udp(self, socket: UdpSocket) {
        let mut question = [0; 4096];
        while let Ok((length, peer)) = socket.recv_from(&mut question).await {
            if let Some(answer) = self.answer(&question[..length], Way::Udp) {
                let _ = socket.send_to(&answer, peer).await;
            }
        }
    }

    async fn over_tcp(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            spawn_local(self.clone().over_stream(stream));
        }
    }

    async fn over_stream(self, mut stream: TcpStream) {
        while let Ok(length) = stream.read_u16().await {
            let mut question = vec![0; length.into()];
            if stream.read_exact(&mut question).await.is_err() {
                return;
            }
            let Some(answer) = self.answer(&question, Way::Tcp) else {
                return;
            };
            let length = u16::try_from(answer.len()).unwrap();
            let framed = [&length.to_be_bytes()[..], &answer].concat();
            if stream.write_all(&framed).await.is_err() {
                return;
            }
        }
    }

    fn answer(&self, message: &[u8], way: Way) -> Option<Vec<u8>> {
        let (name, end) = name(message)?;
        let kind = u16::from_be_bytes(message.get(end..end + 2)?.try_into().ok()?);
        self.asked.borrow_mut().push(name.clone());
        let reply = self.zone.borrow().get(&name).cloned();
        let (flags, code, addresses, ttl) = match reply.unwrap_or(Reply::NoName) {
            Reply::Found(addresses, ttl) => (0, 0, addresses, ttl),
            Reply::NoName => (0, 3, vec![], 0),
            Reply::Failure => (0, 2, vec![], 0),
            Reply::Silence => return None,
            Reply::Garbage => return Some([&message[..2], &[0xff; 40]].concat()),
            Reply::Truncated(_) if way == Way::Udp => (0x0200, 0, vec![], 0),
            Reply::Truncated(addresses) => (0, 0, addresses, 60),
        };
        let records: Vec<_> = addresses
            .iter()
            .filter_map(|address| record(*address, kind, ttl))
            .collect();
        let count = u16::try_from(records.len()).unwrap();
        let mut answer = message[..2].to_vec();
        let header = [0x8180 | flags | code, 1, count, 0, 0];
        answer.extend(header.iter().flat_map(|word: &u16| word.to_be_bytes()));
        answer.extend(&message[12..end + 4]);
        answer.extend(records.concat());
        Some(answer)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Udp,
    Tcp,
}

/// One port for both.
async fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address: SocketAddr = udp.local_addr().unwrap();
        // The other kind of that port may be taken.
        if let Ok(tcp) = TcpListener::bind(address).await {
            return (udp, tcp);
        }
    }
}

/// The name that is asked for, and where it ends.
fn name(message: &[u8]) -> Option<(String, usize)> {
    let (mut labels, mut at) = (Vec::new(), 12);
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join(".").to_lowercase(), at));
        }
        labels.push(String::from_utf8(message.get(at..at + length)?.to_vec()).ok()?);
        at += length;
    }
}

/// A record of the name in the question, if it is of the kind that was asked for.
fn record(address: IpAddr, kind: u16, ttl: u32) -> Option<Vec<u8>> {
    let (of_kind, octets) = match address {
        IpAddr::V4(address) => (1, address.octets().to_vec()),
        IpAddr::V6(address) => (28, address.octets().to_vec()),
    };
    let length = u16::try_from(octets.len()).unwrap();
    let head = [&[0xc0, 12][..], &u16::to_be_bytes(of_kind), &[0, 1]].concat();
    let rest = [&ttl.to_be_bytes()[..], &length.to_be_bytes(), &octets].concat();
    (of_kind == kind).then(|| [head, rest].concat())
}
