//! The header block: names and values, each after its length.
//!
//! A length of −1 stands for no string: such a pair is passed over, and a name of none has no value.

use super::super::rpc::{Edit, Flaw};

/// The length that stands for no string.
const NONE: u32 = u32::MAX;

/// The longest header block that a frame can have.
const LONGEST: usize = u16::MAX as usize;

/// A header: its name and its value.
type Header<'a> = (&'a [u8], &'a [u8]);

/// The headers of a block, in order. After an error there are no more.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    rest: &'a [u8],
}

impl<'a> Headers<'a> {
    /// Those of this block.
    #[must_use]
    pub fn of(block: &'a [u8]) -> Self {
        Self { rest: block }
    }

    /// The value of the first header of this name.
    ///
    /// # Errors
    ///
    /// [`Flaw::Headers`] when the block ends within a header before the name is found.
    pub fn find(&mut self, name: &[u8]) -> Result<Option<&'a [u8]>, Flaw> {
        for header in self {
            let (of, value) = header?;
            if of == name {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// The next string; `None` for one of length −1.
    fn string(&mut self) -> Result<Option<&'a [u8]>, Flaw> {
        let (length, rest) = self.rest.split_first_chunk::<4>().ok_or(Flaw::Headers)?;
        let length = u32::from_be_bytes(*length);
        if length == NONE {
            self.rest = rest;
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| Flaw::Headers)?;
        let (string, rest) = rest.split_at_checked(length).ok_or(Flaw::Headers)?;
        self.rest = rest;
        Ok(Some(string))
    }

    fn pair(&mut self) -> Result<Option<Header<'a>>, Flaw> {
        while !self.rest.is_empty() {
            let Some(name) = self.string()? else {
                continue;
            };
            if let Some(value) = self.string()? {
                return Ok(Some((name, value)));
            }
        }
        Ok(None)
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Result<Header<'a>, Flaw>;

    fn next(&mut self) -> Option<Self::Item> {
        let pair = self.pair();
        if pair.is_err() {
            self.rest = &[];
        }
        pair.transpose()
    }
}

/// Appends a header to a block.
pub fn write_header(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for string in [name, value] {
        // What does not fit makes the block too long for a frame, which is found out there.
        let length = u32::try_from(string.len()).unwrap_or(NONE - 1);
        block.extend_from_slice(&length.to_be_bytes());
        block.extend_from_slice(string);
    }
}

/// The block after `edits`, each applied to what those before it left.
pub(super) fn edited(block: &[u8], edits: &[Edit<'_>]) -> Result<Vec<u8>, Flaw> {
    let mut pairs = Headers::of(block)
        .map(|pair| pair.map(|(name, value)| (name, value.to_vec())))
        .collect::<Result<Vec<_>, _>>()?;
    for edit in edits {
        apply(&mut pairs, edit);
    }
    let mut block = Vec::with_capacity(block.len() + 64);
    for (name, value) in &pairs {
        write_header(&mut block, name, value);
    }
    if block.len() > LONGEST {
        return Err(Flaw::HeadersTooLong);
    }
    Ok(block)
}

fn apply<'a>(pairs: &mut Vec<(&'a [u8], Vec<u8>)>, edit: &Edit<'a>) {
    let first = pairs.iter_mut().find(|(name, _)| *name == edit.name());
    match (edit, first) {
        (Edit::Remove(of), _) => pairs.retain(|(name, _)| name != of),
        (Edit::Set(_, to), Some((_, value))) => *value = to.to_vec(),
        (Edit::Append(_, more), Some((_, value))) => {
            value.push(b',');
            value.extend_from_slice(more);
        }
        (Edit::Set(name, value) | Edit::Append(name, value), None) => {
            pairs.push((name, value.to_vec()));
        }
    }
}
