//! Where a request goes, and what is changed on its way there and back.
//!
//! A [`Table`] finds the route. The other functions say what follows from it: path, place, fields,
//! cluster, time and further tries.

mod cluster;
mod domains;
mod edit;
mod explain;
mod facts;
mod flags;
mod fold;
mod hash;
mod matcher;
mod path;
mod redirect;
mod retry;
mod rewrite;
mod rules;
mod table;
mod time;

pub use cluster::{Chosen, chosen};
pub use edit::{apply, is_reserved};
pub use explain::why_not;
pub use facts::Facts;
pub use flags::Flags;
pub use hash::{hashed, source_hash};
pub use matcher::has_all;
pub use path::{escape_path, forwarded_path, normal_path};
pub use redirect::location;
pub use retry::{Outcome, Replay, Retry, Reuse, again};
pub use rewrite::rewritten;
pub use table::{Found, Table};
pub use time::Timeouts;
