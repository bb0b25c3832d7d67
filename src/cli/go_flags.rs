//! MOSN's flags are Go's: one dash or two, `-flag=false`, names of several letters after one dash.
//!
//! [`canonical`] rewrites such arguments, before clap sees them, to `--name` and `--name=value`,
//! by what the command declares. What it does not know it leaves for clap to refuse.

use std::ffi::{OsStr, OsString};

use clap::{Arg, ArgAction, Command};

/// Commands whose flags are those of h2load: `-c200`.
const NOT_MOSNS: [&str; 2] = ["load", "origin"];

/// Rewrites `arguments`, the program's name first, for `program` with its commands.
///
/// Flags before any command are those of `default`, which is put before them; a command's own
/// follow its name.
pub(super) fn canonical(
    program: &Command,
    default: &str,
    arguments: impl IntoIterator<Item = OsString>,
) -> Vec<OsString> {
    let mut arguments = arguments.into_iter().peekable();
    let mut rewritten: Vec<OsString> = arguments.next().into_iter().collect();
    let named = match arguments.peek() {
        None => return rewritten,
        Some(first) if is_flag(first) => match flag(program, first) {
            Some(_) => {
                return rewritten
                    .into_iter()
                    .chain(own(program, arguments))
                    .collect();
            }
            None => OsString::from(default),
        },
        Some(_) => arguments.next().unwrap_or_default(),
    };
    if NOT_MOSNS.iter().any(|name| named == *name) {
        rewritten.push(named);
        rewritten.extend(arguments);
        return rewritten;
    }
    let command = program.find_subcommand(&named).unwrap_or(program);
    rewritten.push(named);
    rewritten.extend(own(command, arguments));
    rewritten
}

/// Rewrites the arguments of one command, up to `--` or the first that is no flag.
fn own(
    command: &Command,
    arguments: impl IntoIterator<Item = OsString>,
) -> impl Iterator<Item = OsString> {
    let mut arguments = arguments.into_iter();
    let mut rewritten = Vec::new();
    while let Some(argument) = arguments.next() {
        let Some((flag, value)) = flag(command, &argument) else {
            if !is_flag(&argument) {
                rewritten.push(argument);
                break;
            }
            rewritten.push(two_dashes(argument));
            continue;
        };
        let mut text = OsString::from("--");
        text.push(flag.get_long().unwrap_or_default());
        // A value is joined to its flag, so that it may begin with a dash.
        let value = value.or_else(|| match flag.get_action() {
            ArgAction::Set | ArgAction::Append if !is_optional(flag) => arguments.next(),
            _ => None,
        });
        if let Some(value) = value {
            text.push("=");
            text.push(value);
        }
        rewritten.push(text);
    }
    rewritten.into_iter().chain(arguments)
}

/// Lets clap name an unknown flag whole, instead of its first letter.
fn two_dashes(unknown: OsString) -> OsString {
    let bytes = unknown.as_encoded_bytes();
    if bytes.starts_with(b"--") || bytes.len() == 2 {
        return unknown;
    }
    let mut whole = OsString::from("-");
    whole.push(unknown);
    whole
}

/// Whether the flag may stand alone, as Go's boolean flags do.
fn is_optional(flag: &Arg) -> bool {
    flag.get_num_args()
        .is_some_and(|values| values.min_values() == 0)
}

fn is_flag(argument: &OsStr) -> bool {
    let bytes = argument.as_encoded_bytes();
    bytes.len() > 1 && bytes[0] == b'-' && bytes != b"--"
}

/// The flag that `argument` names, and the value after its `=`.
fn flag<'c>(command: &'c Command, argument: &OsStr) -> Option<(&'c Arg, Option<OsString>)> {
    let text = argument.to_str()?;
    let text = text.strip_prefix("--").or_else(|| text.strip_prefix('-'))?;
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(OsString::from(value))),
        None => (text, None),
    };
    let flag = command.get_arguments().find(|flag| is_called(flag, name))?;
    Some((flag, value))
}

fn is_called(flag: &Arg, name: &str) -> bool {
    let mut letters = name.chars();
    let short = letters.next().filter(|_| letters.next().is_none());
    flag.get_long() == Some(name)
        || flag
            .get_all_aliases()
            .is_some_and(|aliases| aliases.contains(&name))
        || short.is_some_and(|short| {
            flag.get_short_and_visible_aliases()
                .is_some_and(|shorts| shorts.contains(&short))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    fn rewritten(line: &str) -> String {
        let mut program = super::super::arguments::Program::command();
        program.build();
        let arguments = line.split(' ').map(OsString::from);
        let words: Vec<_> = canonical(&program, "start", arguments)
            .into_iter()
            .map(|word| word.into_string().unwrap())
            .collect();
        words.join(" ")
    }

    #[test]
    fn flags_are_gos() {
        for (given, expected) in [
            ("b", "b"),
            ("b start -c f", "b start --config=f"),
            ("b load -c200 -t 2 -D10 u", "b load -c200 -t 2 -D10 u"),
            ("b start --c=f", "b start --config=f"),
            ("b start -config f", "b start --config=f"),
            ("b -c f", "b start --config=f"),
            ("b --config=f", "b start --config=f"),
            (
                "b start -sm a:b -sm -c -sl=x",
                "b start --service-meta=a:b --service-meta=-c --service-lables=x",
            ),
            (
                "b start -pns n -pn p -pi i",
                "b start --pod-namespace=n --pod-name=p --pod-ip=i",
            ),
            (
                "b start -domain d -lf x -lc y",
                "b start --cluster-domain=d --log-format=x --component-log-level=y",
            ),
            (
                "b start -disable-hot-restart -l debug",
                "b start --disable-hot-restart --log-level=debug",
            ),
            (
                "b start -disable-hot-restart=false",
                "b start --disable-hot-restart=false",
            ),
            ("b -h", "b --help"),
            ("b --version", "b --version"),
            ("b -v", "b --version"),
            ("b start -h", "b start --help"),
            ("b start -unknown", "b start --unknown"),
            ("b -unknown", "b start --unknown"),
            ("b stop -c f", "b stop --config=f"),
            (
                "b check -c f --strict -format json",
                "b check --config=f --strict --format=json",
            ),
            ("b foo -c f", "b foo -c f"),
            ("b start word -c f", "b start word -c f"),
            ("b start -- -c f", "b start -- -c f"),
            ("b start -c", "b start --config"),
            ("b start -", "b start -"),
        ] {
            assert_eq!(rewritten(given), expected, "{given}");
        }
    }

    #[test]
    fn what_is_rewritten_parses() {
        let mut program = super::super::arguments::Program::command();
        program.build();
        let line = "b -c=f -s a -n b -p sidecar -sm k:v -f x=true -drain-time-s 5 -concurrency 2";
        let arguments = canonical(&program, "start", line.split(' ').map(OsString::from));
        super::super::arguments::Program::try_parse_from(arguments).unwrap();
    }
}
