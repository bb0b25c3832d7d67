//! An origin behind the daemon, and clients before it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

use crate::home::PATIENCE;

/// Starts a server that sends back what it receives, for as long as the test lives.
pub(crate) fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                // Its peer may be cut at any time.
                let _cut = io::copy(&mut &stream, &mut &stream);
                let _gone = stream.shutdown(Shutdown::Write);
            });
        }
    });
    address
}

/// A connection through the daemon to [`echo`].
pub(crate) struct Client(TcpStream);

impl Client {
    /// Connects, and is served once.
    pub(crate) fn served(to: SocketAddr) -> io::Result<Self> {
        Self::over(TcpStream::connect(to)?)
    }

    /// The same, once it is connected.
    pub(crate) fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut client = Self(stream);
        client.exchange()?;
        Ok(client)
    }

    /// Says something and is answered.
    pub(crate) fn exchange(&mut self) -> io::Result<()> {
        self.0.write_all(b"hello")?;
        let mut answer = [0; 5];
        self.0.read_exact(&mut answer)?;
        assert_eq!(&answer, b"hello");
        Ok(())
    }

    /// Ends its side, and waits for the other's end.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.exchange()?;
        self.0.shutdown(Shutdown::Write)?;
        assert_eq!(self.0.read(&mut [0; 1])?, 0);
        Ok(())
    }

    /// Waits for the end that the other side makes, whichever it is.
    pub(crate) fn sees_its_end(mut self) {
        let read = self.0.read(&mut [0; 1]);
        let cut = match &read {
            Ok(length) => *length == 0,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        };
        assert!(cut, "{read:?}");
    }
}
