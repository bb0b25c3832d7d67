//! What a reader is told about a configuration: every finding, with its place.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::raw::{Path, Place};

/// Findings of one severity that are kept; more are only counted, so that a hostile file cannot
/// turn into gigabytes of findings.
const KEPT: usize = 1000;

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// There is no plan.
    Error,
    /// There is a plan, and it is probably not what was meant.
    Warning,
    /// Worth knowing; nothing is wrong.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

/// Whether warnings refuse a configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strictness {
    /// Only errors refuse, so that every file which starts MOSN starts.
    #[default]
    Lenient,
    /// Warnings refuse too, those about keys that are not yet in effect included: who asks for
    /// strictness wants to hear that something which they configured does nothing.
    Strict,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident = $text:literal),+ $(,)?) => {
        /// What kind of finding it is. The text forms are stable: scripts may match them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[$doc])* $code),+
        }

        impl Code {
            /// Every code, in alphabetical order.
            pub const ALL: &[Self] = &[$(Self::$code),+];

            /// The stable kebab-case text.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$code => $text),+
                }
            }
        }
    };
}

codes! {
    /// An address is not in a form that is accepted, or does not resolve.
    BadAddress = "bad-address",
    /// A byte size is not `<digits><unit>`.
    BadByteSize = "bad-byte-size",
    /// A domain is not in a form that is accepted.
    BadDomain = "bad-domain",
    /// A duration is not in Go's syntax.
    BadDuration = "bad-duration",
    /// A format of an access log has an empty or unclosed variable.
    BadFormat = "bad-format",
    /// A header field's name or value cannot be sent.
    BadHeader = "bad-header",
    /// A regular expression cannot be compiled.
    BadPattern = "bad-pattern",
    /// A port list is not `n` or `a-b`, separated by commas.
    BadPorts = "bad-ports",
    /// A roller is not a list of `key=value`.
    BadRoller = "bad-roller",
    /// Two keys that exclude one another are both given.
    ConflictingKeys = "conflicting-keys",
    /// Still accepted; there is another way to say it.
    Deprecated = "deprecated",
    /// MOSN 1.4 does otherwise with this.
    DiffersFromMosn = "differs-from-mosn",
    /// Two listeners would bind the same address.
    DuplicateAddress = "duplicate-address",
    /// Two clusters have one name; the last one is used.
    DuplicateCluster = "duplicate-cluster",
    /// Two virtual hosts of a router are for one domain.
    DuplicateDomain = "duplicate-domain",
    /// Two hosts of a cluster have one address; the first one is used.
    DuplicateHost = "duplicate-host",
    /// One key is given twice in one object; the last one is used.
    DuplicateKey = "duplicate-key",
    /// Two listeners have one name.
    DuplicateListener = "duplicate-listener",
    /// Two routers have one name; the last one is used.
    DuplicateRouter = "duplicate-router",
    /// Bytes that are not UTF-8.
    InvalidUtf8 = "invalid-utf8",
    /// A key without which its object means nothing is missing or empty.
    MissingKey = "missing-key",
    /// Nothing is ever matched by this.
    NeverMatches = "never-matches",
    /// Accepted, and without effect in MOSN too.
    NoEffect = "no-effect",
    /// No filter of a listener is usable: its connections are closed at once.
    NoUsableFilter = "no-usable-filter",
    /// A listener has no socket of its own.
    NotBound = "not-bound",
    /// Accepted; a later version gives it its effect.
    NotInEffect = "not-in-effect",
    /// A number or duration is outside what is accepted.
    OutOfRange = "out-of-range",
    /// The text is not JSON or YAML.
    Syntax = "syntax",
    /// Arrays and objects are nested too deeply.
    TooDeep = "too-deep",
    /// The document is too large.
    TooLarge = "too-large",
    /// No cluster has the name that is referred to.
    UnknownCluster = "unknown-cluster",
    /// No filter or extension has this type.
    UnknownFilter = "unknown-filter",
    /// A key that nothing reads.
    UnknownKey = "unknown-key",
    /// No router has the name that is referred to.
    UnknownRouter = "unknown-router",
    /// A word that is not among those accepted.
    UnknownValue = "unknown-value",
    /// No variable has this name.
    UnknownVariable = "unknown-variable",
    /// A file or directory cannot be read.
    Unreadable = "unreadable",
    /// A host's weight is outside 1 to 128.
    WeightClamped = "weight-clamped",
    /// An array has too few or too many elements.
    WrongCount = "wrong-count",
    /// A value of another type is accepted here.
    WrongType = "wrong-type",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How grave it is.
    pub severity: Severity,
    /// What kind it is.
    pub code: Code,
    /// The file it is in.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// JSON path, as `$.servers[0].listeners[0].address`.
    pub path: String,
    /// What is wrong, in words.
    pub message: String,
    /// What stands there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// What may stand there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<String>,
    /// What was probably meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
}

impl Diagnostic {
    pub(crate) fn new(
        severity: Severity,
        code: Code,
        (path, place): (&Path<'_>, Place),
        message: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            code,
            file: path.file(),
            line: place.line,
            column: place.column,
            path: path.to_string(),
            message: message.into(),
            found: None,
            accepted: None,
            suggestion: None,
        }
    }

    pub(crate) fn found(mut self, found: impl Into<String>) -> Self {
        self.found = Some(found.into());
        self
    }

    pub(crate) fn accepted(mut self, accepted: impl Into<String>) -> Self {
        self.accepted = Some(accepted.into());
        self
    }

    pub(crate) fn suggest(mut self, suggestion: Option<impl Into<String>>) -> Self {
        self.suggestion = suggestion.map(Into::into);
        self
    }
}

/// Everything that was found in one configuration, in the order of discovery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    kept: Vec<Diagnostic>,
    counts: [usize; 3],
}

impl Diagnostics {
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        self.push_with(diagnostic.severity, || diagnostic);
    }

    /// Makes the finding only if it is kept: looking for what was meant costs time.
    pub(crate) fn push_with(&mut self, severity: Severity, make: impl FnOnce() -> Diagnostic) {
        let count = &mut self.counts[severity as usize];
        *count += 1;
        if *count <= KEPT {
            self.kept.push(make());
        }
    }

    /// Puts findings in the order in which a reader meets them.
    pub(crate) fn sort(&mut self) {
        self.kept
            .sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    }

    /// Every finding that was kept: the first thousand of each severity.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.kept.iter()
    }

    /// The errors among them.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.of(Severity::Error)
    }

    /// Those of one severity.
    pub fn of(&self, severity: Severity) -> impl Iterator<Item = &Diagnostic> {
        self.kept
            .iter()
            .filter(move |found| found.severity == severity)
    }

    /// How many of one severity were found, whether kept or not.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.counts[severity as usize]
    }

    /// How many were found and not kept.
    #[must_use]
    pub fn omitted(&self) -> usize {
        self.counts.iter().sum::<usize>() - self.kept.len()
    }

    /// Whether nothing at all was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Whether there is an error, and so no plan.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// Whether the configuration is refused.
    #[must_use]
    pub fn refused(&self, strictness: Strictness) -> bool {
        self.has_errors() || strictness == Strictness::Strict && self.count(Severity::Warning) > 0
    }
}
