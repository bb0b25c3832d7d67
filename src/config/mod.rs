//! Text in, plan out.

mod build;
mod bytes;
mod configuration;
mod diagnostics;
mod diff;
mod document;
mod duration;
mod edit;
mod edits;
mod list;
mod load;
mod plan;
mod raw;
mod render;
mod resolve;
mod schema;
mod summary;
mod words;

pub use configuration::{Configuration, Edited, Refused};
pub use diagnostics::{Code, Diagnostic, Diagnostics, Severity, Strictness};
pub use diff::{Change, diff};
pub use document::Document;
pub use duration::{DurationError, GoDuration};
pub use edit::{append_hosts, remove_hosts, weigh_host};
pub use edits::{Edit, EditError, Fragment};
pub use list::{Iter, List};
pub use load::{Alone, Format, LARGEST, Loaded, Machine, Source, Surroundings, load, parse};
pub use plan::*;
pub use schema::schema;
pub use summary::Summary;
