//! Which listening sockets the service manager keeps, so that a crash closes no port.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::notifier::Message;
use crate::actor::root::Bound;
use crate::config::Address;
use crate::net::FileLeft;

/// What marks a descriptor as left by an earlier life of this process.
const PREFIX: &str = "stored-";

/// The longest name that a manager takes.
const LONGEST: usize = 255;

/// What the manager keeps: sockets by the names that it has for them, and in which of their lives
/// the listeners were.
#[derive(Debug, Default)]
pub(super) struct Store(BTreeMap<String, u64>);

impl Store {
    /// Another process, or an earlier life of this one, may have had sockets kept by these names.
    pub(super) fn has_of_earlier(&mut self, names: impl IntoIterator<Item = String>) {
        // No generation is 0.
        self.0.extend(names.into_iter().map(|name| (name, 0)));
    }

    /// What the manager is told so that it keeps these and nothing else.
    pub(super) fn becomes(&mut self, wanted: Vec<Bound>) -> Vec<Message> {
        let named = wanted.into_iter().filter_map(|bound| {
            let first = bound.sockets.first()?;
            let file = match first.address() {
                // One without a file of its own is the manager's anyhow.
                Address::Unix(path) => Some((path.as_path(), first.file()?)),
                Address::Tcp(_) => None,
            };
            Some((stored(bound.name.as_str(), file)?, bound))
        });
        let wanted: BTreeMap<String, Bound> = named.collect();
        let stays = |name: &String, generation: u64| {
            let bound = wanted.get(name);
            bound.is_some_and(|bound| bound.generation == generation)
        };
        let (kept, gone): (BTreeMap<_, _>, _) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|(name, generation)| stays(name, *generation));
        self.0 = kept;
        let mut messages: Vec<_> = gone.into_keys().map(Message::Forget).collect();
        for (name, bound) in wanted {
            if self.0.contains_key(&name) {
                continue;
            }
            messages.push(Message::Keep(name.clone(), bound.sockets));
            self.0.insert(name, bound.generation);
        }
        messages
    }
}

/// How a listener's sockets are called in the store, with the file of a unix socket: what a name may
/// not have is written as `%XX`. `None` when all that would be too long to be found again by.
pub(super) fn stored(listener: &str, file: Option<(&Path, (u64, u64))>) -> Option<String> {
    let place = file.map_or_else(String::new, |(path, (device, inode))| {
        let path = escaped(path.as_os_str().as_bytes());
        format!("{END}{device}{END}{inode}{END}{path}")
    });
    let mut name = PREFIX.to_owned() + &escaped(listener.as_bytes());
    // One whose name is cut is found again by its address.
    name.truncate(LONGEST.checked_sub(place.len())?.max(PREFIX.len()));
    name += &place;
    (name.len() <= LONGEST).then_some(name)
}

/// Between the parts of a name: a zero byte, which no part has.
const END: &str = "%00";

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b':' | b'%' => text += &format!("%{byte:02X}"),
            0x21..=0x7e => text.push(char::from(byte)),
            _ => text += &format!("%{byte:02X}"),
        }
    }
    text
}

/// The listener whose sockets are called so, and the file; `None` when it is no name that
/// [`stored`] gives.
pub(super) fn listener_of(name: &str) -> Option<(String, Option<FileLeft>)> {
    let bytes = unescaped(name.strip_prefix(PREFIX)?);
    let mut parts = bytes.splitn(4, |byte| *byte == 0);
    let listener = String::from_utf8(parts.next()?.to_vec()).ok()?;
    let mut number = || std::str::from_utf8(parts.next()?).ok()?.parse().ok();
    let place = number().zip(number());
    let path = parts.next().map(|path| OsStr::from_bytes(path).into());
    let file = path.zip(place);
    Some((listener, file.map(|(path, place)| FileLeft { path, place })))
}

fn unescaped(mut rest: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some(first) = rest.chars().next() {
        let code = (first == '%')
            .then(|| u8::from_str_radix(rest.get(1..3)?, 16).ok())
            .flatten();
        match code {
            Some(code) => {
                bytes.push(code);
                rest = &rest[3..];
            }
            None => {
                bytes.extend(rest[..first.len_utf8()].bytes());
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::bind;

    fn bound(name: &str, generation: u64) -> Bound {
        let any_port = Address::Tcp(([127, 0, 0, 1], 0).into());
        Bound {
            name: name.into(),
            generation,
            sockets: bind(&any_port, 1).unwrap(),
        }
    }

    fn told(store: &mut Store, wanted: &[(&str, u64)]) -> Vec<String> {
        let wanted = wanted
            .iter()
            .map(|(name, generation)| bound(name, *generation));
        let told = store.becomes(wanted.collect()).into_iter();
        told.map(|message| match message {
            Message::Keep(name, _) => format!("+{name}"),
            Message::Forget(name) => format!("-{name}"),
            Message::Words(_) => "?".to_owned(),
        })
        .collect()
    }

    #[test]
    fn the_manager_keeps_what_is_bound_and_nothing_else() {
        let mut store = Store::default();
        store.has_of_earlier(["stored-gone".into(), "stored-a".into()]);
        assert_eq!(
            told(&mut store, &[("a", 1), ("b", 2)]),
            ["-stored-a", "-stored-gone", "+stored-a", "+stored-b"]
        );
        assert!(told(&mut store, &[("a", 1), ("b", 2)]).is_empty());
        // One of the same name that listens elsewhere.
        assert_eq!(
            told(&mut store, &[("a", 3), ("b", 2)]),
            ["-stored-a", "+stored-a"]
        );
        assert_eq!(told(&mut store, &[]), ["-stored-a", "-stored-b"]);
    }

    #[test]
    fn a_listener_may_be_called_anything() {
        for name in ["web", "0.0.0.0:80", "a b", "100%", "Größe", "%zz", ""] {
            let stored = stored(name, None).unwrap();
            assert!(!stored.contains(':') && stored.is_ascii(), "{stored}");
            assert_eq!(listener_of(&stored), Some((name.to_owned(), None)));
        }
        assert_eq!(listener_of("banyan.socket"), None);
        assert_eq!(stored(&"é".repeat(200), None).unwrap().len(), LONGEST);
    }

    #[test]
    fn the_file_of_a_unix_socket_is_in_its_name() {
        let path = Path::new("/run/a b:c.sock");
        let file = FileLeft {
            path: path.to_owned(),
            place: (7, 12345),
        };
        let name = stored("web", Some((path, file.place))).unwrap();
        assert_eq!(name, "stored-web%007%0012345%00/run/a%20b%3Ac.sock");
        assert_eq!(
            listener_of(&name),
            Some(("web".to_owned(), Some(file.clone())))
        );
        let long = stored(&"w".repeat(300), Some((path, file.place))).unwrap();
        assert_eq!(long.len(), LONGEST);
        assert_eq!(listener_of(&long).unwrap().1, Some(file));
        let longer = "/".to_owned() + &":".repeat(100);
        assert_eq!(stored("web", Some((Path::new(&longer), (7, 1)))), None);
    }
}
