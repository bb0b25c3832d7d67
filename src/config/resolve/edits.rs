//! Changes of header fields: the four lists that routes, virtual hosts and routers have.

use super::Scope;
use super::text::{field_name, field_value, unsaid};
use crate::config::diagnostics::Code;
use crate::config::plan::{Addition, Edits, Existing, HeaderEdits, Template, Variable};
use crate::config::raw::Cursor;

/// What tells where a message ends is the proxy's own business.
const FRAMING: [&str; 2] = ["content-length", "transfer-encoding"];

pub(super) fn edits(at: &Cursor<'_>, scope: &mut Scope<'_>) -> HeaderEdits {
    HeaderEdits {
        request: Edits {
            add: additions(at, "request_headers_to_add", scope),
            remove: removals(at, "request_headers_to_remove", scope),
        },
        response: Edits {
            add: additions(at, "response_headers_to_add", scope),
            remove: removals(at, "response_headers_to_remove", scope),
        },
    }
}

fn additions(at: &Cursor<'_>, list: &str, scope: &mut Scope<'_>) -> Vec<Addition> {
    let written = at.list(list);
    let additions = written.iter().filter_map(|at| addition(at, scope));
    additions.collect()
}

fn addition(at: &Cursor<'_>, scope: &mut Scope<'_>) -> Option<Addition> {
    let Some(header) = at.get("header").filter(|header| !header.is_wrong()) else {
        if unsaid(at, "header") {
            let diagnostic = at.error(Code::MissingKey, "a field to add needs a `header`");
            scope.push(diagnostic.accepted("{\"header\": {\"key\": …, \"value\": …}}"));
        }
        return None;
    };
    let Some((key, key_at)) = header.text("key") else {
        if unsaid(&header, "key") {
            scope.push(header.error(Code::MissingKey, "a `header` needs a `key`"));
        }
        return None;
    };
    let value = match header.text("value") {
        Some((text, at)) => template(text, &at, scope),
        None => Some(Template::Text(String::new())),
    };
    let name = field_name(key, &key_at, scope)?;
    if FRAMING.contains(&&*name) {
        let message = "the proxy itself says how long a message is";
        scope.push(key_at.error(Code::BadHeader, message).found(key_at.brief()));
        return None;
    }
    let existing = match at.switch("append") {
        Some(false) => Existing::Replace,
        Some(true) | None => Existing::Append,
    };
    Some(Addition {
        name,
        value: value?,
        existing,
    })
}

/// A value that is nothing but `%name%` stands for the variable's, when there is one.
fn template(text: &str, at: &Cursor<'_>, scope: &mut Scope<'_>) -> Option<Template> {
    let inner = text
        .strip_prefix('%')
        .and_then(|rest| rest.strip_suffix('%'));
    if let Some(name) = inner.filter(|name| !name.is_empty() && !name.contains('%')) {
        match scope.variable(name, at, "the text is taken as it is") {
            Variable::Unknown(_) => {}
            variable => return Some(Template::Value(variable)),
        }
    }
    field_value(text, at, scope).map(|text| Template::Text(text.to_owned()))
}

fn removals(at: &Cursor<'_>, list: &str, scope: &mut Scope<'_>) -> Vec<String> {
    let mut names = Vec::new();
    for at in at.list(list) {
        let Some(name) = at.as_text().and_then(|name| field_name(name, &at, scope)) else {
            continue;
        };
        if FRAMING.contains(&&*name) {
            let message = "the proxy itself says how long a message is; this is not removed";
            scope.push(at.note(Code::NoEffect, message).found(at.brief()));
        } else {
            names.push(name);
        }
    }
    names
}
