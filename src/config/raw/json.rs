//! Strict JSON (RFC 8259, as Go's decoder takes it) to values with places.

use super::Fault;
use super::value::{Kind, Member, Place, Value};
use crate::config::diagnostics::Code;

/// How deeply arrays and objects may nest. Real files stay below 30; Go's limit of 10,000 would
/// need a deeper stack than a thread has.
pub(crate) const DEPTH: usize = 128;

/// How many values one document may hold: ten for each of 200,000 hosts. They take about 300 MB.
pub(crate) const VALUES: usize = 2_000_000;

/// Reads one document.
///
/// # Errors
///
/// The first fault: after it nothing can be said about the rest.
pub(crate) fn read(text: &str) -> Result<Value, Fault> {
    let mut reader = Reader {
        text,
        at: 0,
        place: Place::START,
        values: 0,
    };
    if text.starts_with('\u{feff}') {
        return Err(reader.fault("a byte-order mark stands before the document"));
    }
    reader.skip_blanks();
    let value = reader.value(0)?;
    reader.skip_blanks();
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.fault("text follows the end of the document")),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    place: Place,
    values: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn bump(&mut self) {
        match self.text.as_bytes()[self.at] {
            b'\n' => {
                self.place.line = self.place.line.saturating_add(1);
                self.place.column = 1;
            }
            // Bytes within a character are not columns.
            0x80..=0xBF => {}
            _ => self.place.column = self.place.column.saturating_add(1),
        }
        self.at += 1;
    }

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.bump();
        }
    }

    fn skip_digits(&mut self) -> Result<(), Fault> {
        if !self.peek().is_some_and(|b| b.is_ascii_digit()) {
            return Err(self.unexpected("a digit"));
        }
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.bump();
        }
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Value, Fault> {
        let place = self.place;
        self.values += 1;
        if self.values > VALUES {
            let message = format!("the document holds more than {VALUES} values");
            return Err(Fault::new(Code::TooLarge, place, message));
        }
        let kind = match self.peek() {
            Some(b'{' | b'[') if depth == DEPTH => {
                let message = format!("arrays and objects are nested more than {DEPTH} deep");
                return Err(Fault::new(Code::TooDeep, place, message));
            }
            Some(b'{') => self.object(depth + 1)?,
            Some(b'[') => self.array(depth + 1)?,
            Some(b'"') => Kind::String(self.string()?.into()),
            Some(b'-' | b'0'..=b'9') => Kind::Number(self.number()?.into()),
            Some(b't') => self.word("true", Kind::Bool(true))?,
            Some(b'f') => self.word("false", Kind::Bool(false))?,
            Some(b'n') => self.word("null", Kind::Null)?,
            _ => return Err(self.unexpected("a value")),
        };
        Ok(Value { kind, place })
    }

    fn word(&mut self, word: &str, kind: Kind) -> Result<Kind, Fault> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.unexpected("a value"));
        }
        word.bytes().for_each(|_| self.bump());
        Ok(kind)
    }

    fn object(&mut self, depth: usize) -> Result<Kind, Fault> {
        let mut members = Vec::new();
        self.bump();
        self.skip_blanks();
        if self.peek() == Some(b'}') {
            self.bump();
            return Ok(Kind::Object(members.into()));
        }
        loop {
            self.skip_blanks();
            let place = self.place;
            match self.peek() {
                Some(b'"') => {}
                Some(b'}') => return Err(self.fault("a comma stands before `}`")),
                _ => return Err(self.unexpected("a key in double quotes")),
            }
            let key = self.string()?.into();
            self.skip_blanks();
            if self.peek() != Some(b':') {
                return Err(self.unexpected("`:` after a key"));
            }
            self.bump();
            self.skip_blanks();
            let value = self.value(depth)?;
            members.push(Member { key, place, value });
            if !self.another(b'}', "`,` or `}`")? {
                return Ok(Kind::Object(members.into()));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Kind, Fault> {
        let mut items = Vec::new();
        self.bump();
        self.skip_blanks();
        if self.peek() == Some(b']') {
            self.bump();
            return Ok(Kind::Array(items.into()));
        }
        loop {
            self.skip_blanks();
            if self.peek() == Some(b']') {
                return Err(self.fault("a comma stands before `]`"));
            }
            items.push(self.value(depth)?);
            if !self.another(b']', "`,` or `]`")? {
                return Ok(Kind::Array(items.into()));
            }
        }
    }

    /// Whether a comma announces another element, or `close` ends them.
    fn another(&mut self, close: u8, accepted: &str) -> Result<bool, Fault> {
        self.skip_blanks();
        match self.peek() {
            Some(b',') => {
                self.bump();
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.bump();
                Ok(false)
            }
            _ => Err(self.unexpected(accepted)),
        }
    }

    fn number(&mut self) -> Result<&'a str, Fault> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.bump();
        }
        if self.peek() == Some(b'0') {
            self.bump();
            if self.peek().is_some_and(|b| b.is_ascii_digit()) {
                return Err(self.fault("a number starts with a needless 0"));
            }
        } else {
            self.skip_digits()?;
        }
        if self.peek() == Some(b'.') {
            self.bump();
            self.skip_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.bump();
            if let Some(b'+' | b'-') = self.peek() {
                self.bump();
            }
            self.skip_digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn string(&mut self) -> Result<String, Fault> {
        let opened = self.place;
        let mut text = String::new();
        self.bump();
        loop {
            let start = self.at;
            while !matches!(self.peek(), None | Some(b'"' | b'\\' | 0x00..=0x1F)) {
                self.bump();
            }
            text.push_str(&self.text[start..self.at]);
            match self.peek() {
                Some(b'"') => {
                    self.bump();
                    return Ok(text);
                }
                Some(b'\\') => text.push(self.escape()?),
                None => {
                    let message = "this string is never closed";
                    return Err(Fault::new(Code::Syntax, opened, message));
                }
                Some(_) => return Err(self.unexpected("the rest of a string on its line")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Fault> {
        self.bump();
        let character = match self.peek() {
            Some(b'u') => {
                self.bump();
                return self.unicode();
            }
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            _ => return Err(self.unexpected("one of `\"\\/bfnrtu` after a backslash")),
        };
        self.bump();
        Ok(character)
    }

    /// One `\u` escape, or two that form a pair; a lone half becomes U+FFFD as in Go.
    fn unicode(&mut self) -> Result<char, Fault> {
        let first = self.four_hex_digits()?;
        if !(0xD800..0xDC00).contains(&first) || !self.text[self.at..].starts_with("\\u") {
            return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let (at, place) = (self.at, self.place);
        self.bump();
        self.bump();
        let second = self.four_hex_digits()?;
        if !(0xDC00..0xE000).contains(&second) {
            (self.at, self.place) = (at, place);
            return Ok(char::REPLACEMENT_CHARACTER);
        }
        let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn four_hex_digits(&mut self) -> Result<u32, Fault> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else {
                return Err(self.unexpected("four hexadecimal digits after `\\u`"));
            };
            code = code * 16 + digit;
            self.bump();
        }
        Ok(code)
    }

    fn fault(&self, message: impl Into<String>) -> Fault {
        Fault::new(Code::Syntax, self.place, message)
    }

    /// Says what stands here, with a word about the habits of other formats.
    fn unexpected(&self, accepted: &str) -> Fault {
        let rest = &self.text[self.at..];
        let Some(character) = rest.chars().next() else {
            let message = if self.text.trim().is_empty() {
                "the document is empty"
            } else {
                "the document ends too early"
            };
            return self.fault(message).accepted(accepted);
        };
        let word: String = rest
            .chars()
            .take_while(|c| c.is_alphanumeric())
            .take(20)
            .collect();
        let message = match character {
            '/' if rest.starts_with("//") || rest.starts_with("/*") => "JSON has no comments",
            '#' => "JSON has no comments",
            '\'' => "JSON strings stand in double quotes",
            ',' => "a value is missing before this comma",
            '\n' | '\r' => "a string goes over the end of its line",
            c if c.is_control() => "a control character must be written as an escape",
            '+' | '.' => "a JSON number starts with a digit or `-`",
            _ if matches!(&*word, "NaN" | "Infinity") => "JSON has no such number",
            _ => "this is not expected here",
        };
        let found = if word.is_empty() {
            character.to_string()
        } else {
            word
        };
        self.fault(message).found(found).accepted(accepted)
    }
}
