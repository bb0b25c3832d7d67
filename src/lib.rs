//! Banyan: an L4/L7 proxy whose whole process is one supervision tree of actix actors.
//!
//! It grows floor by floor: a module imports only from floors below its own.

#[cfg(panic = "abort")]
compile_error!(
    "supervision needs `panic = \"unwind\"`: a panic must end one actor, not the process"
);

pub mod actor;
pub mod backoff;
pub mod cluster;
pub mod config;
pub mod lifecycle;
pub mod name;
pub mod net;
pub mod proxy;
pub mod supervise;
pub mod telemetry;
pub mod upstream;
