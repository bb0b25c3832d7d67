//! `match`: which requests a route takes.

use super::Scope;
use super::text::{MethodIs, fields, not_looked_at, pattern, unsaid};
use crate::config::diagnostics::Code;
use crate::config::plan::{FieldMatch, Matcher, Model, Pattern, TextMatch, VariableMatch};
use crate::config::raw::{Cursor, nearest};

/// The first of these that says something is the rule's kind.
const KINDS: [&str; 5] = ["prefix", "path", "regex", "variables", "dsl_expressions"];

pub(super) fn matcher(route: &Cursor<'_>, scope: &mut Scope<'_>) -> Matcher {
    let Some(at) = route.get("match") else {
        return Matcher::Fields(Vec::new());
    };
    let mut given = KINDS.iter().filter(|kind| at.filled(kind).is_some());
    let Some(&kind) = given.next() else {
        return by_fields(&at, scope);
    };
    for weaker in given {
        let weaker_at = at.get(weaker).unwrap_or_else(|| at.clone());
        not_looked_at(weaker, &weaker_at, kind, scope);
    }
    if matches!(kind, "variables" | "dsl_expressions") {
        if let Some(headers) = at.filled("headers") {
            not_looked_at("headers", &headers, kind, scope);
        }
        return match kind {
            "variables" => Matcher::Variables(variables(&at, scope)),
            _ => never(&at, scope),
        };
    }
    let fields = fields(&at, MethodIs::Method, scope);
    let Some((text, text_at)) = at.text(kind) else {
        return Matcher::Never;
    };
    match kind {
        "prefix" => Matcher::Prefix(text.to_owned(), fields),
        "path" => Matcher::Path(text.to_owned(), fields),
        _ => match pattern(text, &text_at, scope) {
            Some(pattern) => Matcher::Regex(pattern, fields),
            None => Matcher::Never,
        },
    }
}

/// One field `service` alone is compared as a whole, whatever its `regex` says.
fn by_fields(at: &Cursor<'_>, scope: &mut Scope<'_>) -> Matcher {
    if let [only] = &*at.list("headers")
        && only.text("name").is_some_and(|(name, _)| name == "service")
    {
        let value = only.text("value").map_or("", |(value, _)| value);
        return Matcher::Service((value != ".*").then(|| value.to_owned()));
    }
    let fields: Vec<FieldMatch> = fields(at, MethodIs::Field, scope);
    Matcher::Fields(fields)
}

fn never(at: &Cursor<'_>, scope: &mut Scope<'_>) -> Matcher {
    let at = at.get("dsl_expressions").unwrap_or_else(|| at.clone());
    let message = "`dsl_expressions` are not yet in effect: this route takes no request";
    scope.push(at.warning(Code::NotInEffect, message));
    Matcher::Never
}

fn variables(at: &Cursor<'_>, scope: &mut Scope<'_>) -> Vec<VariableMatch> {
    let items = at.list("variables");
    let matches = items.iter().filter_map(|at| variable(at, scope));
    matches.collect()
}

fn variable(at: &Cursor<'_>, scope: &mut Scope<'_>) -> Option<VariableMatch> {
    let model = model(at, scope);
    let text = text(at, scope);
    let Some((name, name_at)) = at.text("name") else {
        if unsaid(at, "name") {
            scope.push(at.error(Code::MissingKey, "a variable match needs a `name`"));
        }
        return None;
    };
    Some(VariableMatch {
        variable: scope.variable(name, &name_at, "it is always empty"),
        text: text?,
        model,
    })
}

fn text(at: &Cursor<'_>, scope: &mut Scope<'_>) -> Option<TextMatch> {
    let regex = at.text("regex");
    if let Some((value, _)) = at.text("value") {
        if let Some((_, regex_at)) = regex {
            not_looked_at("regex", &regex_at, "value", scope);
        }
        return Some(TextMatch::Exact(value.to_owned()));
    }
    if let Some((regex, regex_at)) = regex {
        return pattern(regex, &regex_at, scope).map(TextMatch::Regex);
    }
    if unsaid(at, "value") && unsaid(at, "regex") {
        let message = "this never holds: it has neither `value` nor `regex`";
        scope.push(at.warning(Code::NeverMatches, message));
    }
    Some(TextMatch::Regex(Pattern::never()))
}

fn model(at: &Cursor<'_>, scope: &mut Scope<'_>) -> Model {
    const MODELS: [&str; 2] = ["and", "or"];
    let Some((text, at)) = at.text("model") else {
        return Model::And;
    };
    match text.to_ascii_lowercase().as_str() {
        "and" => Model::And,
        "or" => Model::Or,
        other => {
            let diagnostic = at.error(Code::UnknownValue, "items are joined by `and` or `or`");
            scope.push(
                diagnostic
                    .found(at.brief())
                    .accepted(MODELS.join(", "))
                    .suggest(nearest(other, MODELS)),
            );
            Model::And
        }
    }
}
