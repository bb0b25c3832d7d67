//! What two processes of a hot upgrade tell each other: frames and the messages in them.
//!
//! A frame is a header of 20 bytes, a text and a payload; descriptors travel beside its first byte:
//!
//! ```text
//! "BNYN"  version u16  descriptors u16  text bytes u32  payload bytes u32  checksum u32
//! text: the message as JSON; fields that are not known are ignored
//! payload: bytes of connections, as they are
//! ```
//!
//! Numbers are big-endian. The checksum is the CRC-32 of all other bytes of the frame. The header is
//! the same in every version, so that a process which does not speak the other's version can say so.

mod carried;
mod frame;
mod message;
mod shown;
mod statement;

pub use carried::{Carried, Framed, Halves, Idle, Kind, Movable, Pair, Shared, Upstream};
pub use frame::{FrameError, HEADER_BYTES, Header, MOST_DESCRIPTORS, decode, encode};
pub use message::{ListenerOffer, Message, Offer, Place, VersionOffer};
pub use shown::{ChartState, EjectedState, HostState, Shown};
pub use statement::{Statement, Told, Whose};

#[cfg(test)]
mod tests;
