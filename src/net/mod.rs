//! Sockets: listening, accepting, streams of bytes, and moving bytes within the kernel.
//!
//! The only room that may be `unsafe`, and only where no safe call does the same.

mod accept;
mod claim;
mod control;
mod given;
mod handover;
mod legacy;
mod listen;
mod lookout;
mod original;
mod pipe;
mod resources;
mod scratch;
mod step;
mod stream;
mod turn;

pub use accept::{AcceptError, Accepted, Acceptor, Refusal};
pub use claim::{Claim, Claims, Releases};
pub use control::{Control, DirectoryLock, is_anyone_in_charge};
pub use given::{FileLeft, Given, Keeper, take_descriptors};
pub use handover::{Peer, Received, Talk, TalkError};
pub use legacy::{Claimed, Legacy, address, place};
pub use listen::{BindError, Listening, bind, bind_private};
pub use lookout::Lookout;
pub use pipe::{Pipe, PipePool};
pub use resources::{give_back_memory, host_address, raise_descriptor_limit, slack_bytes};
pub use scratch::with_scratch;
pub use step::space;
#[cfg(any(test, feature = "fault-injection"))]
pub use step::{Fault, Step, arm};
pub use stream::{Asleep, Peeked, Sequel, Stream, Word};
pub use turn::give_way;

#[cfg(test)]
pub(crate) mod testing;
