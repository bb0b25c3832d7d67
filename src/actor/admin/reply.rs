//! Answers, before they are bytes.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::access::Denied;

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    kind: Kind,
    body: String,
    field: Option<(HeaderName, HeaderValue)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Json,
    Text,
    Metrics,
}

impl Reply {
    /// As MOSN answers: JSON too is `text/plain`, and nothing has no type.
    pub(super) fn text(status: StatusCode, body: impl Into<String>) -> Self {
        let body = body.into();
        Self {
            status,
            kind: Kind::Text,
            body,
            field: None,
        }
    }

    /// Text in the format that Prometheus reads.
    pub(super) fn metrics(body: String) -> Self {
        Self {
            kind: Kind::Metrics,
            ..Self::text(StatusCode::OK, body)
        }
    }

    pub(super) fn json(status: StatusCode, body: &Value) -> Self {
        let body = format!("{body:#}\n");
        Self {
            status,
            kind: Kind::Json,
            body,
            field: None,
        }
    }

    /// MOSN's way to say what is wrong.
    pub(super) fn mosn_error(status: StatusCode, message: &str) -> Self {
        let message = Value::from(message);
        Self::text(status, format!("{{\n\t\"error\": {message}\n}}\n"))
    }

    /// Ours: a stable word for programs, a sentence for people, and findings where there are any.
    pub(super) fn error(status: StatusCode, code: &str, message: &str, findings: Value) -> Self {
        let error = json!({ "code": code, "message": message, "findings": findings });
        Self::json(status, &json!({ "error": error }))
    }

    pub(super) fn refused(status: StatusCode, code: &str, message: &str) -> Self {
        Self::error(status, code, message, json!([]))
    }

    pub(super) fn with(mut self, name: HeaderName, value: &str) -> Self {
        self.field = HeaderValue::from_str(value).ok().map(|value| (name, value));
        self
    }

    pub(super) fn method_not_allowed(allowed: &str) -> Self {
        let text = format!("this is asked by {allowed}\n");
        Self::text(StatusCode::METHOD_NOT_ALLOWED, text).with(ALLOW, allowed)
    }

    pub(super) fn denied(denied: Denied) -> Self {
        let (status, code, message) = match denied {
            Denied::CrossSite => (
                StatusCode::FORBIDDEN,
                "cross-site",
                "a page of another site sent this request",
            ),
            Denied::Host => (
                StatusCode::MISDIRECTED_REQUEST,
                "host",
                "the `host` field is no address and no name of this machine that the setting `admin_hosts` lists",
            ),
            Denied::NoToken => (
                StatusCode::UNAUTHORIZED,
                "token-missing",
                "from here a token is needed: `authorization: Bearer TOKEN`, one of the setting `admin_token_file`",
            ),
            Denied::WrongToken => (
                StatusCode::FORBIDDEN,
                "token-refused",
                "this token does not allow it",
            ),
        };
        let reply = Self::refused(status, code, message);
        match denied {
            Denied::NoToken => reply.with(WWW_AUTHENTICATE, "Bearer"),
            _ => reply,
        }
    }

    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let Self {
            status,
            kind,
            body,
            field,
        } = self;
        let empty = body.is_empty();
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        if !empty {
            let kind = match kind {
                Kind::Json => "application/json",
                Kind::Text => "text/plain; charset=utf-8",
                Kind::Metrics => "text/plain; version=0.0.4; charset=utf-8",
            };
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some((name, value)) = field {
            headers.insert(name, value);
        }
        response
    }
}

/// JSON as Go prints it: `<`, `>` and `&` escaped, indented by `indent` or not at all.
pub(super) fn go_json(value: &Value, indent: Option<&str>) -> String {
    use serde::Serialize;
    let mut text = Vec::new();
    let written = match indent {
        None => value.serialize(&mut serde_json::Serializer::new(&mut text)),
        Some(indent) => {
            let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
            value.serialize(&mut serde_json::Serializer::with_formatter(
                &mut text, formatter,
            ))
        }
    };
    written.expect("memory takes what is written");
    // They stand nowhere but in strings.
    let text = String::from_utf8_lossy(&text);
    text.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_written_as_go_writes_it() {
        let value = json!({ "a": "<b & c>" });
        assert_eq!(go_json(&value, None), r#"{"a":"\u003cb \u0026 c\u003e"}"#);
        assert_eq!(
            go_json(&json!({ "a": [1] }), Some("\t")),
            "{\n\t\"a\": [\n\t\t1\n\t]\n}"
        );
    }

    #[test]
    fn an_error_is_json_whatever_it_says() {
        let reply = Reply::mosn_error(StatusCode::BAD_REQUEST, "say \"no\"");
        assert_eq!(reply.body, "{\n\t\"error\": \"say \\\"no\\\"\"\n}\n");
    }
}
