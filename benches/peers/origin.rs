//! The origin all peers share: a process of one thread that answers as it is asked.

use std::io::{Result, Write};

use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, LocalSet};

use crate::load::Speech;
use crate::{bolt, exchange, http};

/// How many addresses the origin has for each way to speak, so that a balancer has something to
/// choose from.
const ADDRESSES: usize = 2;

/// Connections that may wait to be accepted, of one address.
const BACKLOG: u32 = 4096;

/// The ports of 127.0.0.1 the origin listens on.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Ports {
    lengths: Vec<u16>,
    http: Vec<u16>,
    bolt: Vec<u16>,
}

impl Ports {
    /// Those where it speaks so.
    pub(crate) fn of(&self, speech: Speech) -> &[u16] {
        match speech {
            Speech::Lengths => &self.lengths,
            Speech::Http => &self.http,
            Speech::Bolt => &self.bolt,
        }
    }
}

/// Serves until the process is ended; prints its [`Ports`] on one line first.
///
/// # Errors
///
/// When the runtime or a listening socket cannot be made.
pub(crate) fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, async {
        let mut ports = Ports::default();
        let mut listeners = JoinSet::new();
        for _ in 0..ADDRESSES {
            for speech in [Speech::Lengths, Speech::Http, Speech::Bolt] {
                let socket = tokio::net::TcpSocket::new_v4()?;
                socket.bind(([127, 0, 0, 1], 0).into())?;
                let listener = socket.listen(BACKLOG)?;
                let known = match speech {
                    Speech::Lengths => &mut ports.lengths,
                    Speech::Http => &mut ports.http,
                    Speech::Bolt => &mut ports.bolt,
                };
                known.push(listener.local_addr()?.port());
                listeners.spawn_local(accept(listener, speech));
            }
        }
        let mut output = std::io::stdout();
        writeln!(output, "{}", serde_json::to_string(&ports)?)?;
        output.flush()?;
        listeners.join_next().await.map_or(Ok(()), |ended| ended?)
    })
}

async fn accept(listener: TcpListener, speech: Speech) -> Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        connections.spawn_local(serve(stream, speech));
        while connections.try_join_next().is_some() {}
    }
}

/// A connection that fails here fails at the load too, which counts it.
async fn serve(mut stream: TcpStream, speech: Speech) -> Result<()> {
    stream.set_nodelay(true)?;
    match speech {
        Speech::Lengths => while exchange::serve(&mut stream).await? {},
        Speech::Http => {
            let mut server = http::Server::default();
            while server.serve(&mut stream).await? {}
        }
        Speech::Bolt => {
            let mut server = bolt::Peer::default();
            while server.serve(&mut stream).await? {}
        }
    }
    Ok(())
}
