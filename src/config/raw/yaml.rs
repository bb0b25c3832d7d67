//! YAML to the same values with places as JSON gives.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::{DuplicateKeyPolicy, Options};
use serde_saphyr::{Error, Location, MessageFormatter, Spanned, UserMessageFormatter};

use super::Fault;
use super::value::{Kind, Member, Place, Value};
use crate::config::diagnostics::Code;

/// How deeply a document may nest. The reader takes some 40 KiB of stack a level when it is not
/// optimised, and a thread has 2 MiB.
const DEPTH: usize = 32;

/// How much aliases may repeat, in the reader's events: far more than any file means.
const REPEATED: usize = 50_000;

/// Reads one document. Aliases, depth and size are bounded by the reader's budget.
///
/// # Errors
///
/// The first fault: after it nothing can be said about the rest.
pub(crate) fn read(text: &str) -> Result<Value, Fault> {
    let options = serde_saphyr::options! {
        // The last one counts here, as in the JSON that MOSN makes of it.
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        with_snippet: false,
        budget: serde_saphyr::budget! { max_depth: DEPTH },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: REPEATED },
    };
    read_with(text, options)
}

fn read_with(text: &str, options: Options) -> Result<Value, Fault> {
    match serde_saphyr::from_str_with_options::<Spanned<Untyped>>(text, options) {
        Ok(value) => Ok(value.into()),
        Err(error) => {
            let mut error = error.without_snippet();
            // Where an alias stands, rather than what it stands for.
            let place = error.location().map_or(Place::START, place);
            while let Error::AliasError { error: inner, .. } = error {
                error = inner;
            }
            let code = match error {
                Error::Budget {
                    breach: BudgetBreach::Depth { .. },
                    ..
                } => Code::TooDeep,
                Error::Budget { .. } | Error::AliasReplayLimitExceeded { .. } => Code::TooLarge,
                _ => Code::Syntax,
            };
            let message = UserMessageFormatter.format_message(error).into_owned();
            Err(Fault::new(code, place, message))
        }
    }
}

fn place(location: Location) -> Place {
    let bound = |number: u64| u32::try_from(number.max(1)).unwrap_or(u32::MAX);
    Place {
        line: bound(location.line()),
        column: bound(location.column()),
    }
}

/// What a YAML node holds, before it has a place.
struct Untyped(Kind);

impl From<Spanned<Untyped>> for Value {
    fn from(spanned: Spanned<Untyped>) -> Self {
        Self {
            kind: spanned.value.0,
            place: place(spanned.referenced),
        }
    }
}

impl<'de> Deserialize<'de> for Untyped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyKind).map(Self)
    }
}

struct AnyKind;

impl<'de> Visitor<'de> for AnyKind {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_none<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
        Ok(Kind::Number(value.to_string().into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
        Ok(Kind::Number(value.to_string().into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Kind, E> {
        Ok(Kind::Number(value.to_string().into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Kind, E> {
        Ok(Kind::String(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Kind, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Spanned<Untyped>>()? {
            items.push(item.into());
        }
        Ok(Kind::Array(items.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        let mut members = Vec::new();
        while let Some((key, value)) = map.next_entry::<Spanned<String>, Spanned<Untyped>>()? {
            members.push(Member {
                key: key.value.into(),
                place: place(key.referenced),
                value: value.into(),
            });
        }
        Ok(Kind::Object(members.into()))
    }
}
