//! SOFA Bolt, versions 1 and 2.
//!
//! ```text
//! v1  proto type cmd:2 ver2 id:4 codec        [timeout:4 | status:2] class:2 header:2 content:4 …
//! v2  proto ver1 type cmd:2 ver2 id:4 codec switch [timeout:4 | status:2] class:2 header:2 content:4 … [crc:4]
//! ```
//!
//! Lengths come last, the parts follow in their order. Frames of both versions may be mixed on one
//! connection: the first byte of each tells. An answer is of the version of its request.
//!
//! A checksum is there where `ver1` is 2 and bit 0 of `switch` is set. It is verified when a frame
//! is read and made anew when a frame is sent on; no length counts it.

mod codec;
mod head;
mod headers;
mod message;
mod status;
#[cfg(test)]
mod tests;

pub use codec::{Bolt, V1, V2};
pub use head::Version;
pub use headers::{Headers, write_header};
pub use message::{Answer, Checksum, Parts, Request, Response};
pub use status::Status;

/// The class of requests of SOFARPC.
pub const REQUEST_CLASS: &str = "com.alipay.sofa.rpc.core.request.SofaRequest";
/// The class of responses of SOFARPC.
pub const RESPONSE_CLASS: &str = "com.alipay.sofa.rpc.core.response.SofaResponse";
