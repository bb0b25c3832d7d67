//! Where a value stands: its file, and the keys and indices that lead to it.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use super::value::shorten;

/// A JSON path, shared with the paths of its neighbours and made text only when it is shown.
#[derive(Clone, Debug)]
pub(crate) struct Path<'a>(Rc<Link<'a>>);

#[derive(Debug)]
enum Link<'a> {
    Root(Arc<str>),
    Key(Path<'a>, &'a str),
    Index(Path<'a>, usize),
}

impl<'a> Path<'a> {
    pub(crate) fn root(file: impl Into<Arc<str>>) -> Self {
        Self(Rc::new(Link::Root(file.into())))
    }

    pub(crate) fn key(&self, key: &'a str) -> Self {
        Self(Rc::new(Link::Key(self.clone(), key)))
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        Self(Rc::new(Link::Index(self.clone(), index)))
    }

    pub(crate) fn file(&self) -> Arc<str> {
        let mut at = self;
        loop {
            match &*at.0 {
                Link::Root(file) => return file.clone(),
                Link::Key(parent, _) | Link::Index(parent, _) => at = parent,
            }
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Link::Root(_) => f.write_str("$"),
            Link::Key(parent, key) if is_word(key) => write!(f, "{parent}.{}", shorten(key)),
            Link::Key(parent, key) => write!(f, "{parent}[{:?}]", shorten(key)),
            Link::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

fn is_word(key: &str) -> bool {
    !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_as_json_path() {
        let path = Path::root("f").key("a").index(3).key("b c");
        assert_eq!(path.to_string(), r#"$.a[3]["b c"]"#);
        assert_eq!(&*path.file(), "f");
    }
}
