//! Findings as text for people and as JSON for programs.

use std::fmt::{self, Write};

use serde::Serialize;

use super::diagnostics::{Diagnostic, Diagnostics, Severity};

/// As a person reads it: the place and what is wrong, then what helps.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            severity,
            code,
            line,
            column,
            ..
        } = self;
        write!(
            f,
            "{}:{line}:{column}: {severity}[{code}]: ",
            Plain(&self.file)
        )?;
        writeln!(f, "{}", Plain(&self.message))?;
        writeln!(f, "  at: {}", Plain(&self.path))?;
        if let Some(found) = &self.found {
            writeln!(f, "  found: {}", Plain(found))?;
        }
        if let Some(accepted) = &self.accepted {
            writeln!(f, "  accepted: {}", Plain(accepted))?;
        }
        if let Some(suggestion) = &self.suggestion {
            writeln!(f, "  help: did you mean `{}`?", Plain(suggestion))?;
        }
        Ok(())
    }
}

impl Diagnostic {
    /// All of it in one line, for a log.
    #[must_use]
    pub fn to_line(&self) -> String {
        let text = self.to_string();
        let parts: Vec<_> = text.lines().map(str::trim_start).collect();
        parts.join("; ")
    }
}

/// Text from a file, made safe for a terminal.
struct Plain<'a>(&'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| {
            if c.is_control() {
                write!(f, "{}", c.escape_unicode())
            } else {
                f.write_char(c)
            }
        })
    }
}

/// What JSON readers get: one document a run.
#[derive(Serialize)]
struct Report<'a> {
    file: &'a str,
    ok: bool,
    errors: usize,
    warnings: usize,
    notes: usize,
    omitted: usize,
    diagnostics: Vec<&'a Diagnostic>,
}

impl Diagnostics {
    /// A block for each finding, and a closing line as `3 errors, 2 warnings`; empty when nothing
    /// was found.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for diagnostic in self.iter() {
            let _ = writeln!(text, "{diagnostic}");
        }
        if self.omitted() > 0 {
            let _ = writeln!(text, "{} more are not shown", self.omitted());
        }
        if !self.is_empty() {
            text.push_str(&self.summary());
            text.push('\n');
        }
        text
    }

    /// How many of each severity, as `1 error, 2 warnings`.
    #[must_use]
    pub fn summary(&self) -> String {
        let parts: Vec<String> = [Severity::Error, Severity::Warning, Severity::Note]
            .into_iter()
            .map(|severity| (self.count(severity), severity))
            .filter(|(count, _)| *count > 0)
            .map(|(count, severity)| {
                format!("{count} {severity}{}", if count == 1 { "" } else { "s" })
            })
            .collect();
        if parts.is_empty() {
            "no errors, no warnings".to_owned()
        } else {
            parts.join(", ")
        }
    }

    /// One JSON document:
    /// `{"file", "ok", "errors", "warnings", "notes", "omitted", "diagnostics": […]}`.
    ///
    /// `ok` says that there is no error.
    #[must_use]
    pub fn to_json(&self, file: &str) -> String {
        let report = Report {
            file,
            ok: !self.has_errors(),
            errors: self.count(Severity::Error),
            warnings: self.count(Severity::Warning),
            notes: self.count(Severity::Note),
            omitted: self.omitted(),
            diagnostics: self.iter().collect(),
        };
        serde_json::to_string_pretty(&report).expect("strings and numbers always serialise")
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

impl std::error::Error for Diagnostics {}
