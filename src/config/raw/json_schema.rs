//! The tables of known keys as a JSON Schema, for editors and for checks in other programs.
//!
//! What it accepts is what `check --strict` accepts of names and types, with each key in its
//! canonical letter case. What a name refers to, and which keys go together, no schema knows.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::keys::TOP;
use super::shape::{Effect, Key, Null, Schema, Shape, Tagged, Variant};

/// A duration as Go writes it.
const DURATION: &str = r"^[-+]?(0|(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$";

/// A size as MOSN writes it.
const BYTE_SIZE: &str = r"^[0-9]+([bB]|[kKmMgG][bB]?)$";

/// The schema of a whole configuration (JSON Schema 2020-12).
#[must_use]
pub(crate) fn json_schema() -> Value {
    let mut definitions = Definitions::default();
    let root = definitions.object(&TOP);
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Banyan configuration",
        "description": "A configuration of MOSN 1.4, with the keys of Banyan's own. Keys may be \
                        written in any letter case; here each has its canonical one.",
    });
    if let (Value::Object(schema), Value::Object(root)) = (&mut schema, root) {
        schema.extend(root);
        let known = definitions.known.into_values();
        let mut known: Vec<_> = known.map(|known| (known.name, known.schema)).collect();
        known.sort_by(|a, b| a.0.cmp(&b.0));
        let known: Map<String, Value> = known.into_iter().collect();
        schema.insert("$defs".to_owned(), Value::Object(known));
    }
    schema
}

/// What is said once and referred to wherever it stands.
#[derive(Default)]
struct Definitions {
    /// By the address of the table.
    known: HashMap<usize, Definition>,
}

struct Definition {
    name: String,
    schema: Value,
}

impl Definitions {
    fn shape(&mut self, shape: Shape, key: &str) -> Value {
        match shape {
            Shape::Bool => json!({ "type": ["boolean", "null"] }),
            Shape::Integer(min, max) => integer(min, max),
            Shape::Float => json!({ "type": ["number", "null"] }),
            Shape::Text | Shape::Secret => json!({ "type": ["string", "null"] }),
            Shape::IntegerOrText => json!({ "type": ["integer", "string", "null"] }),
            Shape::Duration(null) => duration(null),
            Shape::ByteSize => json!({ "type": ["string", "null"], "pattern": BYTE_SIZE }),
            Shape::List(of) => {
                json!({ "type": ["array", "null"], "items": self.shape(*of, key) })
            }
            Shape::Map(of) => json!({
                "type": ["object", "null"],
                "additionalProperties": self.shape(*of, key),
            }),
            Shape::Object(schema) => self.reference(address(schema), key, |all| all.object(schema)),
            Shape::Tagged(tagged) => self.reference(address(tagged), key, |all| all.tagged(tagged)),
            Shape::Free => json!({}),
        }
    }

    /// Refers to the definition of a table, which is made the first time it is met.
    fn reference(
        &mut self,
        table: usize,
        key: &str,
        make: impl FnOnce(&mut Self) -> Value,
    ) -> Value {
        if !self.known.contains_key(&table) {
            let name = self.free_name(key);
            // It stands before it is whole: a table may come to contain itself.
            let schema = Value::Null;
            self.known.insert(table, Definition { name, schema });
            let schema = make(self);
            if let Some(known) = self.known.get_mut(&table) {
                known.schema = schema;
            }
        }
        let name = &self.known[&table].name;
        json!({ "anyOf": [{ "$ref": format!("#/$defs/{name}") }, { "type": "null" }] })
    }

    /// The key that first leads to a table names it.
    fn free_name(&self, key: &str) -> String {
        let taken = |name: &str| self.known.values().any(|known| known.name == name);
        let numbered = (2..).map(|n| format!("{key}_{n}"));
        let mut names = std::iter::once(key.to_owned()).chain(numbered);
        names
            .find(|name| !taken(name))
            .expect("there is always another number")
    }

    fn object(&mut self, schema: &'static Schema) -> Value {
        json!({
            "type": "object",
            "properties": self.properties(schema, None),
            "additionalProperties": false,
        })
    }

    fn properties(&mut self, schema: &'static Schema, tagged: Option<&Tagged>) -> Value {
        let properties = schema.keys.iter().map(|key| {
            let shape = match tagged {
                Some(tagged) if key.name == tagged.tag => names(tagged),
                _ => self.shape(key.shape, key.name),
            };
            (key.name.to_owned(), with_effect(shape, key))
        });
        Value::Object(properties.collect())
    }

    /// One whose content follows from its tag.
    fn tagged(&mut self, tagged: &'static Tagged) -> Value {
        let rules: Vec<_> = tagged
            .variants
            .iter()
            .map(|variant| {
                let Variant { name, content, .. } = *variant;
                json!({
                    "if": { "required": [tagged.tag], "properties": { tagged.tag: { "const": name } } },
                    "then": { "properties": { tagged.content: self.shape(content, name) } },
                })
            })
            .collect();
        json!({
            "type": "object",
            "properties": self.properties(tagged.schema, Some(tagged)),
            "additionalProperties": false,
            "allOf": rules,
        })
    }
}

/// Known names first, for completion; an application may have more of its own.
fn names(tagged: &Tagged) -> Value {
    let known: Vec<_> = tagged.variants.iter().map(|variant| variant.name).collect();
    json!({ "anyOf": [{ "enum": known }, { "type": ["string", "null"] }] })
}

fn integer(min: i64, max: i64) -> Value {
    let mut schema = json!({ "type": ["integer", "null"] });
    if min != i64::MIN {
        schema["minimum"] = min.into();
    }
    if max != i64::MAX {
        schema["maximum"] = max.into();
    }
    schema
}

fn duration(null: Null) -> Value {
    let text = json!({ "type": "string", "pattern": DURATION });
    let zero = json!({ "const": 0 });
    match null {
        Null::Default => json!({ "anyOf": [text, zero, { "type": "null" }] }),
        Null::Refused => json!({ "anyOf": [text, zero] }),
    }
}

fn with_effect(mut schema: Value, key: &Key) -> Value {
    let said = match key.effect {
        Effect::Now => return schema,
        Effect::Later | Effect::LaterIf(_) => "Not yet in effect.",
        Effect::Never => "Has no effect, nor has it in MOSN.",
    };
    schema["description"] = said.into();
    schema
}

fn address<T>(table: &'static T) -> usize {
    std::ptr::from_ref(table).addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_to_a_definition() {
        let schema = json_schema();
        let text = schema.to_string();
        let definitions = schema["$defs"].as_object().unwrap();
        let references: Vec<_> = text.split("\"#/$defs/").skip(1).collect();
        assert!(references.len() > definitions.len());
        for reference in references {
            let name = reference.split('"').next().unwrap();
            assert!(definitions[name].is_object(), "{name}");
        }
    }

    #[test]
    fn a_key_without_effect_says_so() {
        let admin = &json_schema()["properties"]["wasm_global_plugins"];
        assert_eq!(admin["description"], "Not yet in effect.");
    }
}
