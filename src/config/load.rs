//! From a file, or a text, to a plan and everything there is to say about it.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use super::diagnostics::{Code, Diagnostic, Diagnostics, Severity};
use super::document::Document;
use super::plan::Plan;
use super::raw::{self, Cursor, Place, Value, keys};
use super::resolve::resolve;

/// The largest file that is read.
pub const LARGEST: u64 = 64 << 20;

/// The language of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// JSON, strict.
    #[default]
    Json,
    /// YAML.
    Yaml,
}

impl Format {
    /// YAML for the extensions `yaml` and `yml`, and JSON for every other one, as in MOSN.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        match path.extension().and_then(OsStr::to_str) {
            Some("yaml" | "yml") => Self::Yaml,
            _ => Self::Json,
        }
    }
}

/// A text and what it is called in findings.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The file's name.
    pub file: &'a str,
    /// Its language.
    pub format: Format,
    /// Its bytes.
    pub text: &'a [u8],
}

/// What resolution may ask of the world: it looks nowhere else.
pub trait Surroundings {
    /// The addresses of a listener's host name.
    ///
    /// # Errors
    ///
    /// When there are none, or nobody to ask.
    fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;

    /// The files of a directory, in the order of their names.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn entries(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;

    /// A file's bytes, at most [`LARGEST`].
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is larger.
    fn read(&self, file: &Path) -> io::Result<Vec<u8>>;
}

/// The machine's own names and files.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine;

impl Surroundings for Machine {
    fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok((host, port).to_socket_addrs()?.collect())
    }

    fn entries(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let entries = std::fs::read_dir(directory)?;
        let mut paths = entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    }

    fn read(&self, file: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(file)?
            .take(LARGEST + 1)
            .read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    }
}

/// Nothing but the text: no file is read, and of host names only `localhost` is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Surroundings for Alone {
    fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        match host {
            "localhost" => Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]),
            _ => Err(io::Error::new(
                io::ErrorKind::NotFound,
                "names are not looked up here",
            )),
        }
    }

    fn entries(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Err(io::Error::new(
            io::ErrorKind::NotFound,
            "files are not read here",
        ))
    }

    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::Error::new(
            io::ErrorKind::NotFound,
            "files are not read here",
        ))
    }
}

/// What came of a configuration.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The plan; present exactly when there is no error.
    pub plan: Option<Plan>,
    /// Everything found, in the order of the file.
    pub diagnostics: Diagnostics,
    /// The document, when the text was one.
    pub document: Option<Document>,
}

impl Loaded {
    fn refused(mut diagnostics: Diagnostics) -> Self {
        diagnostics.sort();
        Self {
            plan: None,
            diagnostics,
            document: None,
        }
    }
}

/// Reads a file, resolving listeners' host names and reading the directories that it names.
///
/// A file that cannot be read is a finding too. Nothing is written.
#[must_use]
pub fn load(path: &Path) -> Loaded {
    let file = path.to_string_lossy();
    match Machine.read(path) {
        Ok(text) => {
            let source = Source {
                file: &file,
                format: Format::of(path),
                text: &text,
            };
            parse(&source, &Machine)
        }
        Err(error) => {
            let mut diagnostics = Diagnostics::default();
            diagnostics.push(unreadable(&raw::Path::root(&*file), &error));
            Loaded::refused(diagnostics)
        }
    }
}

/// Makes a plan of a text.
#[must_use]
pub fn parse(source: &Source<'_>, surroundings: &dyn Surroundings) -> Loaded {
    let mut diagnostics = Diagnostics::default();
    let path = raw::Path::root(source.file);
    let Some(value) = read(source, &mut diagnostics) else {
        return Loaded::refused(diagnostics);
    };
    let node = raw::walk(&value, &keys::TOP, &path, Severity::Error, &mut diagnostics);
    let plan = resolve(&Cursor::new(&node, path), surroundings, &mut diagnostics);
    diagnostics.sort();
    drop(node);
    Loaded {
        plan: (!diagnostics.has_errors()).then_some(plan),
        diagnostics,
        document: Some(Document::written(value)),
    }
}

/// The document that a text is, if it is one.
pub(super) fn read(source: &Source<'_>, diagnostics: &mut Diagnostics) -> Option<Value> {
    let path = raw::Path::root(source.file);
    let text = match std::str::from_utf8(source.text) {
        Ok(text) => Cow::Borrowed(text),
        Err(error) => {
            let before = &source.text[..error.valid_up_to()];
            // Go replaces such bytes; YAML forbids them.
            let severity = match source.format {
                Format::Json => Severity::Warning,
                Format::Yaml => Severity::Error,
            };
            let at = (&path, place_after(before));
            let message = "these bytes are not UTF-8";
            diagnostics.push(Diagnostic::new(severity, Code::InvalidUtf8, at, message));
            if severity == Severity::Error {
                return None;
            }
            String::from_utf8_lossy(source.text)
        }
    };
    match raw::read(&text, source.format) {
        Ok(value) => Some(value),
        Err(fault) => {
            diagnostics.push(fault.into_diagnostic(&path));
            None
        }
    }
}

pub(super) fn unreadable(path: &raw::Path<'_>, error: &io::Error) -> Diagnostic {
    let (code, message) = match error.kind() {
        io::ErrorKind::FileTooLarge => (
            Code::TooLarge,
            format!("the file is larger than {} MiB", LARGEST >> 20),
        ),
        _ => (
            Code::Unreadable,
            format!("the file cannot be read: {error}"),
        ),
    };
    Diagnostic::new(Severity::Error, code, (path, Place::START), message)
}

fn place_after(text: &[u8]) -> Place {
    let bound = |count: usize| u32::try_from(count + 1).unwrap_or(u32::MAX);
    let line_start = text
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    Place {
        line: bound(text.iter().filter(|byte| **byte == b'\n').count()),
        column: bound(String::from_utf8_lossy(&text[line_start..]).chars().count()),
    }
}

impl Plan {
    /// Makes a plan of JSON text, asking nothing of the machine: listeners are given by address (or
    /// `localhost`), and nothing is read from directories.
    ///
    /// # Errors
    ///
    /// Everything found, when an error is among it.
    pub fn from_json(text: &str) -> Result<Self, Diagnostics> {
        let source = Source {
            file: "<json>",
            format: Format::Json,
            text: text.as_bytes(),
        };
        let Loaded {
            plan, diagnostics, ..
        } = parse(&source, &Alone);
        plan.ok_or(diagnostics)
    }
}
