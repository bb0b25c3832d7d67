//! An origin that answers at once: `/big` with much, all else with little.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use crate::Result;

/// More than the kernel takes for a reader that does not read.
const BIG: usize = 16 << 20;

/// Serves until the process is ended; prints its port first.
pub(crate) fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?.port());
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // A peer that leaves ends its connection, and no more.
            tokio::task::spawn_local(async { drop(serve(stream).await) });
        }
    })
}

async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut unread = Vec::new();
    loop {
        let end = loop {
            match unread.windows(4).position(|end| end == b"\r\n\r\n") {
                Some(at) => break at + 4,
                None if stream.read_buf(&mut unread).await? == 0 => return Ok(()),
                None => {}
            }
        };
        let head = String::from_utf8_lossy(&unread[..end]).to_ascii_lowercase();
        let length = head
            .split_once("content-length: ")
            .and_then(|(_, rest)| rest.split_once('\r')?.0.parse().ok());
        let mut left = length.unwrap_or(0_usize);
        left -= left.min(unread.len() - end);
        unread.clear();
        while left > 0 {
            let read = stream.read(&mut [0; 4096]).await?;
            if read == 0 {
                return Ok(());
            }
            left -= left.min(read);
        }
        if head.starts_with("get /big ") {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BIG}\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            for _ in 0..BIG / 65_536 {
                stream.write_all(&[b'x'; 65_536]).await?;
            }
        } else {
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
            stream.write_all(answer).await?;
        }
    }
}
