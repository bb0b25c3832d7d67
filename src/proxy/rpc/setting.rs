//! What an RPC connection is lent beyond what an HTTP connection is.

use crate::proxy::http::Setting;
use crate::upstream::{Driver, Trunks};

/// What an RPC connection is lent by the lane that it lives in.
pub trait Carrier: Setting {
    /// This worker's shared upstream connections.
    fn trunks(&self) -> &Trunks;

    /// Runs what drives a shared upstream connection, as long as that lasts.
    fn carry(&self, driver: Driver);
}
