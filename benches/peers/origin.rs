//! The origin all peers share: a process of one thread that answers as it is asked.

use std::io::{Result, Write};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, LocalSet};

use crate::exchange;

/// How many addresses the origin has, so that a balancer has something to choose from.
const ADDRESSES: usize = 2;

/// Connections that may wait to be accepted, of one address.
const BACKLOG: u32 = 4096;

/// Serves until the process is ended; prints its ports on one line first.
///
/// # Errors
///
/// When the runtime or a listening socket cannot be made.
pub(crate) fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, async {
        let mut ports = Vec::with_capacity(ADDRESSES);
        let mut listeners = JoinSet::new();
        for _ in 0..ADDRESSES {
            let socket = tokio::net::TcpSocket::new_v4()?;
            socket.bind(([127, 0, 0, 1], 0).into())?;
            let listener = socket.listen(BACKLOG)?;
            ports.push(listener.local_addr()?.port());
            listeners.spawn_local(accept(listener));
        }
        let mut output = std::io::stdout();
        writeln!(output, "{}", serde_json::to_string(&ports)?)?;
        output.flush()?;
        listeners.join_next().await.map_or(Ok(()), |ended| ended?)
    })
}

async fn accept(listener: TcpListener) -> Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        connections.spawn_local(serve(stream));
        while connections.try_join_next().is_some() {}
    }
}

/// A connection that fails here fails at the load too, which counts it.
async fn serve(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    while exchange::serve(&mut stream).await? {}
    Ok(())
}
