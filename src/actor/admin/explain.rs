//! What would become of a request, over HTTP.

use hyper::StatusCode;

use super::door::Call;
use super::reply::Reply;
use crate::proxy::http::Asked;

/// Explains a request that the query describes: `listener`, `protocol`, `method`, `host`, `path`, and
/// `header` as `name:value`, as often as there are fields.
pub(super) async fn explain(call: Call) -> Reply {
    let text = |name: &str| call.parameter(name).map(str::to_owned);
    let given = call.query.iter().filter(|(key, _)| key == "header");
    let fields = given.map(|(_, field)| {
        let (name, value) = field.split_once(':').unwrap_or((field, ""));
        (name.to_owned(), value.trim().to_owned())
    });
    let asked = Asked {
        method: text("method").unwrap_or_else(|| "GET".to_owned()),
        target: text("path").unwrap_or_else(|| "/".to_owned()),
        host: text("host"),
        fields: fields.collect(),
        protocol: text("protocol"),
        ..Asked::default()
    };
    let counts = call.door.root.counts();
    match counts.explain(call.parameter("listener"), &asked) {
        Ok(explanation) => match serde_json::to_value(&explanation) {
            Ok(value) => Reply::json(StatusCode::OK, &value),
            Err(error) => {
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                Reply::refused(status, "unexplained", &error.to_string())
            }
        },
        Err(why) => Reply::refused(StatusCode::NOT_FOUND, "unexplained", &why.to_string()),
    }
}
