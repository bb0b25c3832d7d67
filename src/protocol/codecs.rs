//! The protocols of frames that are spoken, by name.

use std::fmt;
use std::sync::Arc;

use super::bolt::{V1, V2};
use super::detect::{Rule, bolt, bolt_v2};
use super::rpc::Codec;

/// A protocol of frames, and how it is known.
#[derive(Clone, Copy)]
pub struct Known {
    /// It itself.
    pub codec: &'static dyn Codec,
    /// Whether a connection begins as it does.
    pub rule: Rule,
}

/// The protocols of frames that are spoken, by name: our own, and those of the program around the
/// proxy. A clone is the same set.
#[derive(Clone)]
pub struct Codecs(Arc<[Known]>);

impl Default for Codecs {
    fn default() -> Self {
        let own: [(&'static dyn Codec, Rule); 2] = [(&V1, bolt), (&V2, bolt_v2)];
        Self(own.map(|(codec, rule)| Known { codec, rule }).into())
    }
}

impl Codecs {
    /// Adds a protocol under its own name, and how it is known where a listener takes several. One
    /// whose name is taken already is left out.
    #[must_use]
    pub fn with(self, codec: &'static dyn Codec, rule: Rule) -> Self {
        if self.find(codec.name()).is_some() {
            return self;
        }
        let new = Known { codec, rule };
        Self(self.0.iter().copied().chain([new]).collect())
    }

    /// The one of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Known> {
        self.all().find(|known| known.codec.name() == name)
    }

    /// All of them, in the order in which they were added; our own are first.
    pub fn all(&self) -> impl Iterator<Item = Known> {
        self.0.iter().copied()
    }
}

impl fmt::Debug for Codecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.all().map(|known| known.codec.name());
        f.debug_set().entries(names).finish()
    }
}
