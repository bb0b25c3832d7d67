//! Protocols that are told apart, and that nobody here speaks.

use super::{Rule, dubbo, dubbo_thrift, http2, tars};

/// A protocol that is told apart, and that nobody here speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unspoken {
    /// With prior knowledge: the preface comes first.
    Http2,
    /// Over Hessian.
    Dubbo,
    /// Dubbo over Thrift.
    DubboThrift,
    /// Of Tencent.
    Tars,
}

impl Unspoken {
    /// All of them, in the order in which they are tried.
    pub const ALL: [Self; 4] = [Self::Http2, Self::Dubbo, Self::DubboThrift, Self::Tars];

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// MOSN's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http2 => "Http2",
            Self::Dubbo => "dubbo",
            Self::DubboThrift => "dubbo-thrift",
            Self::Tars => "tars",
        }
    }

    /// Its name in a sentence.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Http2 => "HTTP/2",
            Self::Dubbo => "Dubbo",
            Self::DubboThrift => "Dubbo over Thrift",
            Self::Tars => "Tars",
        }
    }

    /// How it is known.
    #[must_use]
    pub fn rule(self) -> Rule {
        match self {
            Self::Http2 => http2,
            Self::Dubbo => dubbo,
            Self::DubboThrift => dubbo_thrift,
            Self::Tars => tars,
        }
    }
}
