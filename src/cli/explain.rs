//! `banyan explain`: what would become of a request, asked of the running process.

use super::arguments::{Explain, Format};
use super::client::segment;
use super::{Exit, print};
use crate::actor::explain::Explanation;

/// `banyan explain`
#[must_use]
pub fn explain(arguments: &Explain) -> Exit {
    if let Some(wrong) = arguments.header.iter().find(|field| !field.contains(':')) {
        let why = format!("--header {wrong}: a field is written NAME:VALUE");
        return print::refuse(&why, Exit::Usage);
    }
    let target = format!("/api/v2/explain?{}", query(arguments));
    let answer = match arguments.place.asks_json("GET", &target, b"") {
        Ok(answer) => answer,
        Err(exit) => return exit,
    };
    if arguments.format == Format::Json {
        return print::say(&format_args!("{answer:#}\n"));
    }
    match serde_json::from_value::<Explanation>(answer) {
        Ok(explanation) => print::say(&explanation),
        Err(error) => {
            let why = format!("the process runs another version, use --format json: {error}");
            print::refuse(&why, Exit::Failed)
        }
    }
}

fn query(arguments: &Explain) -> String {
    let listener = arguments.listener.iter().map(|name| ("listener", name));
    let host = arguments.host.iter().map(|host| ("host", host));
    let fields = arguments.header.iter().map(|field| ("header", field));
    let always = [("method", &arguments.method), ("path", &arguments.path)];
    let protocol = arguments.protocol.iter().map(|name| ("protocol", name));
    let all = listener.chain(protocol).chain(always);
    let all = all.chain(host).chain(fields);
    let parts = all.map(|(name, value)| format!("{name}={}", segment(value)));
    parts.collect::<Vec<_>>().join("&")
}
