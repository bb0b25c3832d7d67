//! `access_logs`: where a listener's requests are logged, and what a line says.

use super::Scope;
use crate::config::diagnostics::Code;
use crate::config::plan::{AccessFormat, AccessLog, Piece};
use crate::config::raw::{Cursor, quote};

/// MOSN's: two blanks after the trace, and the status twice.
const TEXT: &str = "%start_time% %trace_id%  %connection_id% %upstream_connection_id% \
                    %request_received_duration% %response_received_duration% %bytes_sent% \
                    %bytes_received% %protocol% %response_code% %duration% %response_flag% \
                    %response_code% %upstream_local_address% %downstream_local_address% \
                    %downstream_remote_address% %upstream_host%";

/// What `"log_format": "json"` says.
const JSON: &[(&str, &str)] = &[
    ("start_time", "%start_time%"),
    ("listener_name", "%listener_name%"),
    ("connection_id", "%connection_id%"),
    ("upstream_connection_id", "%upstream_connection_id%"),
    ("trace_id", "%trace_id%"),
    ("protocol", "%protocol%"),
    ("method", "%x-mosn-method%"),
    ("host", "%x-mosn-host%"),
    ("path", "%x-mosn-path-original%"),
    ("query", "%x-mosn-querystring%"),
    ("response_code", "%response_code%"),
    ("response_flag", "%response_flag%"),
    (
        "upstream_transport_failure_reason",
        "%upstream_transport_failure_reason%",
    ),
    ("bytes_received", "%bytes_received%"),
    ("bytes_sent", "%bytes_sent%"),
    ("duration", "%duration%"),
    ("request_received_duration", "%request_received_duration%"),
    ("response_received_duration", "%response_received_duration%"),
    ("upstream_cluster", "%upstream_cluster%"),
    ("upstream_local_address", "%upstream_local_address%"),
    ("upstream_host", "%upstream_host%"),
    ("downstream_local_address", "%downstream_local_address%"),
    ("downstream_remote_address", "%downstream_remote_address%"),
];

pub(super) fn access_logs(listener: &Cursor<'_>, scope: &mut Scope<'_>) -> Vec<AccessLog> {
    let written = listener.list("access_logs");
    let logs = written.iter().filter(|at| !at.is_wrong()).map(|at| {
        let path = at.text("log_path").map_or("", |(path, _)| path);
        AccessLog {
            path: path.to_owned(),
            format: format(at, scope),
        }
    });
    logs.collect()
}

fn format(log: &Cursor<'_>, scope: &mut Scope<'_>) -> AccessFormat {
    let text = log.text("log_format");
    let members = log.filled("json_format").filter(|at| !at.is_wrong());
    match (text, members) {
        (None, None) => AccessFormat::Text(pieces(TEXT, log, scope)),
        (None | Some(("json", _)), Some(members)) => AccessFormat::Json(
            members
                .members()
                .into_iter()
                .filter_map(|(name, at)| Some((name, at.as_text()?, at)))
                .map(|(name, text, at)| (name.to_owned(), pieces(text, &at, scope)))
                .collect(),
        ),
        (Some(("json", _)), None) => AccessFormat::Json(
            JSON.iter()
                .map(|(name, text)| ((*name).to_owned(), pieces(text, log, scope)))
                .collect(),
        ),
        (Some((text, at)), members) => {
            if let Some(members) = members {
                let message = "`log_format` and `json_format` exclude one another, unless the \
                               first one is \"json\"";
                scope.push(members.error(Code::ConflictingKeys, message));
            }
            AccessFormat::Text(pieces(text, &at, scope))
        }
    }
}

fn pieces(text: &str, at: &Cursor<'_>, scope: &mut Scope<'_>) -> Vec<Piece> {
    let split = match split(text) {
        Ok(split) => split,
        Err(error) => {
            let message = format!("access log format error: {error}");
            let diagnostic = at.error(Code::BadFormat, message);
            scope.push(
                diagnostic
                    .found(quote(text))
                    .accepted("text with `%name%` in it; `\\%` is no begin of one"),
            );
            return Vec::new();
        }
    };
    let pieces = split.into_iter().map(|part| match part {
        Part::Text(text) => Piece::Text(text.to_owned()),
        Part::Name(name) => Piece::Value(scope.variable(name, at, "`-` is logged")),
    });
    pieces.collect()
}

#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    Text(&'a str),
    Name(&'a str),
}

/// Worded as in MOSN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum FormatError {
    #[error("empty variable definition")]
    Empty,
    #[error("unclosed variable definition")]
    Unclosed,
}

/// Splits a format at its percent signs. One behind a backslash is text, as is the backslash.
fn split(format: &str) -> Result<Vec<Part<'_>>, FormatError> {
    let mut parts = Vec::new();
    let mut rest = format;
    while let Some(open) = percent(rest) {
        if open > 0 {
            parts.push(Part::Text(&rest[..open]));
        }
        rest = &rest[open + 1..];
        let close = percent(rest).ok_or(FormatError::Unclosed)?;
        if close == 0 {
            return Err(FormatError::Empty);
        }
        parts.push(Part::Name(&rest[..close]));
        rest = &rest[close + 1..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    Ok(parts)
}

fn percent(text: &str) -> Option<usize> {
    let mut signs = text.match_indices('%').map(|(at, _)| at);
    signs.find(|at| !text[..*at].ends_with('\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_text_and_names_in_turn() {
        use Part::{Name, Text};
        for (format, expected) in [
            ("", Ok(vec![])),
            ("a", Ok(vec![Text("a")])),
            ("%a%", Ok(vec![Name("a")])),
            ("%a%%b%", Ok(vec![Name("a"), Name("b")])),
            ("x %a% é", Ok(vec![Text("x "), Name("a"), Text(" é")])),
            (r"100\% %a%", Ok(vec![Text(r"100\% "), Name("a")])),
            (r"%a\%b%c", Ok(vec![Name(r"a\%b"), Text("c")])),
            ("%%", Err(FormatError::Empty)),
            ("a%", Err(FormatError::Unclosed)),
            ("%a% %b", Err(FormatError::Unclosed)),
        ] {
            assert_eq!(split(format), expected, "{format}");
        }
    }

    #[test]
    fn the_formats_of_the_house_name_variables_that_exist() {
        let formats = JSON.iter().map(|(_, format)| *format).chain([TEXT]);
        for format in formats {
            for part in split(format).unwrap() {
                let Part::Name(name) = part else { continue };
                let variable = crate::config::plan::Variable::parse(name);
                assert!(
                    !matches!(variable, crate::config::plan::Variable::Unknown(_)),
                    "{name}"
                );
            }
        }
    }
}
