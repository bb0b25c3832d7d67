//! Text compared in any case of letters, without memory of its own where it is short.

use std::borrow::Cow;

/// Bytes of a text that is folded without allocating; longer ones are rare.
const SHORT: usize = 256;

/// Where a text is folded.
pub(super) struct Room([u8; SHORT]);

impl Room {
    pub(super) fn new() -> Self {
        Self([0; SHORT])
    }

    /// `text` with the letters of ASCII in lower case.
    pub(super) fn lower<'a>(&'a mut self, text: &'a [u8]) -> Cow<'a, [u8]> {
        if !text.iter().any(u8::is_ascii_uppercase) {
            return Cow::Borrowed(text);
        }
        match self.0.get_mut(..text.len()) {
            Some(room) => {
                room.copy_from_slice(text);
                room.make_ascii_lowercase();
                Cow::Borrowed(room)
            }
            None => Cow::Owned(text.to_ascii_lowercase()),
        }
    }

    /// `text` with all letters in one case: two texts that differ only in case fold to the same.
    pub(super) fn folded<'a>(&'a mut self, text: &'a [u8]) -> Cow<'a, [u8]> {
        match text.is_ascii() {
            true => self.lower(text),
            false => Cow::Owned(folded(text)),
        }
    }
}

/// Folds letters beyond ASCII too; what is not UTF-8 stays.
fn folded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        for letter in chunk.valid().chars() {
            let mut bytes = [0; 4];
            out.extend_from_slice(lower(letter).encode_utf8(&mut bytes).as_bytes());
        }
        out.extend_from_slice(chunk.invalid());
    }
    out
}

/// Through upper case, which unites letters with two lower cases (`σ` and `ς`).
fn lower(letter: char) -> char {
    let upper = only(letter.to_uppercase()).unwrap_or(letter);
    only(upper.to_lowercase()).unwrap_or(upper)
}

fn only(mut letters: impl Iterator<Item = char>) -> Option<char> {
    letters.next().filter(|_| letters.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_differ_only_in_case_fold_to_the_same() {
        for (one, other) in [
            ("/Index.HTML", "/index.html"),
            ("/\u{c4}pfel", "/\u{e4}pfel"),
            ("/ΟΔΟΣ", "/οδος"),
            ("/\u{212a}", "/k"),
        ] {
            let fold = |text: &str| Room::new().folded(text.as_bytes()).into_owned();
            assert_eq!(fold(one), fold(other), "{one}");
        }
    }

    #[test]
    fn a_short_text_of_ascii_is_folded_without_allocating() {
        let mut room = Room::new();
        assert!(matches!(room.lower(b"Host"), Cow::Borrowed(b"host")));
        assert!(matches!(room.folded(b"/path"), Cow::Borrowed(b"/path")));
        let long = vec![b'A'; SHORT + 1];
        assert_eq!(*room.lower(&long), *vec![b'a'; SHORT + 1]);
    }

    #[test]
    fn what_is_not_utf_8_stays() {
        assert_eq!(*Room::new().folded(b"/A\xff\xc3\x84"), *b"/a\xff\xc3\xa4");
    }
}
