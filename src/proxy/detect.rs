//! Finds out what a connection speaks, and takes none of its bytes: whoever serves it reads them
//! as if nobody had looked.

use std::future::poll_fn;
use std::task::ready;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::net::{Peeked, Stream};
use crate::protocol::detect::Verdict;

/// Bytes that are looked at: more than any rule needs that looks at the head alone.
const LOOKED_AT: usize = 256;

/// Bytes of them that are shown of what is unknown: enough for every rule of our own.
const SHOWN: usize = 24;

/// What was found out.
#[derive(Debug, PartialEq, Eq)]
pub enum Told<T> {
    /// It speaks this protocol.
    Is(T),
    /// It speaks none of those that come into question; its first bytes, a few of them.
    Unknown(Vec<u8>),
    /// It said too little in the time it had: so many bytes.
    Late(usize),
    /// It ended without a word, or was reset.
    Gone,
}

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    /// Since when it is waited for.
    pub since: Instant,
    /// To its first byte; `None` is for ever.
    pub silent: Option<Duration>,
    /// Until it is told what it speaks, once it has begun; `None` is for ever.
    pub begun: Option<Duration>,
}

/// Looks at what comes until `judge` knows what it is. More bytes never turn its `Is` or `Unknown`.
///
/// # Cancel safety
///
/// Nothing is lost when the future is dropped.
pub async fn told<T>(
    stream: &Stream,
    judge: impl Fn(&[u8]) -> Verdict<T>,
    waits: Waits,
) -> Told<T> {
    let mut known = 0;
    loop {
        let look = look(stream, &judge, known);
        let limit = match known {
            0 => waits.silent,
            _ => waits.begun,
        };
        let looked = match limit {
            Some(limit) => timeout_at(waits.since + limit, look).await,
            None => Ok(look.await),
        };
        match looked {
            Err(_) => return Told::Late(known),
            Ok(Look::Told(told)) => return told,
            Ok(Look::More(bytes)) => known = bytes,
        }
    }
}

enum Look<T> {
    Told(Told<T>),
    More(usize),
}

/// Looks once there are more bytes than are known.
async fn look<T>(stream: &Stream, judge: impl Fn(&[u8]) -> Verdict<T>, known: usize) -> Look<T> {
    poll_fn(|cx| {
        // Only while it is looked at: a connection that waits holds none.
        let mut buffer = [0; LOOKED_AT];
        let peeked = ready!(stream.poll_peek(cx, &mut buffer, known));
        let Ok(Peeked { bytes, ended }) = peeked else {
            return Look::Told(Told::Gone).into();
        };
        let seen = &buffer[..bytes];
        match judge(seen) {
            Verdict::Is(protocol) => Look::Told(Told::Is(protocol)),
            Verdict::More if bytes == 0 && ended => Look::Told(Told::Gone),
            Verdict::More if !ended && bytes < buffer.len() => Look::More(bytes),
            Verdict::More | Verdict::Unknown => {
                Look::Told(Told::Unknown(seen[..bytes.min(SHOWN)].to_vec()))
            }
        }
        .into()
    })
    .await
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::net::testing::tcp;
    use crate::protocol::detect::{Rule, bolt, detect, http1, http2};

    fn judge(bytes: &[u8]) -> Verdict<&'static str> {
        let candidates = [("Http1", http1 as Rule), ("bolt", bolt), ("Http2", http2)];
        detect(candidates, bytes)
    }

    const SOON: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(60);

    fn waits(silent: Duration, begun: Duration) -> Waits {
        Waits {
            since: Instant::now(),
            silent: Some(silent),
            begun: Some(begun),
        }
    }

    async fn receive(stream: &Stream) -> Vec<u8> {
        let mut buffer = [0; 64];
        let read = poll_fn(|cx| stream.poll_recv(cx, &mut buffer)).await;
        buffer[..read.unwrap()].to_vec()
    }

    #[tokio::test]
    async fn what_was_looked_at_is_still_there() {
        let (stream, mut peer) = tcp().await;
        let say = async {
            for byte in b"GET" {
                peer.write_all(&[*byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let (found, ()) = tokio::join!(told(&stream, judge, waits(LONG, LONG)), say);
        assert_eq!(found, Told::Is("Http1"));
        assert_eq!(receive(&stream).await, b"GET");
    }

    #[tokio::test]
    async fn what_is_none_of_them_is_told_at_once() {
        let (stream, mut peer) = tcp().await;
        peer.write_all(b"SSH-2.0-OpenSSH\r\n").await.unwrap();
        let found = told(&stream, judge, waits(LONG, LONG)).await;
        assert_eq!(found, Told::Unknown(b"SSH-2.0-OpenSSH\r\n".to_vec()));
        assert_eq!(receive(&stream).await, b"SSH-2.0-OpenSSH\r\n");
    }

    #[tokio::test]
    async fn the_end_decides_what_more_bytes_would_have() {
        let (stream, mut peer) = tcp().await;
        peer.write_all(b"PRI").await.unwrap();
        peer.shutdown().await.unwrap();
        let found = told(&stream, judge, waits(LONG, LONG)).await;
        assert_eq!(found, Told::Unknown(b"PRI".to_vec()));

        let (stream, peer) = tcp().await;
        drop(peer);
        let found = told(&stream, judge, waits(LONG, LONG)).await;
        assert_eq!(found, Told::Gone);
    }

    #[tokio::test]
    async fn nobody_is_waited_for_longer_than_was_said() {
        let (stream, mut peer) = tcp().await;
        let found = told(&stream, judge, waits(SOON, LONG)).await;
        assert_eq!(found, Told::Late(0));
        peer.write_all(b"PR").await.unwrap();
        let found = told(&stream, judge, waits(LONG, SOON)).await;
        assert_eq!(found, Told::Late(2));
        // It was looked at until nothing was left to tell, and is there all the same.
        assert_eq!(receive(&stream).await, b"PR");
    }

    #[tokio::test]
    async fn who_was_waited_for_elsewhere_is_waited_for_no_longer() {
        let (stream, _peer) = tcp().await;
        tokio::time::pause();
        let mut waits = waits(LONG, LONG);
        waits.since -= LONG * 2 / 3;
        let begin = Instant::now();
        let found = told(&stream, judge, waits).await;
        assert_eq!(found, Told::Late(0));
        assert!(begin.elapsed() < LONG / 2);
    }

    #[tokio::test]
    async fn a_look_that_was_given_up_is_made_again() {
        let (stream, mut peer) = tcp().await;
        peer.write_all(b"GE").await.unwrap();
        let found = told(&stream, judge, waits(LONG, SOON)).await;
        assert_eq!(found, Told::Late(2));
        // Nothing more has come, and it is still a beginning.
        let found = told(&stream, judge, waits(SOON, SOON)).await;
        assert_eq!(found, Told::Late(2));
        peer.write_all(b"T").await.unwrap();
        let found = told(&stream, judge, waits(LONG, LONG)).await;
        assert_eq!(found, Told::Is("Http1"));
    }
}
