//! Which listening sockets the service manager keeps, so that a crash closes no port.

use std::collections::BTreeMap;

use super::notifier::Message;
use crate::actor::root::Bound;
use crate::name::ListenerName;

/// What marks a descriptor as left by an earlier life of this process.
const PREFIX: &str = "stored-";

/// The longest name that a manager takes.
const LONGEST: usize = 255;

/// What the manager keeps: the sockets of which listeners, in which of their lives.
#[derive(Debug, Default)]
pub(super) struct Store(BTreeMap<ListenerName, u64>);

impl Store {
    /// Another process, or an earlier life of this one, may have had the sockets of these listeners
    /// kept.
    pub(super) fn has_of_earlier(&mut self, listeners: impl IntoIterator<Item = ListenerName>) {
        // No generation is 0.
        self.0.extend(listeners.into_iter().map(|name| (name, 0)));
    }

    /// What the manager is told so that it keeps these and nothing else.
    pub(super) fn becomes(&mut self, wanted: Vec<Bound>) -> Vec<Message> {
        let stays = |name: &ListenerName, generation: u64| {
            let same = |bound: &Bound| bound.name == *name && bound.generation == generation;
            wanted.iter().any(same)
        };
        let (kept, gone): (BTreeMap<_, _>, _) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|(name, generation)| stays(name, *generation));
        self.0 = kept;
        let mut messages: Vec<_> = gone
            .keys()
            .map(|name| Message::Forget(stored(name)))
            .collect();
        for Bound {
            name,
            generation,
            sockets,
        } in wanted
        {
            if self.0.contains_key(&name) {
                continue;
            }
            let stored = stored(&name);
            messages.push(Message::Keep(stored, sockets));
            self.0.insert(name, generation);
        }
        messages
    }
}

/// How a listener's sockets are called in the store: what a name may not have is written as `%XX`.
fn stored(listener: &ListenerName) -> String {
    let mut name = PREFIX.to_owned();
    for byte in listener.as_str().bytes() {
        match byte {
            b':' | b'%' => name += &format!("%{byte:02X}"),
            0x21..=0x7e => name.push(char::from(byte)),
            _ => name += &format!("%{byte:02X}"),
        }
    }
    // One that is so long is found again by its address.
    name.truncate(LONGEST);
    name
}

/// The listener whose sockets are called so; `None` when it is no name that [`stored`] gives.
pub(super) fn listener_of(name: &str) -> Option<String> {
    let mut rest = name.strip_prefix(PREFIX)?;
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
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(name: &str, generation: u64) -> Bound {
        Bound {
            name: name.into(),
            generation,
            sockets: vec![],
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
        store.has_of_earlier(["gone".into(), "a".into()]);
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
            let stored = stored(&name.into());
            assert!(!stored.contains(':') && stored.is_ascii(), "{stored}");
            assert_eq!(listener_of(&stored).as_deref(), Some(name));
        }
        assert_eq!(listener_of("banyan.socket"), None);
        assert_eq!(stored(&"é".repeat(200).as_str().into()).len(), LONGEST);
    }
}
