//! One direction of a relay.
//!
//! Bytes are read into the worker's scratch buffer and written at once; only what the receiver
//! did not take is kept, and nothing more is read before that is gone. A direction that proves
//! bulky goes through a pipe in the kernel instead, until it proves otherwise. Idle, it holds
//! neither buffer nor pipe.

use std::cell::Cell;
use std::io;
use std::task::{Context, Poll, ready};

use crate::net::{Pipe, PipePool, Stream, with_scratch};

/// Reads of this size speak of bulk. Small exchanges are cheaper copied.
const BIG_READ_BYTES: usize = 32 * 1024;

/// So many big reads in a row prove a direction bulky.
const BIG_READS: u8 = 4;

/// So many spliced reads in a row that are not big prove it otherwise.
const SMALL_READS: u8 = 4;

/// What one direction moves before others have their turn: half a millisecond's worth.
const TURN_BYTES: usize = 1024 * 1024;

/// One direction of a relay, from one stream to another.
#[derive(Debug)]
pub(super) struct Way {
    pace: Pace,
    unsent: Unsent,
}

/// What could not go on.
#[derive(Debug)]
pub(super) enum Broken {
    /// The stream that is read.
    Source(io::Error),
    /// The stream that is written.
    Sink(io::Error),
}

#[derive(Debug)]
enum Pace {
    /// Through the scratch buffer, after so many big reads in a row.
    Copying(u8),
    /// Through a pipe, after so many small reads in a row.
    Splicing(u8),
}

/// What was read and could not be written yet.
#[derive(Debug)]
enum Unsent {
    Nothing,
    Copied { bytes: Box<[u8]>, sent: usize },
    Piped(Pipe),
}

impl Way {
    pub(super) fn new() -> Self {
        Self {
            pace: Pace::Copying(0),
            unsent: Unsent::Nothing,
        }
    }

    /// One that has to send these bytes first.
    pub(super) fn after(bytes: Vec<u8>) -> Self {
        let mut way = Self::new();
        if !bytes.is_empty() {
            let bytes = bytes.into_boxed_slice();
            way.unsent = Unsent::Copied { bytes, sent: 0 };
        }
        way
    }

    /// The bytes that its sink is still to get, all of them in this process' memory.
    ///
    /// # Errors
    ///
    /// When the system does not give them; it goes on as before then.
    pub(super) fn unsent(&mut self) -> io::Result<&[u8]> {
        if let Unsent::Piped(pipe) = &mut self.unsent {
            let bytes = pipe.take_out()?.into_boxed_slice();
            let emptied = std::mem::replace(&mut self.unsent, Unsent::Copied { bytes, sent: 0 });
            if let Unsent::Piped(pipe) = emptied {
                PipePool::give(pipe);
            }
        }
        Ok(match &self.unsent {
            Unsent::Copied { bytes, sent } => &bytes[*sent..],
            Unsent::Nothing | Unsent::Piped(_) => &[],
        })
    }

    /// Bytes of this process' memory that it holds.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        match &self.unsent {
            Unsent::Copied { bytes, .. } => bytes.len(),
            Unsent::Nothing | Unsent::Piped(_) => 0,
        }
    }

    /// Relays until the source has ended and the sink taken everything. `moved` counts the bytes
    /// that the sink took.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &Stream,
        sink: &Stream,
        moved: &Cell<u64>,
    ) -> Poll<Result<(), Broken>> {
        let mut turn = 0;
        loop {
            ready!(self.poll_flush(cx, sink, moved))?;
            if turn >= TURN_BYTES {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let read = match self.pace {
                // A splice never gets past urgent data.
                Pace::Splicing(_) if !source.is_urgent() => ready!(self.poll_splice(cx, source))?,
                _ => ready!(self.poll_copy(cx, source, sink, moved))?,
            };
            if read == 0 {
                return Poll::Ready(Ok(()));
            }
            self.pace = self.pace.after(read);
            turn += read;
        }
    }

    fn poll_copy(
        &mut self,
        cx: &mut Context<'_>,
        source: &Stream,
        sink: &Stream,
        moved: &Cell<u64>,
    ) -> Poll<Result<usize, Broken>> {
        with_scratch(|scratch| {
            let read = ready!(source.poll_recv(cx, scratch)).map_err(Broken::Source)?;
            let bytes = &scratch[..read];
            if bytes.is_empty() {
                return Poll::Ready(Ok(0));
            }
            let sent = match sink.poll_send(cx, bytes) {
                Poll::Ready(sent) => sent.map_err(Broken::Sink)?,
                Poll::Pending => 0,
            };
            count(moved, sent);
            if sent < read {
                self.unsent = Unsent::Copied {
                    bytes: bytes[sent..].into(),
                    sent: 0,
                };
            }
            Poll::Ready(Ok(read))
        })
    }

    /// Reads into a pipe, which [`poll_flush`](Self::poll_flush) then empties.
    fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        source: &Stream,
    ) -> Poll<Result<usize, Broken>> {
        let Ok(mut pipe) = PipePool::take() else {
            // Out of descriptors: copied bytes arrive too.
            self.pace = Pace::Copying(0);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        };
        match source.poll_splice_from(cx, &mut pipe) {
            Poll::Ready(Ok(read)) if read > 0 => {
                self.unsent = Unsent::Piped(pipe);
                Poll::Ready(Ok(read))
            }
            other => {
                PipePool::give(pipe);
                other.map_err(Broken::Source)
            }
        }
    }

    fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        sink: &Stream,
        moved: &Cell<u64>,
    ) -> Poll<Result<(), Broken>> {
        loop {
            let sent = match &mut self.unsent {
                Unsent::Nothing => return Poll::Ready(Ok(())),
                Unsent::Copied { bytes, sent } => {
                    let now = ready!(sink.poll_send(cx, &bytes[*sent..])).map_err(Broken::Sink)?;
                    *sent += now;
                    now
                }
                Unsent::Piped(pipe) => {
                    ready!(sink.poll_splice_to(cx, pipe)).map_err(Broken::Sink)?
                }
            };
            count(moved, sent);
            self.unsent = match std::mem::replace(&mut self.unsent, Unsent::Nothing) {
                Unsent::Copied { bytes, sent } if sent < bytes.len() => {
                    Unsent::Copied { bytes, sent }
                }
                Unsent::Piped(pipe) if pipe.is_empty() => {
                    PipePool::give(pipe);
                    Unsent::Nothing
                }
                Unsent::Piped(pipe) => Unsent::Piped(pipe),
                Unsent::Copied { .. } | Unsent::Nothing => Unsent::Nothing,
            };
        }
    }
}

impl Pace {
    fn after(&self, read: usize) -> Self {
        let big = read >= BIG_READ_BYTES;
        match *self {
            Self::Copying(reads) if big && reads + 1 >= BIG_READS => Self::Splicing(0),
            Self::Copying(reads) if big => Self::Copying(reads + 1),
            Self::Copying(_) => Self::Copying(0),
            Self::Splicing(_) if big => Self::Splicing(0),
            Self::Splicing(reads) if reads + 1 >= SMALL_READS => Self::Copying(0),
            Self::Splicing(reads) => Self::Splicing(reads + 1),
        }
    }
}

fn count(moved: &Cell<u64>, bytes: usize) {
    moved.set(moved.get() + bytes as u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spliced_after(reads: &[usize]) -> bool {
        let pace = reads
            .iter()
            .fold(Pace::Copying(0), |pace, &read| pace.after(read));
        matches!(pace, Pace::Splicing(_))
    }

    #[test]
    fn big_reads_in_a_row_make_a_direction_bulky_and_small_ones_end_it() {
        const BIG: usize = BIG_READ_BYTES;
        for (reads, spliced) in [
            (vec![BIG; 3], false),
            (vec![BIG; 4], true),
            (vec![BIG, BIG, BIG, 1, BIG], false),
            (vec![1; 100], false),
            ([vec![BIG; 4], vec![1; 3]].concat(), true),
            (
                [vec![BIG; 4], vec![1; 3], vec![BIG], vec![1; 3]].concat(),
                true,
            ),
            ([vec![BIG; 4], vec![1; 4]].concat(), false),
        ] {
            assert_eq!(spliced_after(&reads), spliced, "{reads:?}");
        }
    }
}
