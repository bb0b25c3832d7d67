//! The clients: each a thread that asks at its own pace, whether or not the proxy is slow, until it
//! is stopped.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::Stop;
use super::origin::byte;
use super::tally::{Tally, cut, wrong};
use super::wire::{Head, frame, more, read_frame};

/// Whoever hears nothing for so long was forgotten.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a client asks.
const PACE: Duration = Duration::from_millis(10);

/// When each request is due.
struct Pace(Instant);

impl Pace {
    fn new() -> Self {
        Self(Instant::now())
    }

    fn next(&mut self) -> Instant {
        self.0 += PACE;
        thread::sleep(self.0.saturating_duration_since(Instant::now()));
        self.0
    }
}

fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    patient(stream)
}

fn patient(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Asks for so many bytes and looks at each of them; whether the connection may be used again.
fn ask(stream: &mut TcpStream, length: usize, number: u64, pause: Duration) -> io::Result<bool> {
    let request = format!("GET /{length}/{number} HTTP/1.1\r\nHost: load\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut buffer = Vec::new();
    let head = Head::read(stream, &mut buffer)?;
    let head = head.ok_or_else(cut)?;
    if !head.start.starts_with("HTTP/1.1 200 ") {
        return Err(io::Error::other(head.start));
    }
    let announced = head.length()?;
    while buffer.len() < announced {
        thread::sleep(pause);
        if more(stream, &mut buffer)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let same = |(place, found): (usize, &u8)| *found == byte(number, place);
    if buffer.len() != length || !buffer.iter().enumerate().all(same) {
        return Err(wrong("another body than was asked for"));
    }
    Ok(!head.closes())
}

/// Keeps its connection for as long as the proxy does.
pub(crate) fn kept_alive(to: SocketAddr, stop: &Stop) -> Tally {
    keeps(|| connect(to), 100, Duration::ZERO, stop)
}

/// Takes long bodies slowly, over a connection that it keeps, with little room in its kernel.
pub(crate) fn slow_reader(to: SocketAddr, stop: &Stop) -> Tally {
    let narrow = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_recv_buffer_size(16 << 10)?;
        socket.connect_timeout(&to.into(), PATIENCE)?;
        patient(socket.into())
    };
    keeps(narrow, 400_000, Duration::from_millis(10), stop)
}

fn keeps(
    connect: impl Fn() -> io::Result<TcpStream>,
    length: usize,
    pause: Duration,
    stop: &Stop,
) -> Tally {
    let (mut tally, mut pace) = (Tally::default(), Pace::new());
    let (mut kept, mut opened) = (None, 0_u64);
    for number in 0.. {
        let due = match pause {
            Duration::ZERO => pace.next(),
            _ => Instant::now(),
        };
        if stop.is_asked() {
            break;
        }
        let connection = match kept.take() {
            Some(connection) => Ok(connection),
            None => {
                opened += 1;
                connect()
            }
        };
        let asked = connection.and_then(|mut stream| {
            let again = ask(&mut stream, length, number, pause)?;
            Ok(again.then_some(stream))
        });
        match asked {
            Ok(stream) => {
                kept = stream;
                tally.took(due);
            }
            Err(error) => tally.fails(&error),
        }
    }
    tally.reconnected = opened.saturating_sub(1);
    tally
}

/// A connection for each request.
pub(crate) fn fresh(to: SocketAddr, stop: &Stop) -> Tally {
    let (mut tally, mut pace) = (Tally::default(), Pace::new());
    for number in 0.. {
        let due = pace.next();
        if stop.is_asked() {
            break;
        }
        match connect(to).and_then(|mut stream| ask(&mut stream, 1000, number, Duration::ZERO)) {
            Ok(_) => tally.took(due),
            Err(error) => tally.fails(&error),
        }
    }
    tally
}

/// A connection for each look at this path.
pub(crate) fn looks(to: SocketAddr, path: &str, stop: &Stop) -> Tally {
    let (mut tally, mut pace) = (Tally::default(), Pace::new());
    let look = || {
        let mut stream = connect(to)?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let head = Head::read(&mut stream, &mut Vec::new())?;
        let head = head.ok_or_else(cut)?;
        match head.start.starts_with("HTTP/1.1 200 ") {
            true => Ok(()),
            false => Err(io::Error::other(head.start)),
        }
    };
    loop {
        let due = pace.next();
        if stop.is_asked() {
            return tally;
        }
        match look() {
            Ok(()) => tally.took(due),
            Err(error) => tally.fails(&error),
        }
    }
}

/// Says numbers over one WebSocket, and hears each again.
pub(crate) fn websocket(to: SocketAddr, stop: &Stop) -> Tally {
    let (mut tally, mut pace) = (Tally::default(), Pace::new());
    let mut kept: Option<(TcpStream, Vec<u8>)> = None;
    let mut opened = 0_u64;
    for number in 0_u64.. {
        let due = pace.next();
        if stop.is_asked() {
            break;
        }
        let tunnel = kept.take().map_or_else(
            || {
                opened += 1;
                tunnel(to)
            },
            Ok,
        );
        let heard = tunnel.and_then(|(mut stream, mut buffer)| {
            stream.write_all(&frame(&number.to_be_bytes(), Some([1, 2, 3, 4])))?;
            let answer = read_frame(&mut stream, &mut buffer)?;
            let answer = answer.ok_or_else(cut)?;
            match answer == number.to_be_bytes() {
                true => Ok((stream, buffer)),
                false => Err(wrong("another frame than was sent")),
            }
        });
        match heard {
            Ok(tunnel) => {
                kept = Some(tunnel);
                tally.took(due);
            }
            Err(error) => tally.fails(&error),
        }
    }
    tally.reconnected = opened.saturating_sub(1);
    tally
}

fn tunnel(to: SocketAddr) -> io::Result<(TcpStream, Vec<u8>)> {
    let mut stream = connect(to)?;
    let request = "GET /ws HTTP/1.1\r\nHost: load\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    stream.write_all(request.as_bytes())?;
    let mut buffer = Vec::new();
    let head = Head::read(&mut stream, &mut buffer)?;
    let head = head.ok_or_else(cut)?;
    match head.start.starts_with("HTTP/1.1 101 ") {
        true => Ok((stream, buffer)),
        false => Err(io::Error::other(head.start)),
    }
}

/// A pair that streams numbers both ways; when it is cut it is opened again.
pub(crate) fn pair(to: SocketAddr, stop: &Stop) -> Tally {
    let mut tally = Tally::default();
    let mut opened = 0_u64;
    while !stop.is_asked() {
        opened += 1;
        let mut blocks = 0;
        if let Err(error) = stream(to, stop, &mut blocks) {
            tally.fails(&error);
        }
        tally.done += blocks;
    }
    tally.reconnected = opened.saturating_sub(1);
    tally
}

fn stream(to: SocketAddr, stop: &Stop, blocks: &mut u64) -> io::Result<()> {
    let stream = connect(to)?;
    let (writes, told) = (stream.try_clone()?, stop.clone());
    let writer = thread::spawn(move || {
        let sent = numbers_out(writes.try_clone()?, &told)?;
        writes.shutdown(Shutdown::Write)?;
        Ok::<_, io::Error>(sent)
    });
    let came = numbers_in(stream, |_| *blocks += 1);
    let cut = came.is_err();
    // Who reads no more is not written to: the connection is gone.
    let sent = writer.join().expect("it does not panic");
    let (_, told) = came?;
    let sent = sent?;
    match told {
        Some(told) if told == sent && !cut => Ok(()),
        Some(_) => Err(wrong(
            "the origin has got more or fewer numbers than were sent",
        )),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Numbers in one write.
const BLOCK: u64 = 128;

/// Writes numbers from 0 on, a block at a time, until it is stopped; how many.
pub(crate) fn numbers_out(mut to: TcpStream, stop: &Stop) -> io::Result<u64> {
    let (mut next, mut pace) = (0, Pace::new());
    while !stop.is_asked() {
        let block: Vec<u8> = (next..next + BLOCK).flat_map(u64::to_be_bytes).collect();
        to.write_all(&block)?;
        next += BLOCK;
        pace.next();
    }
    Ok(next)
}

/// Reads numbers from 0 on to the end; how many, and the last word if there was one.
pub(crate) fn numbers_in(
    mut from: TcpStream,
    mut each: impl FnMut(u64),
) -> io::Result<(u64, Option<u64>)> {
    let (mut expected, mut told) = (0, None);
    let (mut bytes, mut rest) = ([0; 4096], Vec::new());
    loop {
        let read = from.read(&mut bytes)?;
        if read == 0 {
            return match rest.is_empty() {
                true => Ok((expected, told)),
                false => Err(io::ErrorKind::UnexpectedEof.into()),
            };
        }
        rest.extend_from_slice(&bytes[..read]);
        let whole = rest.len() / 8 * 8;
        let mut words = rest[..whole].chunks_exact(8).map(|word| {
            let word: [u8; 8] = word.try_into().expect("it has eight");
            u64::from_be_bytes(word)
        });
        let mut ends = false;
        for word in words.by_ref() {
            match word {
                told_now if ends => told = Some(told_now),
                u64::MAX => ends = true,
                _ if word == expected => expected += 1,
                _ => return Err(wrong("numbers are lost, repeated or out of order")),
            }
        }
        // The last two words come in one write, and may come in two reads.
        let keeps = if ends && told.is_none() {
            whole - 8
        } else {
            whole
        };
        rest.drain(..keeps);
        each(expected);
    }
}
