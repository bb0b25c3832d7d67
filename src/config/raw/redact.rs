//! A document as others may see it: without its secrets.

use std::sync::Arc;

use super::fold::folds;
use super::shape::{Schema, Shape};
use super::value::{Kind, Member, Value};

/// What stands in the place of a secret.
pub(crate) const REDACTED: &str = "(redacted)";

/// Keys whose values are secrets wherever no table says what they are: in extensions, in what
/// nobody reads, and where somebody put them by mistake.
const NAMES: [&str; 10] = [
    "private_key",
    "password",
    "passwd",
    "secret",
    "token",
    "access_token",
    "api_key",
    "authentication",
    "inline_bytes",
    "inline_string",
];

/// The document without its secrets: those of a key that the tables know as one, and those that
/// have a secret's name.
pub(crate) fn redacted(value: &Value, schema: &'static Schema) -> Value {
    of(value, Shape::Object(schema))
}

/// Whether what is to be put in has a redacted secret in it: it would replace the real one.
pub(crate) fn is_redacted(value: &Value) -> bool {
    match &value.kind {
        Kind::String(text) => &**text == REDACTED,
        Kind::Array(items) => items.iter().any(is_redacted),
        Kind::Object(members) => members.iter().any(|member| is_redacted(&member.value)),
        _ => false,
    }
}

fn of(value: &Value, shape: Shape) -> Value {
    let kind = match (shape, &value.kind) {
        (Shape::Secret, _) if !value.is_empty() => Kind::String(REDACTED.into()),
        (shape, Kind::Array(items)) => {
            let shape = match shape {
                Shape::List(of_items) => *of_items,
                _ => Shape::Free,
            };
            Kind::Array(items.iter().map(|item| of(item, shape)).collect())
        }
        (shape, Kind::Object(members)) => Kind::Object(Arc::new(
            members
                .iter()
                .map(|member| Member {
                    value: of(&member.value, shape_of(shape, members, member)),
                    ..member.clone()
                })
                .collect(),
        )),
        (_, kind) => kind.clone(),
    };
    Value {
        kind,
        place: value.place,
    }
}

fn shape_of(shape: Shape, members: &[Member], member: &Member) -> Shape {
    let known = match shape {
        Shape::Object(schema) => schema.find(&member.key).map(|key| key.shape),
        Shape::Tagged(tagged) => tagged.schema.find(&member.key).map(|key| match key.name {
            name if name == tagged.content => tagged.content_of(members),
            _ => key.shape,
        }),
        Shape::Map(of_values) => Some(*of_values),
        _ => None,
    };
    let named = || NAMES.iter().any(|name| folds(&member.key, name));
    match known {
        None | Some(Shape::Free) if named() => Shape::Secret,
        known => known.unwrap_or(Shape::Free),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{json, keys};
    use super::*;

    #[test]
    fn no_section_shows_a_secret() {
        const KEY: &str = "-----BEGIN";
        let tls = format!(r#"{{"status":true,"cert_chain":"public","private_key":"{KEY}"}}"#);
        let text = format!(
            r#"{{
            "servers":[{{"listeners":[{{"filter_chains":[
                {{"tls_context":{tls},"tls_context_set":[{tls}],"PRIVATE_key":"{KEY}"}}]}}]}}],
            "cluster_manager":{{"TLS_Context":{tls},"clusters":[{{"tls_context":{tls},
                "check":{{"deep":[{{"Token":"{KEY}"}}]}}}}]}},
            "extends":[{{"type":"tunnel_agent","config":{{"tls_context":{tls}}}}},
                {{"type":"own","config":{{"password":["{KEY}"]}}}}],
            "tracing":{{"driver":"SkyWalking","config":{{"authentication":"{KEY}"}}}}
        }}"#
        );
        let shown = redacted(&json::read(&text).unwrap(), &keys::TOP)
            .to_json()
            .to_string();
        assert!(!shown.contains(KEY), "{shown}");
        assert_eq!(shown.matches("public").count(), 5, "{shown}");
        assert_eq!(shown.matches(REDACTED).count(), 9, "{shown}");
    }

    #[test]
    fn nothing_is_redacted_where_nothing_is() {
        let text = r#"{"cluster_manager":{"tls_context":{"private_key":""}},"pid":"a"}"#;
        let value = json::read(text).unwrap();
        assert_eq!(redacted(&value, &keys::TOP), value);
        assert!(!is_redacted(&value));
    }
}
