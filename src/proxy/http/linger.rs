//! Closing a connection on which the peer still speaks.

use std::future::poll_fn;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::time::timeout;

use crate::net::{Stream, with_scratch};

/// How long the peer may take to hear our answer and stop.
const LINGER: Duration = Duration::from_secs(5);

/// What is read of what it goes on saying.
const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// Ends our side, then reads and drops what comes until the peer ends its side too, or has had
/// its time. Closing at once would reset the connection, and the peer might lose the answer that
/// it has not read yet (RFC 9112 section 9.6).
pub(super) async fn linger(stream: &Stream) {
    if stream.shutdown_write().is_err() {
        return;
    }
    let mut left = LINGER_BYTES;
    let until_end = poll_fn(|cx| {
        loop {
            let received = with_scratch(|scratch| stream.poll_recv(cx, scratch));
            match ready!(received) {
                Ok(received) if 0 < received && received < left => left -= received,
                _ => return Poll::Ready(()),
            }
        }
    });
    let _ = timeout(LINGER, until_end).await;
}
