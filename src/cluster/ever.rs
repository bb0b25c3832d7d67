//! What a whole cluster has counted beside its hosts, as another process goes on with it.

use std::sync::atomic::AtomicU64;

use super::Limits;
use crate::telemetry::tally::Carried;

/// `tests/loom.rs` compiles limits without the rest of the library, so this stands here.
impl Carried for Limits {
    fn each(&self, show: &mut dyn FnMut(&'static str, &AtomicU64)) {
        Self::each(self, show);
    }
}
