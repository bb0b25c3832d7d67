//! Holds a document against the tables: says what is unknown, of the wrong type, given twice or not
//! yet in effect, and gives back what is left.

use super::fold::nearest;
use super::node::{Field, Node, NodeKind, merge};
use super::path::Path;
use super::shape::{Effect, Key, Null, Schema, Shape, Tagged, Variant};
use super::value::{Kind, Member, Value, quote, shorten};
use crate::config::bytes::ByteSize;
use crate::config::diagnostics::{Code, Diagnostic, Diagnostics, Severity};
use crate::config::duration::GoDuration;
use crate::config::list::List;

/// Holds `value` against `schema`. Every finding is pushed; none stops the walk.
///
/// A value of the wrong type is as grave as `mismatch` says.
pub(crate) fn walk<'a>(
    value: &'a Value,
    schema: &'static Schema,
    path: &Path<'a>,
    mismatch: Severity,
    diagnostics: &mut Diagnostics,
) -> Node<'a> {
    let mut walk = Walk {
        diagnostics,
        mismatch,
        effects: Effects::Said,
    };
    match value.kind {
        // A document of nothing is one in which nothing is set.
        Kind::Null => Node {
            source: value,
            kind: NodeKind::Object(Vec::new()),
        },
        _ => walk.node(value, Shape::Object(schema), path),
    }
}

struct Walk<'d> {
    diagnostics: &'d mut Diagnostics,
    /// How grave a value of the wrong type is here.
    mismatch: Severity,
    effects: Effects,
}

/// Whether keys without effect are worth a word: not below one that has none itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effects {
    Said,
    Implied,
}

impl Walk<'_> {
    fn node<'a>(&mut self, value: &'a Value, shape: Shape, path: &Path<'a>) -> Node<'a> {
        let kind = match (shape, &value.kind) {
            (Shape::Duration(Null::Refused), Kind::Null) => self.duration(value, path),
            (_, Kind::Null) => NodeKind::Absent,
            (Shape::Duration(_), _) => self.duration(value, path),
            (Shape::Bool, Kind::Bool(flag)) => NodeKind::Bool(*flag),
            (Shape::Integer(min, max), Kind::Number(text)) => {
                self.integer(value, text, (min, max), path)
            }
            (Shape::IntegerOrText, Kind::Number(text)) => {
                self.integer(value, text, (i64::MIN, i64::MAX), path)
            }
            (Shape::Float, Kind::Number(_)) | (Shape::Free, _) => NodeKind::Opaque,
            (Shape::Text | Shape::Secret | Shape::IntegerOrText, Kind::String(text)) => {
                NodeKind::Text(text)
            }
            (Shape::ByteSize, Kind::String(text)) => self.byte_size(value, text, path),
            (Shape::List(of), Kind::Array(items)) => NodeKind::List(self.items(items, *of, path)),
            (Shape::Object(schema), Kind::Object(members)) => {
                NodeKind::Object(self.fields(members, schema, None, path))
            }
            (Shape::Map(of), Kind::Object(members)) => {
                NodeKind::Map(self.members(members, *of, path))
            }
            (Shape::Tagged(tagged), Kind::Object(members)) => {
                NodeKind::Object(self.tagged(members, tagged, path))
            }
            _ => self.wrong_type(value, shape, path),
        };
        Node {
            source: value,
            kind,
        }
    }

    fn items<'a>(&mut self, items: &'a List<Value>, of: Shape, path: &Path<'a>) -> Vec<Node<'a>> {
        let enumerated = items.iter().enumerate();
        enumerated
            .map(|(index, item)| self.node(item, of, &path.index(index)))
            .collect()
    }

    fn members<'a>(&mut self, members: &'a [Member], of: Shape, path: &Path<'a>) -> Vec<Field<'a>> {
        let fields = members.iter().map(|member| Field {
            name: &member.key,
            written: &member.key,
            node: self.node(&member.value, of, &path.key(&member.key)),
        });
        fields.collect()
    }

    fn tagged<'a>(
        &mut self,
        members: &'a [Member],
        tagged: &'static Tagged,
        path: &Path<'a>,
    ) -> Vec<Field<'a>> {
        let is_tag = |member: &&Member| {
            tagged
                .schema
                .find(&member.key)
                .is_some_and(|key| key.name == tagged.tag)
        };
        let tag = members.iter().rev().find(is_tag);
        let Some((tag, Kind::String(name))) = tag.map(|member| (member, &member.value.kind)) else {
            return self.fields(members, tagged.schema, Some((tagged, None)), path);
        };
        let variant = tagged
            .variants
            .iter()
            .find(|variant| variant.name == &**name);
        let path_of_tag = path.key(&tag.key);
        let at = (&path_of_tag, tag.value.place);
        match variant {
            None if name.is_empty() => {}
            None => self.report(Severity::Warning, || {
                let what = tagged.what;
                let message = format!("no {what} is called `{}`; it is ignored", shorten(name));
                let names = || tagged.variants.iter().map(|variant| variant.name);
                Diagnostic::new(Severity::Warning, Code::UnknownFilter, at, message)
                    .found(quote(name))
                    .accepted(names().collect::<Vec<_>>().join(", "))
                    .suggest(nearest(name, names()))
            }),
            Some(Variant {
                effect: Effect::Later | Effect::LaterIf(_),
                ..
            }) if self.effects == Effects::Said => {
                self.report(Severity::Warning, || {
                    let message = format!("the {} `{name}` is not yet in effect", tagged.what);
                    Diagnostic::new(Severity::Warning, Code::NotInEffect, at, message)
                });
            }
            Some(_) => {}
        }
        self.fields(members, tagged.schema, Some((tagged, variant)), path)
    }

    fn fields<'a>(
        &mut self,
        members: &'a [Member],
        schema: &'static Schema,
        tagged: Option<(&'static Tagged, Option<&'static Variant>)>,
        path: &Path<'a>,
    ) -> Vec<Field<'a>> {
        let mut fields: Vec<Field<'a>> = Vec::new();
        for member in members {
            let path = path.key(&member.key);
            let Some(key) = schema.find(&member.key) else {
                self.unknown_key(member, schema, &path);
                continue;
            };
            if fields.iter().any(|field| field.name == key.name) {
                self.duplicate_key(member, &path);
            }
            self.effect_of(key, member, &path);
            let node = match tagged {
                Some((tagged, variant)) if key.name == tagged.content => {
                    self.content(&member.value, variant, &path)
                }
                _ => self.below(key.effect, |walk| {
                    walk.node(&member.value, key.shape, &path)
                }),
            };
            merge(
                &mut fields,
                Field {
                    name: key.name,
                    written: &member.key,
                    node,
                },
            );
        }
        fields
    }

    fn content<'a>(
        &mut self,
        value: &'a Value,
        variant: Option<&'static Variant>,
        path: &Path<'a>,
    ) -> Node<'a> {
        let Some(variant) = variant else {
            return Node {
                source: value,
                kind: NodeKind::Opaque,
            };
        };
        let outer = std::mem::replace(&mut self.mismatch, variant.mismatch);
        let node = self.below(variant.effect, |walk| {
            walk.node(value, variant.content, path)
        });
        self.mismatch = outer;
        node
    }

    fn below<T>(&mut self, effect: Effect, inner: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.effects;
        if !matches!(effect, Effect::Now) {
            self.effects = Effects::Implied;
        }
        let result = inner(self);
        self.effects = outer;
        result
    }

    fn effect_of(&mut self, key: &Key, member: &Member, path: &Path<'_>) {
        if self.effects == Effects::Implied || member.value.is_empty() {
            return;
        }
        let (severity, code, message) = match key.effect {
            Effect::Now => return,
            Effect::LaterIf(switch) if !is_set(&member.value, switch) => return,
            Effect::Later | Effect::LaterIf(_) => {
                (Severity::Warning, Code::NotInEffect, "is not yet in effect")
            }
            Effect::Never => (
                Severity::Note,
                Code::NoEffect,
                "has no effect, nor has it in MOSN",
            ),
        };
        self.report(severity, || {
            let message = format!("`{}` {message}", key.name);
            Diagnostic::new(severity, code, (path, member.place), message)
        });
    }

    fn unknown_key(&mut self, member: &Member, schema: &'static Schema, path: &Path<'_>) {
        self.report(Severity::Warning, || {
            let message = format!("nothing reads the key `{}`", shorten(&member.key));
            let diagnostic = Diagnostic::new(
                Severity::Warning,
                Code::UnknownKey,
                (path, member.place),
                message,
            )
            .suggest(nearest(&member.key, schema.names()));
            if schema.keys.len() > 12 {
                return diagnostic;
            }
            diagnostic.accepted(schema.names().collect::<Vec<_>>().join(", "))
        });
    }

    fn duplicate_key(&mut self, member: &Member, path: &Path<'_>) {
        self.report(Severity::Warning, || {
            let message = format!(
                "`{}` is given twice; the last one counts",
                shorten(&member.key)
            );
            let at = (path, member.place);
            Diagnostic::new(Severity::Warning, Code::DuplicateKey, at, message)
        });
    }

    fn integer<'a>(
        &mut self,
        value: &'a Value,
        text: &str,
        (min, max): (i64, i64),
        path: &Path<'a>,
    ) -> NodeKind<'a> {
        let number = text.parse::<i64>().ok();
        if let Some(number) = number.filter(|number| (min..=max).contains(number)) {
            return NodeKind::Integer(number);
        }
        if text.contains(['.', 'e', 'E']) {
            return self.wrong_type(value, Shape::Integer(min, max), path);
        }
        self.mismatched(value, path, |diagnostic| {
            Diagnostic {
                code: Code::OutOfRange,
                ..diagnostic
            }
            .accepted(Shape::Integer(min, max).accepted())
        })
    }

    fn duration<'a>(&mut self, value: &'a Value, path: &Path<'a>) -> NodeKind<'a> {
        let text = match &value.kind {
            Kind::String(text) | Kind::Number(text) => &**text,
            Kind::Null => "null",
            _ => return self.wrong_type(value, Shape::Duration(Null::Refused), path),
        };
        match GoDuration::parse(text) {
            Ok(duration) => NodeKind::Duration(duration),
            Err(error) => self.mismatched(value, path, |diagnostic| {
                let number = text.parse::<u64>().ok();
                Diagnostic {
                    code: Code::BadDuration,
                    message: error.to_string(),
                    ..diagnostic
                }
                .accepted(Shape::Duration(Null::Refused).accepted())
                .suggest(number.map(|seconds| format!("\"{seconds}s\"")))
            }),
        }
    }

    fn byte_size<'a>(&mut self, value: &'a Value, text: &str, path: &Path<'a>) -> NodeKind<'a> {
        match ByteSize::parse(text) {
            Ok(_) => NodeKind::Opaque,
            Err(error) => self.mismatched(value, path, |diagnostic| {
                Diagnostic {
                    code: Code::BadByteSize,
                    message: error.to_string(),
                    ..diagnostic
                }
                .accepted(Shape::ByteSize.accepted())
            }),
        }
    }

    fn wrong_type<'a>(&mut self, value: &'a Value, shape: Shape, path: &Path<'a>) -> NodeKind<'a> {
        self.mismatched(value, path, |diagnostic| {
            diagnostic
                .accepted(shape.accepted())
                .suggest(shape.retyped(value))
        })
    }

    fn mismatched<'a>(
        &mut self,
        value: &'a Value,
        path: &Path<'a>,
        complete: impl FnOnce(Diagnostic) -> Diagnostic,
    ) -> NodeKind<'a> {
        let severity = self.mismatch;
        self.report(severity, || {
            let message = match severity {
                Severity::Error => "this value cannot stand here",
                _ => "this value cannot stand here and is ignored",
            };
            let at = (path, value.place);
            let diagnostic = Diagnostic::new(severity, Code::WrongType, at, message);
            complete(diagnostic.found(value.brief()))
        });
        NodeKind::Wrong
    }

    fn report(&mut self, severity: Severity, make: impl FnOnce() -> Diagnostic) {
        self.diagnostics.push_with(severity, make);
    }
}

fn is_set(object: &Value, switch: &str) -> bool {
    let Kind::Object(members) = &object.kind else {
        return true;
    };
    let found = members
        .iter()
        .rev()
        .find(|member| super::fold::folds(&member.key, switch));
    found.is_some_and(|member| !member.value.is_empty())
}
