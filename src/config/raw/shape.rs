//! What a table of known keys is made of.

use crate::config::diagnostics::Severity;

use super::fold::folds;
use super::value::{Kind, Member, Value, quote};

/// The keys of one kind of object.
pub(crate) struct Schema {
    pub(crate) keys: &'static [Key],
}

impl Schema {
    /// The key that `written` stands for, as Go's decoder finds it: exactly, else in any case.
    pub(crate) fn find(&self, written: &str) -> Option<&'static Key> {
        let exact = self.keys.iter().find(|key| key.name == written);
        exact.or_else(|| self.keys.iter().find(|key| folds(written, key.name)))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().map(|key| key.name)
    }
}

pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) effect: Effect,
}

/// Whether what is configured does anything.
#[derive(Clone, Copy)]
pub(crate) enum Effect {
    /// It does.
    Now,
    /// A later version gives it its effect.
    Later,
    /// The same, and the object does nothing anywhere unless this key of it is set.
    LaterIf(&'static str),
    /// It does nothing in MOSN either.
    Never,
}

#[derive(Clone, Copy)]
pub(crate) enum Shape {
    Bool,
    /// From and to, both included.
    Integer(i64, i64),
    Float,
    Text,
    /// Text that nobody is shown.
    Secret,
    IntegerOrText,
    Duration(Null),
    ByteSize,
    List(&'static Self),
    Object(&'static Schema),
    /// Any keys, one shape of values.
    Map(&'static Self),
    Tagged(&'static Tagged),
    /// Anything; nobody looks inside.
    Free,
}

impl Shape {
    /// What stands where this shape does, in words.
    pub(crate) fn accepted(self) -> String {
        match self {
            Self::Bool => "true or false".to_owned(),
            Self::Integer(i64::MIN, i64::MAX) => "an integer".to_owned(),
            Self::Integer(0, i64::MAX) => "an integer that is not negative".to_owned(),
            Self::Integer(min, max) => format!("an integer from {min} to {max}"),
            Self::Float => "a number".to_owned(),
            Self::Text | Self::Secret => "a string".to_owned(),
            Self::IntegerOrText => "an integer or a string".to_owned(),
            Self::Duration(_) => {
                "a string of numbers with units ns, us, ms, s, m, h, as \"1m30s\"; or 0".to_owned()
            }
            Self::ByteSize => "a string of digits and a unit b, k, m, g, as \"10MB\"".to_owned(),
            Self::List(_) => "an array".to_owned(),
            Self::Object(_) | Self::Map(_) | Self::Tagged(_) => "an object".to_owned(),
            Self::Free => "anything".to_owned(),
        }
    }

    /// The same value as the type that is accepted, where that is evident.
    pub(crate) fn retyped(self, value: &Value) -> Option<String> {
        match (self, &value.kind) {
            (Self::Bool, Kind::String(text)) if matches!(&**text, "true" | "false") => {
                Some(text.to_string())
            }
            (Self::Integer(min, max), Kind::String(text)) => text
                .parse()
                .ok()
                .filter(|n: &i64| (min..=max).contains(n))
                .map(|n| n.to_string()),
            (Self::Text, Kind::Number(text)) => Some(quote(text)),
            (Self::Text, Kind::Bool(flag)) => Some(format!("\"{flag}\"")),
            (Self::List(of), _) => {
                let fits = matches!(
                    (of, &value.kind),
                    (Self::Text, Kind::String(_))
                        | (Self::Object(_) | Self::Tagged(_), Kind::Object(_))
                );
                fits.then(|| "[…]".to_owned())
            }
            _ => None,
        }
    }
}

/// Whether `null` means the default; Go refuses it where its duration is no pointer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Null {
    Default,
    Refused,
}

impl Tagged {
    /// The shape of the content of an object with these members.
    pub(crate) fn content_of(&self, members: &[Member]) -> Shape {
        let is_tag = |member: &&Member| {
            let key = self.schema.find(&member.key);
            key.is_some_and(|key| key.name == self.tag)
        };
        let tag = members.iter().rev().find(is_tag).map(|tag| &tag.value.kind);
        let variant = self
            .variants
            .iter()
            .find(|variant| matches!(tag, Some(Kind::String(name)) if **name == *variant.name));
        variant.map_or(Shape::Free, |variant| variant.content)
    }
}

/// An object one key of which says what another one holds.
pub(crate) struct Tagged {
    /// What it is, for messages.
    pub(crate) what: &'static str,
    pub(crate) schema: &'static Schema,
    pub(crate) tag: &'static str,
    pub(crate) content: &'static str,
    pub(crate) variants: &'static [Variant],
}

pub(crate) struct Variant {
    pub(crate) name: &'static str,
    pub(crate) content: Shape,
    pub(crate) effect: Effect,
    /// How grave a value of the wrong type in the content is.
    pub(crate) mismatch: Severity,
}

impl Variant {
    /// One with an effect, whose content is refused when it cannot be read.
    pub(crate) const fn strict(name: &'static str, content: Shape) -> Self {
        Self {
            name,
            content,
            effect: Effect::Now,
            mismatch: Severity::Error,
        }
    }

    /// One with an effect, of whose content is ignored what cannot be read.
    pub(crate) const fn lenient(name: &'static str, content: Shape) -> Self {
        Self {
            name,
            content,
            effect: Effect::Now,
            mismatch: Severity::Warning,
        }
    }

    /// One that a later version gives its effect.
    pub(crate) const fn later(name: &'static str, content: Shape) -> Self {
        Self {
            name,
            content,
            effect: Effect::Later,
            mismatch: Severity::Warning,
        }
    }
}

pub(crate) const UINT8: Shape = Shape::Integer(0, u8::MAX as i64);
pub(crate) const UINT16: Shape = Shape::Integer(0, u16::MAX as i64);
pub(crate) const UINT32: Shape = Shape::Integer(0, u32::MAX as i64);
pub(crate) const UINT: Shape = Shape::Integer(0, i64::MAX);
pub(crate) const INT: Shape = Shape::Integer(i64::MIN, i64::MAX);
pub(crate) const DURATION: Shape = Shape::Duration(Null::Refused);
pub(crate) const DURATION_OR_NULL: Shape = Shape::Duration(Null::Default);
pub(crate) const TEXTS: Shape = Shape::List(&Shape::Text);

pub(crate) const fn now(name: &'static str, shape: Shape) -> Key {
    Key {
        name,
        shape,
        effect: Effect::Now,
    }
}

pub(crate) const fn later(name: &'static str, shape: Shape) -> Key {
    Key {
        name,
        shape,
        effect: Effect::Later,
    }
}

pub(crate) const fn later_if(name: &'static str, shape: Shape, set: &'static str) -> Key {
    Key {
        name,
        shape,
        effect: Effect::LaterIf(set),
    }
}

pub(crate) const fn never(name: &'static str, shape: Shape) -> Key {
    Key {
        name,
        shape,
        effect: Effect::Never,
    }
}
