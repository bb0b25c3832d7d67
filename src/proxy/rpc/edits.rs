//! Changes of headers: those that routes ask for, and those that filters have made.

use crate::config::{Edits, Existing, Template, Variable};
use crate::protocol::http1::Fields;
use crate::protocol::rpc::Edit;

/// One change, with its own text.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Change {
    Remove(Vec<u8>),
    Set(Vec<u8>, Vec<u8>),
    Append(Vec<u8>, Vec<u8>),
}

impl Change {
    pub(super) fn as_edit(&self) -> Edit<'_> {
        match self {
            Self::Remove(name) => Edit::Remove(name),
            Self::Set(name, value) => Edit::Set(name, value),
            Self::Append(name, value) => Edit::Append(name, value),
        }
    }
}

/// What the scopes ask for: route, virtual host, router. Each adds, then removes. `value` appends to
/// the buffer what a variable is worth.
pub(super) fn wanted(
    scopes: [&Edits; 3],
    mut value: impl FnMut(&Variable, &mut Vec<u8>),
) -> Vec<Change> {
    let mut changes = Vec::new();
    for scope in scopes {
        for addition in &scope.add {
            let name = addition.name.clone().into_bytes();
            let mut text = Vec::new();
            match &addition.value {
                Template::Text(fixed) => text.extend_from_slice(fixed.as_bytes()),
                Template::Value(variable) => value(variable, &mut text),
            }
            changes.push(match addition.existing {
                Existing::Replace => Change::Set(name, text),
                Existing::Append => Change::Append(name, text),
            });
        }
        let removed = scope.remove.iter().map(|name| name.clone().into_bytes());
        changes.extend(removed.map(Change::Remove));
    }
    changes
}

/// What leads from `before` to `after`.
pub(super) fn between(before: &Fields, after: &Fields) -> Vec<Change> {
    let has = |fields: &Fields, name: &[u8], value: Option<&[u8]>| {
        fields
            .iter()
            .any(|(of, is)| of == name && value.is_none_or(|value| value == is))
    };
    let gone = before.iter().filter(|(name, _)| !has(after, name, None));
    let gone = gone.map(|(name, _)| Change::Remove(name.to_vec()));
    let new = after
        .iter()
        .filter(|(name, value)| !has(before, name, Some(value)));
    let new = new.map(|(name, value)| Change::Set(name.to_vec(), value.to_vec()));
    gone.chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Addition;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in pairs {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        fields
    }

    #[test]
    fn a_scope_adds_before_it_removes() {
        let addition = |name: &str, existing| Addition {
            name: name.to_owned(),
            value: Template::Value(Variable::RequestField("of".to_owned())),
            existing,
        };
        let scope = Edits {
            add: vec![
                addition("a", Existing::Append),
                addition("b", Existing::Replace),
            ],
            remove: vec!["c".to_owned()],
        };
        let empty = Edits::default();
        let changes = wanted([&empty, &scope, &empty], |_, out| out.push(b'1'));
        let expected = [
            Change::Append(b"a".to_vec(), b"1".to_vec()),
            Change::Set(b"b".to_vec(), b"1".to_vec()),
            Change::Remove(b"c".to_vec()),
        ];
        assert_eq!(changes, expected);
    }

    #[test]
    fn only_what_differs_is_a_change() {
        let before = fields(&[("a", "1"), ("b", "2"), ("c", "3")]);
        let after = fields(&[("a", "1"), ("c", "4"), ("d", "5")]);
        let expected = [
            Change::Remove(b"b".to_vec()),
            Change::Set(b"c".to_vec(), b"4".to_vec()),
            Change::Set(b"d".to_vec(), b"5".to_vec()),
        ];
        assert_eq!(between(&before, &after), expected);
        assert_eq!(between(&before, &before), []);
    }
}
