//! One route: which requests it takes, and what is done with them.

use super::Scope;
use super::edits::edits;
use super::forward::forward;
use super::matcher::matcher;
use super::stream::{Level, route_filters};
use super::text::{field_value, not_looked_at, percent, status, unsaid};
use crate::config::diagnostics::Code;
use crate::config::plan::{Action, HeaderEdits, Mirror, Redirect, Route};
use crate::config::raw::Cursor;

const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

/// The actions, strongest first.
const ACTIONS: [&str; 3] = ["direct_response", "redirect", "route"];

pub(super) fn route(at: &Cursor<'_>, scope: &mut Scope<'_>) -> Route {
    let matcher = matcher(at, scope);
    let mut given = ACTIONS.iter().filter(|action| at.get(action).is_some());
    let action = given.next();
    if let (Some(&"direct_response"), Some(redirect)) = (action, at.get("redirect")) {
        not_looked_at("redirect", &redirect, "direct_response", scope);
    }
    let forwarded = at.get("route");
    let action = match action {
        Some(&"direct_response") => respond(at, scope),
        Some(&"redirect") => redirect(at, scope),
        _ => {
            let forward = forward(forwarded.as_ref().unwrap_or(at), &matcher, scope);
            Action::Forward(Box::new(forward))
        }
    };
    Route {
        // Its header fields are changed whatever the action is.
        edits: forwarded.map_or_else(HeaderEdits::default, |at| edits(&at, scope)),
        filters: route_filters(at, Level::Route, scope),
        mirror: mirror(at, scope),
        matcher,
        action,
    }
}

fn respond(route: &Cursor<'_>, scope: &mut Scope<'_>) -> Action {
    let at = route.get("direct_response");
    let at = at.as_ref().unwrap_or(route);
    let body = at.text("body");
    let status = match at.integer("status") {
        Some((written, at)) => status(written, &at, scope),
        None => {
            if unsaid(at, "status") {
                scope.push(at.error(Code::MissingKey, "a response needs a `status`"));
            }
            None
        }
    };
    if let (Some(204 | 304), Some((_, at))) = (status, &body) {
        scope.push(at.note(Code::NoEffect, "a response of this status has no body"));
    }
    Action::Respond {
        status: status.unwrap_or(200),
        body: body.map_or("", |(body, _)| body).to_owned(),
    }
}

fn redirect(route: &Cursor<'_>, scope: &mut Scope<'_>) -> Action {
    let at = route.get("redirect");
    let at = at.as_ref().unwrap_or(route);
    let status = match at.integer("response_code") {
        None | Some((0, _)) => 301,
        Some((code, at)) => redirect_code(code, &at, scope),
    };
    let mut part = |name: &str| {
        let (text, at) = at.text(name)?;
        field_value(text, &at, scope).map(str::to_owned)
    };
    let (path, host) = (part("path_redirect"), part("host_redirect"));
    Action::Redirect(Redirect {
        status,
        path,
        host,
        scheme: scheme(at, scope),
    })
}

fn redirect_code(written: i64, at: &Cursor<'_>, scope: &mut Scope<'_>) -> u16 {
    let code = REDIRECTS.iter().find(|code| i64::from(**code) == written);
    code.copied().unwrap_or_else(|| {
        let diagnostic = at.error(Code::OutOfRange, "no redirect has this status");
        scope.push(
            diagnostic
                .found(at.brief())
                .accepted("301, 302, 303, 307, 308"),
        );
        301
    })
}

fn scheme(redirect: &Cursor<'_>, scope: &mut Scope<'_>) -> Option<String> {
    let (text, at) = redirect.text("scheme_redirect")?;
    let scheme = text.to_ascii_lowercase();
    let may_follow =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    let starts = scheme.starts_with(|first: char| first.is_ascii_lowercase());
    if starts && scheme.bytes().all(may_follow) {
        return Some(scheme);
    }
    let diagnostic = at.error(Code::UnknownValue, "this is no scheme");
    scope.push(
        diagnostic
            .found(at.brief())
            .accepted("a letter, then letters, digits and +-."),
    );
    None
}

fn mirror(route: &Cursor<'_>, scope: &mut Scope<'_>) -> Option<Mirror> {
    let at = route.get("request_mirror_policies")?;
    let share = at.integer("percent");
    let percent = share.map_or(0, |(written, at)| percent(written, &at, scope));
    let (name, name_at) = at.text("cluster")?;
    if percent == 0 {
        let message = "nothing is copied: `percent` is 0";
        scope.push(at.note(Code::NoEffect, message));
        return None;
    }
    let cluster = scope.cluster(name, &name_at)?;
    Some(Mirror { cluster, percent })
}
