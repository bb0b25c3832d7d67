//! A document with each known key under its table's name and given once, as the walk reads it.

use std::sync::Arc;

use super::shape::{Schema, Shape, Tagged};
use super::value::{Kind, Member, Value};

/// Renames what `schema` knows to its names, merges what is given twice, and leaves out what is
/// `null`; keys that nothing reads stay as they were written. A walk of the result finds the same,
/// but for keys given twice.
pub(crate) fn canonical(value: &Value, schema: &'static Schema) -> Value {
    of(value, Shape::Object(schema))
}

fn of(value: &Value, shape: Shape) -> Value {
    let kind = match (shape, &value.kind) {
        (Shape::List(of_items), Kind::Array(items)) => {
            let items = items.iter().map(|item| of(item, *of_items));
            Kind::Array(items.collect())
        }
        (Shape::Object(schema), Kind::Object(members)) => {
            Kind::Object(fields(members, schema, None).into())
        }
        (Shape::Tagged(tagged), Kind::Object(members)) => {
            Kind::Object(fields(members, tagged.schema, Some(tagged)).into())
        }
        (Shape::Map(of_values), Kind::Object(members)) => {
            let mut found = Vec::new();
            for member in members.iter() {
                put(
                    &mut found,
                    entry(&member.key, member, of(&member.value, *of_values)),
                );
            }
            Kind::Object(found.into())
        }
        (_, kind) => kind.clone(),
    };
    Value {
        kind,
        place: value.place,
    }
}

fn fields(
    members: &[Member],
    schema: &'static Schema,
    tagged: Option<&'static Tagged>,
) -> Vec<Member> {
    let content = tagged.map(|tagged| (tagged.content, tagged.content_of(members)));
    let mut found = Vec::new();
    for member in members {
        let Some(key) = schema.find(&member.key) else {
            put(&mut found, member.clone());
            continue;
        };
        let shape = match content {
            Some((name, shape)) if name == key.name => shape,
            _ => key.shape,
        };
        if matches!(member.value.kind, Kind::Null) && !matches!(shape, Shape::Duration(_)) {
            continue;
        }
        merge(
            &mut found,
            entry(key.name, member, of(&member.value, shape)),
            shape,
        );
    }
    found
}

fn entry(key: &str, written: &Member, value: Value) -> Member {
    Member {
        key: key.into(),
        place: written.place,
        value,
    }
}

/// Replaces an earlier value.
fn put(members: &mut Vec<Member>, later: Member) {
    match members.iter_mut().find(|earlier| earlier.key == later.key) {
        Some(earlier) => *earlier = later,
        None => members.push(later),
    }
}

/// Replaces an earlier value too, but for objects, of which each key counts by itself.
fn merge(members: &mut Vec<Member>, later: Member, shape: Shape) {
    let earlier = members.iter_mut().find(|earlier| earlier.key == later.key);
    let of_key = |key: &str| match shape {
        Shape::Object(schema) => schema.find(key).map(|key| key.shape),
        Shape::Tagged(tagged) => tagged.schema.find(key).map(|key| key.shape),
        _ => None,
    };
    match earlier {
        None => members.push(later),
        Some(earlier) => match (&mut earlier.value.kind, later.value.kind) {
            (Kind::Object(fields), Kind::Object(more))
                if matches!(shape, Shape::Object(_) | Shape::Tagged(_) | Shape::Map(_)) =>
            {
                let fields = Arc::make_mut(fields);
                for field in more.iter() {
                    let shape = of_key(&field.key).unwrap_or(Shape::Free);
                    merge(fields, field.clone(), shape);
                }
            }
            (_, kind) => {
                let place = later.value.place;
                *earlier = Member {
                    value: Value { kind, place },
                    ..later
                };
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::{json, keys};
    use super::*;

    fn canonical_text(text: &str) -> String {
        canonical(&json::read(text).unwrap(), &keys::TOP)
            .to_json()
            .to_string()
    }

    #[test]
    fn known_keys_get_their_names_and_count_once() {
        for (written, expected) in [
            (
                r#"{"SERVERS":[{"Routers":[]}]}"#,
                r#"{"servers":[{"routers":[]}]}"#,
            ),
            (r#"{"pid":"a","PID":"b"}"#, r#"{"pid":"b"}"#),
            (r#"{"pid":"a","Pid":null}"#, r#"{"pid":"a"}"#),
            (r#"{"unKnown":{"A":null}}"#, r#"{"unKnown":{"A":null}}"#),
            (
                r#"{"admin":{"address":{}},"Admin":{"Address":{"socket_address":{"PORT_value":1}}}}"#,
                r#"{"admin":{"address":{"socket_address":{"port_value":1}}}}"#,
            ),
            (
                r#"{"cluster_manager":{"clusters":[{"Name":"a"}]},"cluster_Manager":{"clusters":[]}}"#,
                r#"{"cluster_manager":{"clusters":[]}}"#,
            ),
        ] {
            assert_eq!(canonical_text(written), expected, "{written}");
        }
    }

    #[test]
    fn the_content_of_a_filter_is_read_by_its_type() {
        let written = r#"{"servers":[{"listeners":[{"filter_chains":[{"filters":[
            {"Config":{"Router_Config_Name":"r","Extend":1},"TYPE":"proxy"}]}]}]}]}"#;
        assert!(
            canonical_text(written)
                .contains(r#"{"config":{"router_config_name":"r","Extend":1},"type":"proxy"}"#)
        );
    }
}
