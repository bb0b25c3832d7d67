//! Texts that end up in messages or are held against them: fields, patterns, statuses.

use super::Scope;
use crate::config::diagnostics::{Code, Severity};
use crate::config::plan::{FieldMatch, Pattern, TextMatch};
use crate::config::raw::{Cursor, quote};

/// What a rule takes a field match named `method` for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum MethodIs {
    /// The request's method.
    Method,
    /// A field as every other one.
    Field,
}

/// The compiled pattern; an error says what is wrong with it.
pub(super) fn pattern(text: &str, at: &Cursor<'_>, scope: &mut Scope<'_>) -> Option<Pattern> {
    match Pattern::new(text) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let message = format!("this is no regular expression: {error}");
            let diagnostic = at.error(Code::BadPattern, message);
            scope.push(diagnostic.found(at.brief()).accepted("RE2's syntax"));
            None
        }
    }
}

/// A field's name in lower case; an error says that it is none.
pub(super) fn field_name(name: &str, at: &Cursor<'_>, scope: &mut Scope<'_>) -> Option<String> {
    if is_token(name) {
        return Some(name.to_ascii_lowercase());
    }
    let diagnostic = at.error(Code::BadHeader, "this is no name of a header field");
    scope.push(
        diagnostic
            .found(quote(name))
            .accepted("letters, digits and !#$%&'*+-.^_`|~"),
    );
    None
}

/// Whether it is a token, as names of fields and methods are (RFC 9110, section 5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_part)
}

/// A text that may stand in a field's value; an error says that it may not.
pub(super) fn field_value<'t>(
    text: &'t str,
    at: &Cursor<'_>,
    scope: &mut Scope<'_>,
) -> Option<&'t str> {
    if !text.chars().any(|c| c.is_ascii_control() && c != '\t') {
        return Some(text);
    }
    let message = "a control character cannot stand in a header field";
    scope.push(at.error(Code::BadHeader, message).found(at.brief()));
    None
}

/// A status of the proxy's own replies; an error says that it is none.
pub(super) fn status(written: i64, at: &Cursor<'_>, scope: &mut Scope<'_>) -> Option<u16> {
    let status = u16::try_from(written).ok();
    let status = status.filter(|status| (200..=999).contains(status));
    if status.is_none() {
        let diagnostic = at.error(Code::OutOfRange, "no response has this status");
        scope.push(
            diagnostic
                .found(at.brief())
                .accepted("an integer from 200 to 999"),
        );
    }
    status
}

/// How many of a hundred; more than a hundred are a hundred, with a warning.
pub(super) fn percent(written: i64, at: &Cursor<'_>, scope: &mut Scope<'_>) -> u8 {
    match u8::try_from(written) {
        Ok(percent @ 0..=100) => percent,
        _ => {
            let diagnostic = at.warning(Code::OutOfRange, "100 of a hundred are taken");
            scope.push(
                diagnostic
                    .found(at.brief())
                    .accepted("an integer from 0 to 100"),
            );
            100
        }
    }
}

/// Whether nothing was said about `name` yet: neither it nor what holds it has a wrong type.
pub(super) fn unsaid(at: &Cursor<'_>, name: &str) -> bool {
    !at.is_wrong() && !at.get(name).is_some_and(|at| at.is_wrong())
}

/// Says that `at` does nothing where `stronger` is given.
pub(super) fn not_looked_at(name: &str, at: &Cursor<'_>, stronger: &str, scope: &mut Scope<'_>) {
    scope.diagnostics.push_with(Severity::Note, || {
        let message = format!("`{name}` is not looked at where `{stronger}` is given");
        at.note(Code::NoEffect, message)
    });
}

/// `headers`: what a request must have.
pub(super) fn fields(
    rule: &Cursor<'_>,
    method: MethodIs,
    scope: &mut Scope<'_>,
) -> Vec<FieldMatch> {
    let headers = rule.list("headers");
    let matches = headers.iter().filter_map(|at| field(at, method, scope));
    matches.collect()
}

fn field(at: &Cursor<'_>, method: MethodIs, scope: &mut Scope<'_>) -> Option<FieldMatch> {
    let Some((name, name_at)) = at.text("name") else {
        if unsaid(at, "name") {
            scope.push(at.error(Code::MissingKey, "a header match needs a `name`"));
        }
        return None;
    };
    let (value, value_at) = at.text("value").unwrap_or_else(|| ("", at.clone()));
    if method == MethodIs::Method && name.eq_ignore_ascii_case("method") {
        return Some(FieldMatch::Method(value.to_owned()));
    }
    let text = if at.flag("regex") {
        TextMatch::Regex(pattern(value, &value_at, scope)?)
    } else {
        TextMatch::Exact(value.to_owned())
    };
    Some(FieldMatch::Field(field_name(name, &name_at, scope)?, text))
}
