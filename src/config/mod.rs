//! Text in, plan out.

mod build;
mod bytes;
mod diagnostics;
mod diff;
mod duration;
mod edit;
mod load;
mod plan;
mod raw;
mod render;
mod resolve;
mod schema;
mod words;

pub use diagnostics::{Code, Diagnostic, Diagnostics, Severity, Strictness};
pub use diff::{Change, diff};
pub use duration::{DurationError, GoDuration};
pub use edit::append_hosts;
pub use load::{
    Alone, Document, Format, LARGEST, Loaded, Machine, Source, Surroundings, load, parse,
};
pub use plan::*;
pub use schema::schema;
