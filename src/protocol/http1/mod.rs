//! HTTP/1.1 as RFC 9110 and RFC 9112 have it, and no more lenient than they demand.
//!
//! Bytes in, values out: a head becomes a [`Request`] or a [`Response`], a body goes through a
//! [`Decoder`], and what is sent on is written anew from these. What one peer could
//! read in two ways is refused, since the next hop may read it in the other.

mod authority;
mod connection;
mod decoder;
mod error;
mod fields;
mod framing;
mod grammar;
mod head;
mod known;
mod method;
mod request;
mod response;
mod rest;
mod target;
#[cfg(test)]
mod tests;
mod write;

pub use authority::is_authority;
pub use decoder::{Decoded, Decoder, Progress};
pub use error::{Malformed, Refusal};
pub use fields::Fields;
pub use framing::{Body, Persistence};
pub use grammar::{is_field_value, is_token};
pub use head::{HeadLimits, MAX_FIELDS, Parsed, Version};
pub use method::Method;
pub use request::Request;
pub use response::{Asked, Response};
pub use rest::Rest;
pub use target::TargetForm;
pub use write::{
    Framing, LAST_CHUNK, standard_reason, write_chunk_size, write_last_chunk, write_request_line,
    write_status_line,
};
