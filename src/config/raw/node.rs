//! A document held against its tables: known keys under their proper names, values of their type.

use super::value::Value;
use crate::config::duration::GoDuration;

#[derive(Debug)]
pub(crate) struct Node<'a> {
    pub(crate) source: &'a Value,
    pub(crate) kind: NodeKind<'a>,
}

#[derive(Debug)]
pub(crate) enum NodeKind<'a> {
    /// As if it were not there.
    Absent,
    /// Of another type than its key's; said already.
    Wrong,
    Bool(bool),
    Integer(i64),
    Text(&'a str),
    Duration(GoDuration),
    List(Vec<Node<'a>>),
    Object(Vec<Field<'a>>),
    /// Any keys, as written; of two with one name the later one counts.
    Map(Vec<Field<'a>>),
    /// What is checked and not read.
    Opaque,
}

#[derive(Debug)]
pub(crate) struct Field<'a> {
    /// The name in the table; in a map the name in the file.
    pub(crate) name: &'a str,
    /// The name in the file.
    pub(crate) written: &'a str,
    pub(crate) node: Node<'a>,
}

/// Adds what `later` says to what `fields` said: a later value replaces an earlier one, objects are
/// merged, and an absent one changes nothing.
pub(crate) fn merge<'a>(fields: &mut Vec<Field<'a>>, later: Field<'a>) {
    let Some(earlier) = fields.iter_mut().find(|field| field.name == later.name) else {
        fields.push(later);
        return;
    };
    let is_object = |kind: &NodeKind<'_>| matches!(kind, NodeKind::Object(_) | NodeKind::Map(_));
    if earlier.node.source.is_empty() && is_object(&later.node.kind) {
        // The later one is what says something.
        earlier.node.source = later.node.source;
    }
    match (&mut earlier.node.kind, later.node.kind) {
        (_, NodeKind::Absent) => {}
        (NodeKind::Object(fields), NodeKind::Object(more)) => {
            more.into_iter().for_each(|field| merge(fields, field));
        }
        (NodeKind::Map(fields), NodeKind::Map(more)) => fields.extend(more),
        (_, kind) => {
            *earlier = Field {
                node: Node {
                    source: later.node.source,
                    kind,
                },
                ..later
            };
        }
    }
}
