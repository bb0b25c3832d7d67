//! A document as written: every value with its place.

/// Line and column, from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl Place {
    pub(crate) const START: Self = Self { line: 1, column: 1 };
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Value {
    pub(crate) kind: Kind,
    pub(crate) place: Place,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    /// The digits as written: what they mean depends on the key.
    Number(Box<str>),
    String(Box<str>),
    Array(Vec<Value>),
    Object(Vec<Member>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    pub(crate) key: Box<str>,
    pub(crate) place: Place,
    pub(crate) value: Value,
}

impl Value {
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
