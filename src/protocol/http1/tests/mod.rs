//! The codec from outside: tables for its rules, properties for all input.

mod decoder;
mod framing;
mod properties;
mod request;
mod response;

use super::HeadLimits;

const LIMITS: HeadLimits = HeadLimits {
    bytes: 4096,
    fields: 32,
};
