//! The protocol of the comparison: one request, one response, both of a length the load chooses.
//!
//! A request opens with two little-endian 64-bit numbers: how many bytes follow in the request, and
//! how many the response shall have. All other bytes are those of one fixed pattern, and whoever
//! receives them compares: a proxy that loses, repeats or swaps a byte fails the run.

use std::io::{Error, ErrorKind, Result};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bytes of a request's head; no request is shorter.
pub(crate) const HEAD: usize = 16;

/// The most bytes read or written at once, and the length after which the pattern repeats.
pub(crate) const BLOCK: usize = 128 * 1024;

/// Neither constant nor of a short period, so that a shifted or swapped block is noticed.
static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x9e37_79b9_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(BLOCK).collect()
});

/// The lengths of one exchange.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Exchange {
    /// Length of the request in bytes, its head included.
    pub(crate) request_bytes: u64,
    /// Length of the response in bytes.
    pub(crate) response_bytes: u64,
}

impl Exchange {
    /// The first block of the request: its head and as much of the pattern as fits.
    pub(crate) fn opening(self) -> Vec<u8> {
        let body = self.body();
        let mut opening = Vec::with_capacity(HEAD);
        opening.extend_from_slice(&body.to_le_bytes());
        opening.extend_from_slice(&self.response_bytes.to_le_bytes());
        opening.extend_from_slice(&PATTERN[..block(body, BLOCK - HEAD)]);
        opening
    }

    /// Sends the request that starts with `opening`, and receives the whole response.
    ///
    /// # Errors
    ///
    /// Those of the socket; an early end; a response that is not the pattern.
    pub(crate) async fn run(self, stream: &mut TcpStream, opening: &[u8]) -> Result<()> {
        stream.write_all(opening).await?;
        send(stream, (opening.len() - HEAD) as u64, self.body()).await?;
        receive(stream, 0, self.response_bytes).await
    }

    fn body(self) -> u64 {
        self.request_bytes.saturating_sub(HEAD as u64)
    }
}

/// Serves one request: reads it whole, then sends the response it asked for.
///
/// Returns whether there was a request; none means that the other side closed in between.
///
/// # Errors
///
/// Those of the socket; an end inside the request; a request that is not the pattern.
pub(crate) async fn serve(stream: &mut TcpStream) -> Result<bool> {
    let mut opening = [0; 1024];
    let mut filled = 0;
    while filled < HEAD {
        match stream.read(&mut opening[filled..]).await? {
            0 if filled == 0 => return Ok(false),
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            read => filled += read,
        }
    }
    let body = length(&opening[..8])?;
    let response = length(&opening[8..HEAD])?;
    let received = &opening[HEAD..filled];
    compare(received, 0)?;
    receive(stream, received.len() as u64, body).await?;
    send(stream, 0, response).await?;
    Ok(true)
}

/// Sends the pattern from byte `from` up to `until`.
async fn send(stream: &mut TcpStream, mut from: u64, until: u64) -> Result<()> {
    while from < until {
        let start = offset(from);
        let count = block(until - from, BLOCK - start);
        stream.write_all(&PATTERN[start..start + count]).await?;
        from += count as u64;
    }
    Ok(())
}

/// Receives the pattern from byte `from` up to `until`, and not a byte more.
async fn receive(stream: &mut TcpStream, mut from: u64, until: u64) -> Result<()> {
    let mut buffer = vec![0; block(until.saturating_sub(from), BLOCK)];
    while from < until {
        let count = block(until - from, BLOCK - offset(from));
        let read = stream.read(&mut buffer[..count]).await?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        compare(&buffer[..read], from)?;
        from += read as u64;
    }
    if from > until {
        return Err(Error::new(
            ErrorKind::InvalidData,
            "more bytes than were announced",
        ));
    }
    Ok(())
}

/// The first `length` bytes of the pattern.
///
/// # Errors
///
/// When it is not that long.
pub(crate) fn pattern(length: usize) -> Result<&'static [u8]> {
    let bytes = PATTERN.get(..length);
    bytes.ok_or_else(|| Error::new(ErrorKind::InvalidInput, "no body is so long"))
}

/// Refuses `received` unless it is the pattern from byte `from` on.
fn compare(received: &[u8], from: u64) -> Result<()> {
    let start = offset(from);
    if PATTERN[start..].starts_with(received) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidData,
        format!("wrong bytes after byte {from}"),
    ))
}

fn length(bytes: &[u8]) -> Result<u64> {
    let bytes = bytes.try_into().map_err(Error::other)?;
    Ok(u64::from_le_bytes(bytes))
}

fn offset(position: u64) -> usize {
    (position % BLOCK as u64) as usize
}

fn block(wanted: u64, most: usize) -> usize {
    usize::try_from(wanted).map_or(most, |wanted| wanted.min(most))
}
