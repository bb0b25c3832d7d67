//! The origins: of HTTP, of an echo over WebSocket, and of streams of numbers.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

use super::clients::{numbers_in, numbers_out};
use super::wire::{Head, frame, read_frame};

/// A byte of the body that was asked for by this number.
pub(crate) fn byte(number: u64, place: usize) -> u8 {
    (number as usize)
        .wrapping_mul(31)
        .wrapping_add(place)
        .wrapping_mul(7) as u8
}

fn serve(treat: fn(TcpStream) -> io::Result<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Its peer may be cut; who lost by that says so.
            thread::spawn(move || treat(stream));
        }
    });
    address
}

/// `GET /LENGTH/NUMBER` is answered with so many bytes; an upgrade with an echo of frames.
pub(crate) fn http() -> SocketAddr {
    serve(|mut stream| {
        stream.set_nodelay(true)?;
        let mut buffer = Vec::new();
        loop {
            let Some(head) = Head::read(&mut stream, &mut buffer)? else {
                return Ok(());
            };
            if head.field("upgrade").is_some() {
                let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                    Upgrade: websocket\r\nSec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n";
                stream.write_all(switch.as_bytes())?;
                return echo(&mut stream, &mut buffer);
            }
            let mut parts = head
                .start
                .split([' ', '/'])
                .filter_map(|part| part.parse().ok());
            let (length, number) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
            let mut answer =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
            let length = usize::try_from(length).expect("it is small");
            answer.extend((0..length).map(|place| byte(number, place)));
            stream.write_all(&answer)?;
        }
    })
}

fn echo(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<()> {
    while let Some(payload) = read_frame(stream, buffer)? {
        stream.write_all(&frame(&payload, None))?;
    }
    Ok(())
}

/// Numbers go both ways, each side's from 0 on; at the end of the client's the last word is how many
/// came.
pub(crate) fn numbers() -> SocketAddr {
    serve(|stream| {
        stream.set_nodelay(true)?;
        let reader = stream.try_clone()?;
        let stop = super::Stop::default();
        let (told, writes) = (stop.clone(), stream.try_clone()?);
        let writer = thread::spawn(move || numbers_out(writes, &told));
        let came = numbers_in(reader, |_| {});
        stop.now();
        let _sent = writer.join().expect("it does not panic")?;
        let (mut stream, came) = (stream, came?.0);
        stream.write_all(&u64::MAX.to_be_bytes())?;
        stream.write_all(&came.to_be_bytes())?;
        stream.shutdown(Shutdown::Write)?;
        // The other side closes when it has everything.
        let _end = stream.read(&mut [0]);
        Ok(())
    })
}
