//! Which protocol a connection speaks, told by its first bytes.
//!
//! Each protocol has a [`Rule`]; [`detect`] asks those that come into question. The rules accept
//! what MOSN 1.4 accepts, and answer as soon as no further byte could change that, where MOSN
//! waits for a number of them. What is told apart and not spoken is [`Unspoken`]. How long to wait for bytes is [`Patience`].

mod patience;
mod rules;
#[cfg(test)]
mod tests;
mod unspoken;
mod untold;

pub use patience::{Habits, Patience, Silence};
pub use rules::{KNOWN, bolt, bolt_v2, dubbo, dubbo_thrift, http1, http2, tars};
pub use unspoken::Unspoken;
pub use untold::Untold;

/// What a rule says of the first bytes of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// It is this protocol.
    Yes,
    /// It may be, and more bytes will tell.
    More,
    /// It is not, whatever follows.
    No,
}

/// Judges the first bytes of a connection. More of them never turn a `Yes` or a `No`.
pub type Rule = fn(&[u8]) -> Answer;

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict<T> {
    /// The first beginning of this protocol.
    Is(T),
    /// More bytes are needed.
    More,
    /// None of those that come into question.
    Unknown,
}

/// Asks the rules in order; the first that says yes decides, though one before it may need more.
pub fn detect<T>(candidates: impl IntoIterator<Item = (T, Rule)>, bytes: &[u8]) -> Verdict<T> {
    let mut verdict = Verdict::Unknown;
    for (name, rule) in candidates {
        match rule(bytes) {
            Answer::Yes => return Verdict::Is(name),
            Answer::More => verdict = Verdict::More,
            Answer::No => {}
        }
    }
    verdict
}
