//! The floors of `ARCHITECTURE.md` and the habits of its rooms, checked: a module imports only
//! from floors below its own, and what is forbidden in a room is not named there.
//!
//! It reads words, not syntax: comments, literals and tests are blanked out first.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms by floor, ground first. A room that is not named here fails the test.
const FLOORS: &[&[&str]] = &[
    &["backoff", "name", "telemetry"],
    &["config", "protocol"],
    &["cluster", "lifecycle", "route", "streams", "supervise"],
    &["filter", "net"],
    &["load", "upstream"],
    &["proxy"],
    &["actor"],
    DOORS,
];
/// They may know each other.
const DOORS: &[&str] = &["cli", "handle", "lib", "main"];

/// Words, the only rooms that may name them, and why.
const FORBIDDEN: &[(&str, &[&str], &str)] = &[
    ("AtomicResponse", &[], "it stops the mailbox"),
    (
        "ResponseFuture",
        &[],
        "it runs in a detached task, where a panic is lost",
    ),
    (
        "actix",
        &["actor", "cli", "handle", "lib", "main"],
        "only actors have mailboxes",
    ),
    (
        "actix_rt",
        &["actor", "cli", "lib", "main"],
        "only actors have arbiters",
    ),
    ("ctx.wait", &[], "it stops the mailbox"),
    ("env::var", DOORS, "the environment is the process'"),
    ("env::var_os", DOORS, "the environment is the process'"),
    ("env::vars", DOORS, "the environment is the process'"),
    ("panic::set_hook", DOORS, "the panic hook is the process'"),
    ("process::exit", DOORS, "the end of the process is main's"),
    ("set_global_logger", DOORS, "the tree is handed its logger"),
    ("signal::unix", DOORS, "signals are the process'"),
    ("unsafe", &["net"], "system calls live in one room"),
];

const LONGEST: usize = 450;

#[test]
fn every_import_points_down() {
    let wrong = complaints(|file| {
        let Some(floor) = floor_of(&file.room) else {
            return vec![(1, format!("`{}` has no floor", file.room))];
        };
        imports(&file.code, &file.modules)
            .into_iter()
            .filter(|(_, used)| *used != file.room)
            .filter(|(_, used)| !DOORS.contains(&&*file.room) || !is_door(used))
            .filter(|(_, used)| floor_of(used).is_none_or(|below| below >= floor))
            .map(|(line, used)| (line, format!("floor {floor} imports `{used}`")))
            .collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_room_names_what_is_not_its_own() {
    let wrong = complaints(|file| {
        let mut found = Vec::new();
        for &(word, rooms, why) in FORBIDDEN {
            if !rooms.contains(&&*file.room) {
                let places = words(&file.code, word);
                found.extend(places.map(|line| (line, format!("`{word}`: {why}"))));
            }
        }
        found
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_in_a_sentence() {
    let wrong = complaints(|file| {
        let head: Vec<_> = file
            .text
            .lines()
            .map_while(|line| line.strip_prefix("//! "))
            .collect();
        let head = head.join(" ");
        let is_sentence = head.starts_with(|first: char| first.is_uppercase() || first == '`')
            && head.contains('.');
        let complaint = "opens without a `//!` sentence".to_owned();
        (!is_sentence)
            .then_some((1, complaint))
            .into_iter()
            .collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_is_too_long_to_read() {
    let wrong = complaints(|file| {
        let lines = file.code.trim_end().lines().count();
        let complaint = format!("{lines} lines without its tests, of at most {LONGEST}");
        (lines > LONGEST)
            .then_some((lines, complaint))
            .into_iter()
            .collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// One source file.
struct File {
    text: String,
    /// The text with comments, literals and tests blanked out.
    code: String,
    /// `["actor", "supervisor"]`; empty for `lib.rs` and `main.rs`.
    modules: Vec<String>,
    room: String,
}

fn complaints(check: impl Fn(&File) -> Vec<(usize, String)>) -> Vec<String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut complaints = Vec::new();
    for path in sources(&src) {
        let inside = path.strip_prefix(&src).unwrap();
        let modules = modules(inside);
        if modules.iter().any(|module| module == "tests") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = without_tests(&blanked(&text));
        let room = match modules.first() {
            Some(room) => room.clone(),
            None => inside.with_extension("").to_str().unwrap().to_owned(),
        };
        let file = File {
            text,
            code,
            modules,
            room,
        };
        let found = check(&file).into_iter();
        complaints.extend(found.map(|(line, what)| format!("{}:{line}: {what}", path.display())));
    }
    complaints
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let files = paths.into_iter().flat_map(|path| match path.is_dir() {
        true => sources(&path),
        false => vec![path],
    });
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

fn modules(inside: &Path) -> Vec<String> {
    let parts = inside.with_extension("");
    let mut parts: Vec<_> = parts
        .iter()
        .map(|part| part.to_str().unwrap().to_owned())
        .collect();
    if parts.last().is_some_and(|last| last == "mod") || parts == ["lib"] || parts == ["main"] {
        parts.pop();
    }
    parts
}

fn floor_of(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// What is not a room is an item of `lib.rs`.
fn is_door(used: &str) -> bool {
    floor_of(used).is_none_or(|floor| floor == FLOORS.len() - 1)
}

/// Every room that the code reaches through `crate::` or `super::`, with its line; `*` for all of
/// them at once.
fn imports(code: &str, modules: &[String]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for at in starts(code, "crate::") {
        let rest = &code[at + "crate::".len()..];
        found.extend(
            heads(rest)
                .into_iter()
                .map(|head| (line_of(code, at), head)),
        );
    }
    for at in starts(code, "super::") {
        let mut rest = &code[at..];
        let mut ups = 0;
        while let Some(next) = rest.strip_prefix("super::") {
            (rest, ups) = (next.trim_start(), ups + 1);
        }
        // `super::super` counts once, from its first word.
        if !code[..at].trim_end().ends_with("super::") && ups == modules.len() {
            found.extend(
                heads(rest)
                    .into_iter()
                    .map(|head| (line_of(code, at), head)),
            );
        }
    }
    found
}

/// The first words of a path, or of each path of a group.
fn heads(path: &str) -> Vec<String> {
    let path = path.trim_start();
    let Some(group) = path.strip_prefix('{') else {
        return vec![word(path).to_owned()];
    };
    let mut depth = 0;
    let mut heads = Vec::new();
    let mut item = String::new();
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.push(std::mem::take(&mut item)),
            _ if depth == 0 => item.push(c),
            _ => {}
        }
    }
    heads.push(item);
    heads
        .iter()
        .map(|item| word(item.trim_start()).to_owned())
        .filter(|head| !head.is_empty())
        .collect()
}

/// The lines where `word` stands by itself.
fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    starts(code, word)
        .filter(|at| !code[at + word.len()..].starts_with(is_word))
        .map(|at| line_of(code, at))
}

fn starts<'a>(code: &'a str, text: &'a str) -> impl Iterator<Item = usize> + 'a {
    let places = code.match_indices(text).map(|(at, _)| at);
    places.filter(|&at| !code[..at].ends_with(is_word))
}

fn word(text: &str) -> &str {
    match text.starts_with('*') {
        true => "*",
        false => text.split(|c| !is_word(c)).next().unwrap(),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// The text with comments and literals blanked out, line by line the same.
fn blanked(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let token = literal(rest, code.ends_with(is_word)).unwrap_or(0);
        if token == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            let blank = rest[..token]
                .chars()
                .map(|c| if c == '\n' { c } else { ' ' });
            code.extend(blank);
            rest = &rest[token..];
        }
    }
    code
}

/// The length of the comment or literal that `rest` begins with.
fn literal(rest: &str, inside_word: bool) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(rest.find("*/").map_or(rest.len(), |end| end + 2));
    }
    if rest.starts_with('"') {
        return Some(quoted(rest, '"'));
    }
    if rest.starts_with('r') && !inside_word {
        let hashes = rest[1..].bytes().take_while(|&byte| byte == b'#').count();
        if rest[1 + hashes..].starts_with('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            let open = 2 + hashes;
            let end = rest[open..].find(&close);
            return Some(end.map_or(rest.len(), |end| open + end + close.len()));
        }
    }
    // A lifetime is no character: `'a'` closes after one, or is escaped.
    let mut inside = rest.strip_prefix('\'')?.chars();
    match (inside.next()?, inside.next()?) {
        ('\\', _) => Some(quoted(rest, '\'')),
        (c, '\'') => Some(2 + c.len_utf8()),
        _ => None,
    }
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The code without what follows `#[cfg(test)] mod`, up to its closing brace.
fn without_tests(code: &str) -> String {
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        let (before, tests) = rest.split_at(at);
        kept.push_str(before);
        let item = tests["#[cfg(test)]".len()..].trim_start();
        let end = match item.starts_with("mod ") {
            true => end_of_item(tests),
            false => "#[cfg(test)]".len(),
        };
        kept.extend(tests[..end].chars().filter(|&c| c == '\n'));
        rest = &tests[end..];
    }
    kept + rest
}

fn end_of_item(item: &str) -> usize {
    let mut depth = 0;
    for (at, c) in item.char_indices() {
        match c {
            ';' if depth == 0 => return at + 1,
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    item.len()
}

mod reader {
    use super::*;

    fn imported(code: &str, modules: &[&str]) -> Vec<String> {
        let modules: Vec<_> = modules.iter().map(|&module| module.to_owned()).collect();
        let code = without_tests(&blanked(code));
        let found = imports(&code, &modules);
        found.into_iter().map(|(_, room)| room).collect()
    }

    #[test]
    fn every_way_of_naming_a_room_is_seen() {
        for (code, modules, expected) in [
            ("use crate::net::Socket;", &["actor"][..], &["net"][..]),
            ("let a = crate::net::open();", &["actor"], &["net"]),
            (
                "use crate::{\n    cluster::{self, Host},\n    net,\n};",
                &["actor"],
                &["cluster", "net"],
            ),
            ("use crate::*;", &["actor"], &["*"]),
            ("use super::net;", &["actor"], &["net"]),
            ("use super::{net, name};", &["actor"], &["net", "name"]),
            ("use super::net;", &["actor", "root"], &[]),
            ("use super::super::net;", &["actor", "root"], &["net"]),
            ("pub(crate) fn f() {}", &["actor"], &[]),
            ("// crate::net\n\"crate::net\"", &["actor"], &[]),
            (
                "r#\"\" crate::net\"#; 'c'; '\\''; crate::name",
                &["actor"],
                &["name"],
            ),
            (
                "#[cfg(test)]\nmod tests { use crate::net; }\nuse crate::name;",
                &["actor"],
                &["name"],
            ),
        ] {
            assert_eq!(imported(code, modules), expected, "{code}");
        }
    }

    #[test]
    fn a_word_is_found_by_itself_and_on_its_line() {
        let code = "use actix_web;\nuse actix::Actor;\nlet fractix = 1;";
        assert_eq!(words(code, "actix").collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn lines_are_counted_as_they_are_written() {
        let code = "/* a\nb */\n#[cfg(test)]\nmod tests {\n}\nunsafe";
        let code = without_tests(&blanked(code));
        assert_eq!(words(&code, "unsafe").collect::<Vec<_>>(), [6]);
    }
}
