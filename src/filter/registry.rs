//! Filters that the program around the proxy brings.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::StreamFilter;

type Make = dyn Fn(&str) -> Result<Arc<dyn StreamFilter>, String> + Send + Sync;

/// Makes stream filters by the name that a configuration gives them.
#[derive(Clone, Default)]
pub struct Registry(BTreeMap<String, Arc<Make>>);

impl Registry {
    /// Adds a filter; one of this name that was added before is replaced. Filters of the proxy's
    /// own cannot be.
    ///
    /// `make` is given the filter's configuration as JSON text, for every listener and every change
    /// anew, and says in words what is wrong with it.
    #[must_use]
    pub fn with<F: StreamFilter + 'static>(
        mut self,
        name: impl Into<String>,
        make: impl Fn(&str) -> Result<F, String> + Send + Sync + 'static,
    ) -> Self {
        let make = move |configuration: &str| {
            let filter = make(configuration)?;
            Ok(Arc::new(filter) as Arc<dyn StreamFilter>)
        };
        self.0.insert(name.into(), Arc::new(make));
        self
    }

    pub(super) fn make(
        &self,
        name: &str,
        configuration: &str,
    ) -> Result<Arc<dyn StreamFilter>, LeftOut> {
        let make = self.0.get(name).ok_or_else(|| LeftOut::Unknown {
            name: name.to_owned(),
        })?;
        make(configuration).map_err(|reason| LeftOut::Refused {
            name: name.to_owned(),
            reason,
        })
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A filter that a chain lacks, and why. The others are in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeftOut {
    /// The filter did not take its configuration.
    #[error("stream filter `{name}` is left out: {reason}")]
    Refused {
        /// Of the filter.
        name: String,
        /// Its own words.
        reason: String,
    },
    /// Nothing was registered under the name.
    #[error("stream filter `{name}` is left out: no filter has this name")]
    Unknown {
        /// Of the filter.
        name: String,
    },
}
