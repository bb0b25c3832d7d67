//! A document as written: every value with its place.
//!
//! Copies share what they hold until one of them is changed, so that a change of a large document
//! costs what it changes and not what it leaves.

use std::sync::Arc;

use crate::config::list::List;

/// Line and column, from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl Place {
    pub(crate) const START: Self = Self { line: 1, column: 1 };
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) kind: Kind,
    pub(crate) place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    /// The digits as written: what they mean depends on the key.
    Number(Box<str>),
    String(Box<str>),
    Array(List<Value>),
    Object(Arc<Vec<Member>>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) key: Box<str>,
    pub(crate) place: Place,
    pub(crate) value: Value,
}

impl Value {
    fn made(kind: Kind) -> Self {
        let place = Place::START;
        Self { kind, place }
    }

    /// An object of these members.
    pub(crate) fn object<'k>(members: impl IntoIterator<Item = (&'k str, Self)>) -> Self {
        let mut object = Self::made(Kind::Object(Arc::default()));
        for (key, value) in members {
            object.set(key, value);
        }
        object
    }

    pub(crate) fn string(text: &str) -> Self {
        Self::made(Kind::String(text.into()))
    }

    pub(crate) fn number(number: u32) -> Self {
        Self::made(Kind::Number(number.to_string().into()))
    }

    /// What stands under exactly this key.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        let Kind::Object(members) = &self.kind else {
            return None;
        };
        let found = members.iter().rev().find(|member| &*member.key == key);
        found.map(|member| &member.value)
    }

    /// The text under a key, unless it is empty.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_text().filter(|text| !text.is_empty())
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::String(text) => Some(text),
            _ => None,
        }
    }

    /// The elements, when it is an array.
    pub(crate) fn items(&self) -> Option<&List<Self>> {
        match &self.kind {
            Kind::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The elements under a key, when an array stands there.
    pub(crate) fn items_of(&self, key: &str) -> impl DoubleEndedIterator<Item = &Self> {
        let items = self.get(key).and_then(Self::items);
        items.into_iter().flatten()
    }

    /// The elements under a key, to be changed; whatever else stands there gives way to an array.
    pub(crate) fn items_mut(&mut self, key: &str) -> &mut List<Self> {
        let value = self.entry(key);
        if !matches!(value.kind, Kind::Array(_)) {
            value.kind = Kind::Array(List::default());
        }
        match &mut value.kind {
            Kind::Array(items) => items,
            _ => unreachable!("it was made one"),
        }
    }

    /// What stands under a key, `null` if nothing did; whatever else this is gives way to an object.
    pub(crate) fn entry(&mut self, key: &str) -> &mut Self {
        if !matches!(self.kind, Kind::Object(_)) {
            self.kind = Kind::Object(Arc::default());
        }
        let Kind::Object(members) = &mut self.kind else {
            unreachable!("it was made one");
        };
        let members = Arc::make_mut(members);
        let at = members.iter().rposition(|member| &*member.key == key);
        let at = at.unwrap_or_else(|| {
            let value = Self::made(Kind::Null);
            let place = Place::START;
            members.push(Member {
                key: key.into(),
                place,
                value,
            });
            members.len() - 1
        });
        &mut members[at].value
    }

    pub(crate) fn set(&mut self, key: &str, value: Self) {
        *self.entry(key) = value;
    }

    pub(crate) fn unset(&mut self, key: &str) {
        if let Kind::Object(members) = &mut self.kind {
            Arc::make_mut(members).retain(|member| &*member.key != key);
        }
    }

    /// What a finding shows of it: at most a line.
    pub(crate) fn brief(&self) -> String {
        match &self.kind {
            Kind::Null => "null".to_owned(),
            Kind::Bool(value) => value.to_string(),
            Kind::Number(text) => shorten(text),
            Kind::String(text) => quote(text),
            Kind::Array(items) => format!("an array of {}", items.len()),
            Kind::Object(members) => format!("an object of {}", members.len()),
        }
    }

    /// Whether it says no more than its absence would.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.kind {
            Kind::Null => true,
            Kind::Bool(value) => !value,
            Kind::Number(text) => &**text == "0",
            Kind::String(text) => text.is_empty(),
            Kind::Array(items) => items.is_empty(),
            Kind::Object(members) => members.is_empty(),
        }
    }

    /// The same as [`Self::to_json`] gives, without places.
    pub(crate) fn from_json(json: &serde_json::Value) -> Self {
        Self::made(match json {
            serde_json::Value::Null => Kind::Null,
            serde_json::Value::Bool(flag) => Kind::Bool(*flag),
            serde_json::Value::Number(number) => Kind::Number(number.to_string().into()),
            serde_json::Value::String(text) => Kind::String(text.as_str().into()),
            serde_json::Value::Array(items) => {
                Kind::Array(items.iter().map(Self::from_json).collect())
            }
            serde_json::Value::Object(members) => {
                let member = |(key, value): (&String, &serde_json::Value)| Member {
                    key: key.as_str().into(),
                    place: Place::START,
                    value: Self::from_json(value),
                };
                Kind::Object(Arc::new(members.iter().map(member).collect()))
            }
        })
    }

    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.kind {
            Kind::Null => serde_json::Value::Null,
            Kind::Bool(value) => (*value).into(),
            Kind::Number(text) => number_to_json(text),
            Kind::String(text) => text.to_string().into(),
            Kind::Array(items) => items.iter().map(Self::to_json).collect(),
            Kind::Object(members) => members
                .iter()
                .map(|member| (member.key.to_string(), member.value.to_json()))
                .collect(),
        }
    }
}

/// As an integer where it is one: a float would lose digits.
fn number_to_json(text: &str) -> serde_json::Value {
    let integer = text.parse::<i64>().map(Into::into);
    integer
        .or_else(|_| text.parse::<u64>().map(Into::into))
        .or_else(|_| text.parse::<f64>().map(Into::into))
        .unwrap_or_default()
}

/// Text in double quotes, cut to what fits on a line.
pub(crate) fn quote(text: &str) -> String {
    format!("\"{}\"", shorten(text))
}

pub(crate) fn shorten(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
