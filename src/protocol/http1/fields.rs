//! The fields of a head, in their order and in the letters they came in.

use std::fmt;

use super::error::Malformed;
use super::grammar::elements;
use super::known::{Known, Names};

/// The fields of a head, in their order and in the letters they came in.
///
/// Names and values lie in one buffer, as they were received; a change is appended to it. A name
/// is compared in any case of letters. Values have no white space around them.
#[derive(Clone, Default)]
pub struct Fields {
    bytes: Vec<u8>,
    fields: Vec<Field>,
    /// At least those that there are: what is not there need not be looked for.
    names: Names,
}

#[derive(Clone, Copy)]
struct Field {
    name: Span,
    value: Span,
    known: Known,
    /// Whether its line lies in the buffer as it goes over the wire.
    is_line: bool,
}

/// A part of a buffer that is far below 4 GiB, as heads are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    at: u32,
    len: u32,
}

impl Fields {
    /// The first value under a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let field = self.fields.iter().find(|field| self.is(field, name))?;
        Some(self.text(field.value))
    }

    /// Every value under a name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let named = self.fields.iter().filter(move |field| self.is(field, name));
        named.map(|field| self.text(field.value))
    }

    /// Every name and value, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let fields = self.fields.iter();
        fields.map(|field| (self.text(field.name), self.text(field.value)))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Adds a field at the end. Name and value must be what RFC 9110 section 5 allows: whoever
    /// calls has parsed or checked them.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let known = Known::of(name);
        self.names = self.names.with(known);
        let (name, value) = (self.store(name), self.store(value));
        self.fields.push(Field {
            name,
            value,
            known,
            is_line: false,
        });
    }

    /// Makes this the only field of its name: the first one keeps its place, others go.
    pub fn set(&mut self, name: &str, value: &[u8]) {
        let Some(at) = self.fields.iter().position(|field| self.is(field, name)) else {
            return self.push(name.as_bytes(), value);
        };
        let value = self.store(value);
        self.fields[at].value = value;
        self.fields[at].is_line = false;
        let mut place = 0;
        self.retain(|found, _| {
            place += 1;
            place <= at + 1 || !found.eq_ignore_ascii_case(name.as_bytes())
        });
    }

    /// Removes every field of a name. Says whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.fields.len();
        self.retain(|found, _| !found.eq_ignore_ascii_case(name.as_bytes()));
        self.fields.len() < before
    }

    /// Keeps the fields of which `keep` says so, given name and value.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        let bytes = &self.bytes;
        self.fields
            .retain(|field| keep(field.name.of(bytes), field.value.of(bytes)));
    }

    /// Removes all, and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
        self.names = Names::default();
    }

    /// Appends them to `out` as they go over the wire, each with its line end.
    ///
    /// Lines that came one after the other, and as they go, are copied together.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let mut fields = self.fields.iter().peekable();
        while let Some(field) = fields.next() {
            if !field.is_line {
                out.extend_from_slice(self.text(field.name));
                out.extend_from_slice(b": ");
                out.extend_from_slice(self.text(field.value));
                out.extend_from_slice(b"\r\n");
                continue;
            }
            let mut end = field.line_end();
            while let Some(next) = fields.next_if(|next| next.is_line && next.name.at == end) {
                end = next.line_end();
            }
            out.extend_from_slice(&self.bytes[field.name.at as usize..end as usize]);
        }
    }

    /// Takes over the field lines of a head, up to and with the empty line, as they were tokenised.
    ///
    /// Every byte of `block` must be accounted for: the tokeniser lets bare line feeds through.
    pub(super) fn adopt(
        &mut self,
        block: &[u8],
        lines: &[httparse::Header<'_>],
    ) -> Result<(), Malformed> {
        self.clear();
        self.bytes.extend_from_slice(block);
        self.fields.reserve(lines.len());
        u32::try_from(block.len()).expect(Span::FITS);
        let mut at = 0;
        for line in lines {
            let colon = at + line.name.len();
            debug_assert_eq!(&block[at..colon], line.name.as_bytes());
            // Nearly all are such. There is no line end in a value, so that one which ends where
            // such a line does has no other white space around it.
            let mut value = colon + 2;
            let mut end = value + line.value.len();
            let is_line = block.get(colon + 1) == Some(&b' ') && is_line_end(block, end);
            if !is_line {
                value = after_white_space(block, colon + 1);
                end = after_white_space(block, value + line.value.len());
                if !is_line_end(block, end) {
                    return Err(Malformed::LineEnd);
                }
            }
            let value = Span::within(value, line.value.len());
            debug_assert_eq!(value.of(block), line.value);
            let known = Known::of(line.name.as_bytes());
            self.names = self.names.with(known);
            self.fields.push(Field {
                name: Span::within(at, line.name.len()),
                value,
                known,
                is_line,
            });
            at = end + 2;
        }
        if !is_line_end(block, at) || at + 2 != block.len() {
            return Err(Malformed::LineEnd);
        }
        Ok(())
    }

    /// Removes the first field of a name, and says where its value lies.
    pub(super) fn take(&mut self, known: Known) -> Option<Span> {
        if !self.names.has(known) {
            return None;
        }
        let Some(at) = self.fields.iter().position(|field| field.known == known) else {
            self.names = self.names.without(known);
            return None;
        };
        Some(self.fields.remove(at).value)
    }

    /// Removes every field whose name is one of these.
    pub(super) fn remove_known(&mut self, names: Names) {
        if self.names.meets(names) {
            self.fields.retain(|field| !names.has(field.known));
        }
    }

    /// What each name is, and its value, in order.
    pub(super) fn known(&self) -> impl Iterator<Item = (Known, &[u8])> {
        let fields = self.fields.iter();
        fields.map(|field| (field.known, self.text(field.value)))
    }

    /// Removes every field that is named in the comma-separated `list`, where `listed` says that
    /// it may be.
    pub(super) fn remove_listed(&mut self, list: Span, listed: impl Fn(&[u8]) -> bool) {
        let Self { bytes, fields, .. } = self;
        for name in elements(list.of(bytes)).filter(|name| listed(name)) {
            fields.retain(|field| !field.name.of(bytes).eq_ignore_ascii_case(name));
        }
    }

    /// The value of the field at a place.
    pub(super) fn value(&self, place: usize) -> &[u8] {
        self.text(self.fields[place].value)
    }

    fn is(&self, field: &Field, name: &str) -> bool {
        field.name.len as usize == name.len()
            && self.text(field.name).eq_ignore_ascii_case(name.as_bytes())
    }

    fn text(&self, span: Span) -> &[u8] {
        span.of(&self.bytes)
    }

    fn store(&mut self, text: &[u8]) -> Span {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(text);
        Span::new(at, text.len())
    }
}

impl Field {
    /// Where its line ends, if it lies there as a whole.
    fn line_end(&self) -> u32 {
        self.value.end() + 2
    }
}

impl Span {
    const FITS: &str = "a head is far below 4 GiB";

    /// # Panics
    ///
    /// When either is over 4 GiB.
    pub(super) fn new(at: usize, len: usize) -> Self {
        Self {
            at: u32::try_from(at).expect(Self::FITS),
            len: u32::try_from(len).expect(Self::FITS),
        }
    }

    /// As [`new`](Self::new), of a part of what is known not to be too long.
    fn within(at: usize, len: usize) -> Self {
        Self {
            at: at as u32,
            len: len as u32,
        }
    }

    pub(super) fn is_empty(self) -> bool {
        self.len == 0
    }

    fn end(self) -> u32 {
        self.at + self.len
    }

    pub(super) fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.at as usize..][..self.len as usize]
    }
}

fn after_white_space(block: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t') = block.get(at) {
        at += 1;
    }
    at
}

fn is_line_end(block: &[u8], at: usize) -> bool {
    block.get(at..at + 2) == Some(b"\r\n")
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        f.debug_map()
            .entries(self.iter().map(|(name, value)| (text(name), text(value))))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Fields {
        let mut fields = Fields::default();
        for (name, value) in [("Host", "a"), ("X-One", "1"), ("x-one", "2"), ("Last", "z")] {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        fields
    }

    fn wire(fields: &Fields) -> String {
        let mut out = Vec::new();
        fields.write_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_name_is_found_in_any_case_and_kept_in_its_own() {
        let fields = fields();
        assert_eq!(fields.get("x-one"), Some(&b"1"[..]));
        assert_eq!(fields.all("X-ONE").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(fields.get("one"), None);
        assert_eq!(
            wire(&fields),
            "Host: a\r\nX-One: 1\r\nx-one: 2\r\nLast: z\r\n"
        );
    }

    #[test]
    fn a_field_that_is_set_is_the_only_one_and_keeps_its_place() {
        let mut fields = fields();
        fields.set("X-ONE", b"3");
        fields.set("New", b"n");
        assert_eq!(
            wire(&fields),
            "Host: a\r\nX-One: 3\r\nLast: z\r\nNew: n\r\n"
        );
    }

    #[test]
    fn every_field_of_a_name_is_removed() {
        let mut fields = fields();
        assert!(fields.remove("x-oNe"));
        assert!(!fields.remove("x-oNe"));
        assert_eq!(wire(&fields), "Host: a\r\nLast: z\r\n");
    }

    fn adopted(block: &str) -> Fields {
        let mut lines = [httparse::EMPTY_HEADER; 8];
        let parsed = httparse::parse_headers(block.as_bytes(), &mut lines).unwrap();
        let (_, lines) = parsed.unwrap();
        let mut fields = Fields::default();
        fields.adopt(block.as_bytes(), lines).unwrap();
        fields
    }

    #[test]
    fn lines_go_as_they_came_but_for_their_white_space() {
        let came = "A: 1\r\nB:2\r\nC:\t3\r\nD:  4\r\nE: 5 \r\nF:\r\nG: \r\nH: 8\r\n\r\n";
        let goes = "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\nF: \r\nG: \r\nH: 8\r\n";
        assert_eq!(wire(&adopted(came)), goes);
    }

    #[test]
    fn a_change_between_lines_that_came_is_written_in_its_place() {
        let mut fields = adopted("A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n\r\n");
        fields.set("b", b"two");
        fields.remove("C");
        fields.push(b"E", b"5");
        assert_eq!(wire(&fields), "A: 1\r\nB: two\r\nD: 4\r\nE: 5\r\n");
    }
}
