//! The corpus: each case as it stands, then cut. Its format is in `corpus/README.md`.

use std::fs;
use std::path::Path;

use super::super::super::rpc::{Codec, Decoded, Frame, Kind, Malformed, Timeout};
use super::super::{Headers, Parts, V1};

const MOST: usize = 1 << 20;

/// Longer cases are cut at fewer places.
const CUT_EVERYWHERE: usize = 2048;

/// A name, bytes, and what is to come of them.
struct Case {
    name: String,
    bytes: Vec<u8>,
    gives: Vec<String>,
}

fn cases() -> Vec<Case> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/protocol/bolt/tests/corpus");
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "txt"))
        .collect();
    files.sort();
    files.iter().flat_map(|file| read(file)).collect()
}

fn read(file: &Path) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in fs::read_to_string(file).unwrap().lines() {
        if let Some(outcome) = line.strip_prefix("  > ") {
            cases.last_mut().unwrap().gives.push(outcome.to_owned());
        } else if let Some(text) = line.strip_prefix("  ") {
            cases.last_mut().unwrap().bytes = text.split(' ').flat_map(bytes).collect();
        } else {
            let file = file.file_stem().unwrap().to_str().unwrap();
            cases.push(Case {
                name: format!("{file}: {line}"),
                bytes: Vec::new(),
                gives: Vec::new(),
            });
        }
    }
    cases
}

/// `01`, or `01x22`; nothing for nothing.
fn bytes(word: &str) -> Vec<u8> {
    if word.is_empty() {
        return Vec::new();
    }
    let (byte, count) = word.split_once('x').unwrap_or((word, "1"));
    vec![u8::from_str_radix(byte, 16).unwrap(); count.parse().unwrap()]
}

/// What reading these bytes gives, when they come in pieces that end there.
fn outcomes(bytes: &[u8], ends: impl IntoIterator<Item = usize>) -> Vec<String> {
    let (mut found, mut at) = (Vec::new(), 0);
    let mut last = None;
    for end in ends {
        loop {
            let held = &bytes[at..end];
            match V1.decode(held, MOST) {
                Ok(Decoded::Frame(frame)) => {
                    found.push(shown(&frame, held));
                    at += frame.length;
                }
                Ok(Decoded::Need(needed)) => {
                    // Whoever makes room for it makes room for a frame that is allowed.
                    assert!(held.len() < needed && needed <= MOST, "{needed}");
                    last = Some(format!("need={needed}"));
                    break;
                }
                Err(Malformed { flaw, asker }) => {
                    let asker = asker.map(|asker| format!(" asker={}", asker.id));
                    found.push(format!("flaw={flaw:?}{}", asker.unwrap_or_default()));
                    return found;
                }
            }
        }
    }
    found.extend(last);
    found
}

fn shown(frame: &Frame, bytes: &[u8]) -> String {
    let kind = match frame.kind {
        Kind::Request => "request",
        Kind::OneWay => "oneway",
        Kind::Response => "response",
        Kind::Heartbeat => "heartbeat",
        Kind::HeartbeatAck => "ack",
        Kind::GoAway => "goaway",
    };
    let said = match (frame.kind, frame.timeout) {
        (Kind::Response | Kind::HeartbeatAck, _) => format!("status={}", frame.status),
        (_, Timeout::Never) => "timeout=never".to_owned(),
        (_, Timeout::Unsaid) => "timeout=unsaid".to_owned(),
        (_, Timeout::After(time)) => format!("timeout={}", time.as_millis()),
    };
    let (id, version) = (frame.asker.id, frame.asker.dialect);
    let Parts {
        class,
        headers,
        content,
    } = Parts::of(frame, bytes);
    let (class, block, content) = (class.len(), headers.len(), content.len());
    let parts = format!("{class},{block},{content}");
    let headers = match block {
        0 => String::new(),
        _ => format!(" headers={}", shown_headers(headers)),
    };
    format!("{kind} id={id} v={version} {said} parts={parts}{headers}")
}

fn shown_headers(block: &[u8]) -> String {
    let Ok(pairs) = Headers::of(block).collect::<Result<Vec<_>, _>>() else {
        return "!".to_owned();
    };
    if block.len() > 200 {
        return format!("#{}", pairs.len());
    }
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("{}:{}", text(name), text(value)));
    pairs.collect::<Vec<_>>().join(",")
}

#[test]
fn every_case_gives_what_stands_beside_it() {
    let cases = cases();
    assert!(cases.len() >= 380, "{}", cases.len());
    for Case { name, bytes, gives } in &cases {
        assert_eq!(&outcomes(bytes, [bytes.len()]), gives, "{name}");
    }
}

#[test]
fn no_cut_of_a_case_changes_what_it_gives() {
    for Case { name, bytes, gives } in &cases() {
        let all = bytes.len();
        if all <= CUT_EVERYWHERE {
            assert_eq!(&outcomes(bytes, 0..=all), gives, "{name}, byte by byte");
        }
        let ends = (0..=all.min(64)).chain(all.saturating_sub(64)..=all);
        for end in ends {
            assert_eq!(&outcomes(bytes, [end, all]), gives, "{name}, cut at {end}");
        }
    }
}

#[test]
fn every_frame_of_the_corpus_is_sent_on_as_it_came() {
    for Case { name, bytes, .. } in &cases() {
        let mut rest = &bytes[..];
        while let Ok(Decoded::Frame(mut frame)) = V1.decode(rest, MOST) {
            let (came, behind) = rest.split_at(frame.length);
            let id = frame.asker.id;
            let mut sent = Vec::new();
            V1.relay(&frame, came, id ^ 1, None, &mut sent);
            assert_eq!(sent.len(), came.len(), "{name}");
            V1.set_id(&mut frame, &mut sent, id);
            assert_eq!(sent, came, "{name}");
            rest = behind;
        }
    }
}
