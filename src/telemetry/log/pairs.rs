//! The key-value pairs of a record, in the order in which they are read.

use std::fmt::Arguments;

use slog::{KV, Key, OwnedKVList, Record, Serializer};

use super::format::Wire;
use super::text::{push_display, push_field, push_json, push_json_str, push_word};

/// The key-value pairs of one record and of its logger.
pub(super) struct Pairs {
    wire: Wire,
    /// Keys seen so far: the newest value of a key is the one that counts, and it comes first.
    keys: Vec<Key>,
    /// The value of the key `tag`.
    tag: String,
    /// Pairs as slog shows them: newest first.
    newest: Vec<u8>,
    /// Where in `newest` each pair begins.
    starts: Vec<usize>,
    /// Pairs as they are read: the record's as written, then the logger's, outermost first.
    pub(super) ordered: Vec<u8>,
    /// Pairs as journal fields.
    pub(super) fields: Vec<u8>,
}

impl Pairs {
    pub(super) const fn new() -> Self {
        Self {
            wire: Wire::Mosn,
            keys: Vec::new(),
            tag: String::new(),
            newest: Vec::new(),
            starts: Vec::new(),
            ordered: Vec::new(),
            fields: Vec::new(),
        }
    }

    pub(super) fn collect(&mut self, wire: Wire, record: &Record<'_>, values: &OwnedKVList) {
        self.wire = wire;
        self.keys.clear();
        self.tag.clear();
        self.ordered.clear();
        self.fields.clear();
        // A value that cannot be displayed loses its pair, not the line.
        self.turn(|pairs| record.kv().serialize(record, pairs).is_ok());
        self.turn(|pairs| values.serialize(record, pairs).is_ok());
    }

    /// Collects pairs newest first and appends them to `ordered` the other way round.
    fn turn(&mut self, serialize: impl FnOnce(&mut Self) -> bool) {
        self.newest.clear();
        self.starts.clear();
        serialize(self);
        let mut end = self.newest.len();
        for &start in self.starts.iter().rev() {
            self.ordered.extend_from_slice(&self.newest[start..end]);
            end = start;
        }
    }

    /// What stands in brackets before the text: the key `tag`, or slog's own tag.
    pub(super) fn tag<'a>(&'a self, record: &'a Record<'_>) -> Option<&'a str> {
        [self.tag.as_str(), record.tag()]
            .into_iter()
            .find(|tag| !tag.is_empty())
    }

    fn pair(&mut self, key: Key, value: &Arguments<'_>, json: Json) -> slog::Result {
        if self.keys.contains(&key) {
            return Ok(());
        }
        self.keys.push(key);
        if key == "tag" {
            self.tag = value.to_string();
            return Ok(());
        }
        self.starts.push(self.newest.len());
        let line = &mut self.newest;
        if self.wire == Wire::Json {
            line.push(b',');
            push_json_str(line, json_key(key));
            line.push(b':');
            match json {
                Json::Bare => push_display(line, value),
                Json::Text => push_json(line, value),
            }
            return Ok(());
        }
        line.push(b' ');
        line.extend_from_slice(key.as_bytes());
        line.push(b'=');
        push_word(line, value);
        if self.wire == Wire::JournalField {
            let name = format!("BANYAN_{key}");
            push_field(&mut self.fields, &name, |line| push_display(line, value));
        }
        Ok(())
    }
}

/// How a value stands in JSON.
#[derive(Clone, Copy)]
enum Json {
    Bare,
    Text,
}

/// Sets a pair apart from the keys that every JSON line has.
fn json_key(key: Key) -> Key {
    match key {
        "level" => "level_",
        "message" => "message_",
        "module" => "module_",
        "time" => "time_",
        other => other,
    }
}

macro_rules! emit_bare {
    ($($emit:ident: $type:ty),*) => {
        $(fn $emit(&mut self, key: Key, value: $type) -> slog::Result {
            self.pair(key, &format_args!("{value}"), Json::Bare)
        })*
    };
}

impl Serializer for Pairs {
    emit_bare!(
        emit_bool: bool, emit_isize: isize, emit_usize: usize,
        emit_i8: i8, emit_i16: i16, emit_i32: i32, emit_i64: i64, emit_i128: i128,
        emit_u8: u8, emit_u16: u16, emit_u32: u32, emit_u64: u64, emit_u128: u128
    );

    fn emit_f32(&mut self, key: Key, value: f32) -> slog::Result {
        self.emit_f64(key, f64::from(value))
    }

    fn emit_f64(&mut self, key: Key, value: f64) -> slog::Result {
        match (value.is_finite(), self.wire) {
            (false, Wire::Json) => self.pair(key, &format_args!("null"), Json::Bare),
            _ => self.pair(key, &format_args!("{value}"), Json::Bare),
        }
    }

    fn emit_none(&mut self, key: Key) -> slog::Result {
        match self.wire {
            Wire::Json => self.pair(key, &format_args!("null"), Json::Bare),
            _ => self.pair(key, &format_args!("-"), Json::Bare),
        }
    }

    fn emit_unit(&mut self, key: Key) -> slog::Result {
        self.emit_none(key)
    }

    fn emit_arguments(&mut self, key: Key, value: &Arguments<'_>) -> slog::Result {
        self.pair(key, value, Json::Text)
    }
}
