//! Scripts: text in, cases out.

use serde_json::{Value, json};

use crate::bytes::{Expected, Piece, pieces, plain};

/// What a client sees of a connection that still serves: `client is open`.
const PROBE: &[u8] = b"GET /still-open HTTP/1.1\r\nHost: a\r\n\r\n";
const PROBED: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

/// `a request`, and `it is answered`.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// One exchange, or several on one client connection.
pub(crate) struct Case {
    /// `file: name`.
    pub(crate) name: String,
    /// What the filter's configuration has beside the cluster.
    pub(crate) with: Value,
    pub(crate) cuts: Cuts,
    /// The line of the file, and what is to be done.
    pub(crate) steps: Vec<(usize, Step)>,
}

/// Whether bytes are also sent in other pieces than the script says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cuts {
    Everywhere,
    /// `once`: the case takes its time, or is about its pieces.
    Nowhere,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    ClientSends(Vec<u8>),
    /// Sent, but never cut.
    ClientProbes(Vec<u8>),
    ClientReceives(Expected),
    ClientIsTold(Told),
    ClientIsClosed,
    /// It receives this at most, or an error instead, and then the end.
    ClientIsCut(Expected),
    ClientEnds,
    ClientResets,
    UpstreamReceives(Expected),
    UpstreamSends(Vec<u8>),
    UpstreamIsOpen,
    UpstreamIsClosed,
    /// It receives this at most, and then the end; or nothing.
    UpstreamIsCut(Expected),
    UpstreamHearsNothing,
    UpstreamEnds,
    UpstreamResets,
    UpstreamReadsNoMore,
    /// Where the upstream receives next.
    On(Place),
}

/// A reply of the proxy's own.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// Any of these.
    pub(crate) statuses: Vec<u16>,
    pub(crate) after: After,
    pub(crate) body: Body,
}

/// What becomes of the client's connection after a reply of the proxy's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    Closed,
    Kept,
    /// The proxy may choose, but has to say which.
    Either,
}

/// Whether a reply has the body that its head announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Sent,
    /// The request was HEAD.
    Left,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Any connection.
    Any,
    /// One not yet used in this case.
    Another,
    /// The one used last.
    Same,
}

/// Reads a file.
pub(crate) fn parse(file: &str, text: &str) -> Result<Vec<Case>, String> {
    let mut cases: Vec<Case> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let at = at + 1;
        let said = |error: String| format!("line {at}: {error}");
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.ends_with(' ') {
            return Err(said("a blank at the end; write \\s".into()));
        }
        if let Some(name) = line.strip_prefix("case ") {
            cases.push(Case {
                name: format!("{file}: {name}"),
                with: json!({}),
                cuts: Cuts::Everywhere,
                steps: Vec::new(),
            });
            continue;
        }
        let case = cases.last_mut().ok_or_else(|| said("no case yet".into()))?;
        if line == "once" {
            case.cuts = Cuts::Nowhere;
        } else if let Some(with) = line.strip_prefix("with ") {
            case.with = serde_json::from_str(with).map_err(|error| said(error.to_string()))?;
        } else {
            let steps = steps(line, &case.steps).map_err(said)?;
            case.steps.extend(steps.into_iter().map(|step| (at, step)));
        }
    }
    match cases.iter().find(|case| case.steps.is_empty()) {
        Some(case) => Err(format!("{}: nothing is to be done", case.name)),
        None => Ok(cases),
    }
}

/// The steps of a line; some lines look back at the steps before.
fn steps(line: &str, before: &[(usize, Step)]) -> Result<Vec<Step>, String> {
    if let Some(step) = arrow(line)? {
        return Ok(vec![step]);
    }
    if let Some(told) = line.strip_prefix("client is told ") {
        return Ok(vec![Step::ClientIsTold(told_so(told)?)]);
    }
    if let Some(statuses) = line.strip_prefix("refused ") {
        let told = Step::ClientIsTold(told_so(statuses)?);
        return Ok(vec![told, Step::UpstreamHearsNothing]);
    }
    Ok(match line {
        "client is open" => vec![
            Step::ClientProbes(PROBE.to_vec()),
            Step::UpstreamReceives(exactly(PROBE.to_vec())),
            Step::UpstreamSends(PROBED.to_vec()),
            Step::ClientReceives(exactly(PROBED.to_vec())),
        ],
        "the request passes" => vec![Step::UpstreamReceives(exactly(requested(before)))],
        "the response passes" => vec![Step::ClientReceives(exactly(responded(before)))],
        "a request" => vec![
            Step::ClientSends(REQUEST.to_vec()),
            Step::UpstreamReceives(exactly(REQUEST.to_vec())),
        ],
        "it is answered" => vec![
            Step::UpstreamSends(ANSWER.to_vec()),
            Step::ClientReceives(exactly(ANSWER.to_vec())),
        ],
        _ => vec![event(line).ok_or_else(|| format!("what is `{line}`?"))?],
    })
}

/// A line of bytes: single arrows are the client's, double ones the upstream's.
fn arrow(line: &str) -> Result<Option<Step>, String> {
    let Some((arrow, text)) = line.split_at_checked(3) else {
        return Ok(None);
    };
    Ok(Some(match arrow {
        "-> " => Step::ClientSends(plain(text)?),
        "<= " => Step::UpstreamSends(plain(text)?),
        "=> " => Step::UpstreamReceives(Expected::Exactly(pieces(text)?)),
        "<- " => Step::ClientReceives(Expected::Exactly(pieces(text)?)),
        "<| " => Step::ClientIsCut(Expected::Exactly(pieces(text)?)),
        "=| " => Step::UpstreamIsCut(Expected::Exactly(pieces(text)?)),
        "=~ " => Step::UpstreamReceives(Expected::Head(plain(text)?)),
        "<~ " => Step::ClientReceives(Expected::Head(plain(text)?)),
        _ => return Ok(None),
    }))
}

fn event(line: &str) -> Option<Step> {
    Some(match line {
        "client is cut" => Step::ClientIsCut(exactly(Vec::new())),
        "client is closed" => Step::ClientIsClosed,
        "client ends" => Step::ClientEnds,
        "client resets" => Step::ClientResets,
        "upstream is open" => Step::UpstreamIsOpen,
        "upstream is closed" => Step::UpstreamIsClosed,
        "upstream hears nothing" => Step::UpstreamHearsNothing,
        "upstream ends" => Step::UpstreamEnds,
        "upstream resets" => Step::UpstreamResets,
        "upstream reads no more" => Step::UpstreamReadsNoMore,
        "on another connection" => Step::On(Place::Another),
        "on the same connection" => Step::On(Place::Same),
        _ => return None,
    })
}

/// `400`, `400 or 431`, `502 and kept`, `502 and either`, `502 without a body`.
fn told_so(text: &str) -> Result<Told, String> {
    let (text, body) = match text.strip_suffix(" without a body") {
        Some(text) => (text, Body::Left),
        None => (text, Body::Sent),
    };
    let (text, after) = if let Some(text) = text.strip_suffix(" and kept") {
        (text, After::Kept)
    } else if let Some(text) = text.strip_suffix(" and either") {
        (text, After::Either)
    } else {
        (text, After::Closed)
    };
    let statuses = text.split(" or ").map(|status| {
        let status = status.parse();
        status.map_err(|_| format!("`{text}` is no list of statuses"))
    });
    Ok(Told {
        statuses: statuses.collect::<Result<_, _>>()?,
        after,
        body,
    })
}

fn exactly(bytes: Vec<u8>) -> Expected {
    Expected::Exactly(vec![Piece::Bytes(bytes)])
}

/// What the client sent since the upstream was to receive something.
fn requested(before: &[(usize, Step)]) -> Vec<u8> {
    let since = before.iter().rev();
    let since = since.take_while(|(_, step)| !matches!(step, Step::UpstreamReceives(_)));
    let sent = since.filter_map(|(_, step)| match step {
        Step::ClientSends(bytes) => Some(bytes.as_slice()),
        _ => None,
    });
    let mut pieces: Vec<_> = sent.collect();
    pieces.reverse();
    pieces.concat()
}

/// What the upstream sent since the client was to receive something.
fn responded(before: &[(usize, Step)]) -> Vec<u8> {
    let since = before.iter().rev();
    let since = since.take_while(|(_, step)| !matches!(step, Step::ClientReceives(_)));
    let sent = since.filter_map(|(_, step)| match step {
        Step::UpstreamSends(bytes) => Some(bytes.as_slice()),
        _ => None,
    });
    let mut pieces: Vec<_> = sent.collect();
    pieces.reverse();
    pieces.concat()
}
