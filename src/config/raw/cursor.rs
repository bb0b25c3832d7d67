//! A place in a checked document, from which resolution reads.

use std::collections::HashSet;

use super::node::{Node, NodeKind};
use super::path::Path;
use super::value::{Kind, Place, Value};
use crate::config::diagnostics::{Code, Diagnostic, Severity};
use crate::config::duration::GoDuration;

#[derive(Clone)]
pub(crate) struct Cursor<'a> {
    node: &'a Node<'a>,
    path: Path<'a>,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(node: &'a Node<'a>, path: Path<'a>) -> Self {
        Self { node, path }
    }

    /// What stands under a key, of the right type or not; `None` when nothing does.
    pub(crate) fn get(&self, name: &str) -> Option<Self> {
        let (NodeKind::Object(fields) | NodeKind::Map(fields)) = &self.node.kind else {
            return None;
        };
        let field = fields.iter().rev().find(|field| field.name == name)?;
        match field.node.kind {
            NodeKind::Absent => None,
            _ => Some(Self::new(&field.node, self.path.key(field.written))),
        }
    }

    /// What stands under a key, unless it says no more than its absence would.
    pub(crate) fn filled(&self, name: &str) -> Option<Self> {
        self.get(name).filter(|at| !at.node.source.is_empty())
    }

    /// The text under a key, unless it is empty: Go cannot tell that from absence.
    pub(crate) fn text(&self, name: &str) -> Option<(&'a str, Self)> {
        let at = self.get(name)?;
        match at.node.kind {
            NodeKind::Text(text) if !text.is_empty() => Some((text, at)),
            _ => None,
        }
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.switch(name) == Some(true)
    }

    /// The same, where absence means something else than `false`.
    pub(crate) fn switch(&self, name: &str) -> Option<bool> {
        match self.get(name)?.node.kind {
            NodeKind::Bool(flag) => Some(flag),
            _ => None,
        }
    }

    pub(crate) fn integer(&self, name: &str) -> Option<(i64, Self)> {
        let at = self.get(name)?;
        at.as_integer().map(|number| (number, at))
    }

    pub(crate) fn as_integer(&self) -> Option<i64> {
        match self.node.kind {
            NodeKind::Integer(number) => Some(number),
            _ => None,
        }
    }

    pub(crate) fn number(&self, name: &str) -> Option<(f64, Self)> {
        let at = self.get(name)?;
        match (&at.node.kind, &at.node.source.kind) {
            (NodeKind::Opaque, Kind::Number(text)) => {
                let number = text.parse().ok()?;
                Some((number, at))
            }
            _ => None,
        }
    }

    pub(crate) fn as_text(&self) -> Option<&'a str> {
        match (&self.node.kind, &self.node.source.kind) {
            (NodeKind::Text(text), _) => Some(text),
            (NodeKind::Opaque, Kind::String(text)) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn duration(&self, name: &str) -> Option<(GoDuration, Self)> {
        let at = self.get(name)?;
        match at.node.kind {
            NodeKind::Duration(duration) => Some((duration, at)),
            _ => None,
        }
    }

    /// The elements of an array under a key; none when there is no array.
    pub(crate) fn list(&self, name: &str) -> Vec<Self> {
        self.get(name).map_or_else(Vec::new, |at| at.items())
    }

    /// The members of a map, in the order of the file, each key once.
    pub(crate) fn members(&self) -> Vec<(&'a str, Self)> {
        let NodeKind::Map(fields) = &self.node.kind else {
            return Vec::new();
        };
        let mut seen = HashSet::new();
        let last = fields.iter().rev().filter(|field| seen.insert(field.name));
        let mut members: Vec<_> = last
            .filter(|field| !matches!(field.node.kind, NodeKind::Absent))
            .map(|field| {
                let at = Self::new(&field.node, self.path.key(field.written));
                (field.name, at)
            })
            .collect();
        members.reverse();
        members
    }

    /// The elements of what stands here, when it is an array.
    pub(crate) fn items(&self) -> Vec<Self> {
        let NodeKind::List(items) = &self.node.kind else {
            return Vec::new();
        };
        let enumerated = items.iter().enumerate();
        enumerated
            .map(|(index, item)| Self::new(item, self.path.index(index)))
            .collect()
    }

    /// What was written here, for those who hold it against a table of their own.
    pub(crate) fn source(&self) -> &'a Value {
        self.node.source
    }

    pub(crate) fn path(&self) -> &Path<'a> {
        &self.path
    }

    /// Whether its type was wrong, which was said already.
    pub(crate) fn is_wrong(&self) -> bool {
        matches!(self.node.kind, NodeKind::Wrong)
    }

    pub(crate) fn place(&self) -> Place {
        self.node.source.place
    }

    /// What stands here, in at most a line.
    pub(crate) fn brief(&self) -> String {
        self.node.source.brief()
    }

    /// A finding about what stands here.
    pub(crate) fn finding(
        &self,
        severity: Severity,
        code: Code,
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::new(severity, code, (&self.path, self.place()), message)
    }

    pub(crate) fn error(&self, code: Code, message: impl Into<String>) -> Diagnostic {
        self.finding(Severity::Error, code, message)
    }

    pub(crate) fn warning(&self, code: Code, message: impl Into<String>) -> Diagnostic {
        self.finding(Severity::Warning, code, message)
    }

    pub(crate) fn note(&self, code: Code, message: impl Into<String>) -> Diagnostic {
        self.finding(Severity::Note, code, message)
    }
}
