//! Which protocols a `proxy` speaks.

use super::Scope;
use super::forward::PROTOCOLS;
use crate::config::diagnostics::Code;
use crate::config::plan::{Breadth, RpcProtocol, Spoken};
use crate::config::raw::{self, Cursor, nearest};

/// The protocols that a `proxy` speaks.
pub(super) struct Protocols<'a> {
    /// As written.
    names: Vec<&'a str>,
    /// What is in effect of them; at least one.
    spoken: Vec<Spoken>,
}

/// How connections are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// All of them as this.
    One(Spoken),
    /// Each as what it turns out to speak.
    Each,
}

impl<'a> Protocols<'a> {
    /// `None` when nothing of them is in effect.
    pub(super) fn of(config: &Cursor<'a>, scope: &mut Scope<'_>) -> Option<Self> {
        let (text, at) = match config.text("downstream_protocol") {
            Some(("X", at)) => sub_protocol(config).unwrap_or(("X", at)),
            Some(found) => found,
            None => {
                let message = "a `proxy` needs a `downstream_protocol`; this one is ignored";
                let diagnostic = config.warning(Code::MissingKey, message);
                scope.push(diagnostic.accepted(PROTOCOLS.join(", ")));
                return None;
            }
        };
        let names: Vec<&str> = text.split(',').collect();
        for unknown in names.iter().filter(|name| !PROTOCOLS.contains(name)) {
            let may_be_brought = may_be_brought(unknown);
            let message = match may_be_brought {
                true => "no protocol has this name, unless the program around the proxy brings it",
                false => "no protocol has this name; this `proxy` is ignored",
            };
            scope.push(
                at.warning(Code::UnknownValue, message)
                    .found(raw::quote(unknown))
                    .accepted(PROTOCOLS.join(", "))
                    .suggest(nearest(unknown, PROTOCOLS)),
            );
            if !may_be_brought {
                return None;
            }
        }
        let spoken = spoken(&names);
        if spoken.is_empty() {
            let message = format!("`{text}` is not yet in effect; this `proxy` is ignored");
            scope.push(at.warning(Code::NotInEffect, message));
            return None;
        }
        let protocols = Self { names, spoken };
        let unspoken = protocols.unspoken();
        if !unspoken.is_empty() {
            let message = format!(
                "{} are told apart and not yet spoken: such a connection goes to the fallback, or \
                 ends",
                unspoken.join(", ")
            );
            scope.push(at.warning(Code::NotInEffect, message).found(at.brief()));
        }
        Some(protocols)
    }

    /// How connections are served. Both versions of Bolt are told apart by each of their frames, so
    /// that nobody has to find out before, unless what is neither goes elsewhere.
    pub(super) fn way(&self, has_fallback: bool) -> Way {
        let is_one = self.names.len() == 1 && self.names[0] != "Auto";
        let is_bolt = |name: &&str| matches!(*name, "bolt" | "boltv2");
        match is_one || (self.names.iter().all(is_bolt) && !has_fallback) {
            true => Way::One(self.spoken[0].clone()),
            false => Way::Each,
        }
    }

    /// What is in effect, in its order.
    pub(super) fn spoken(&self) -> &[Spoken] {
        &self.spoken
    }

    /// What is told apart and not spoken.
    pub(super) fn unspoken(&self) -> Vec<&'static str> {
        let is_auto = self.breadth() == Breadth::All;
        let comes = |name: &&str| is_auto || self.names.contains(name);
        let known = PROTOCOLS.into_iter().filter(comes);
        known
            .filter(|name| *name != "Auto" && served(name).is_none())
            .collect()
    }

    /// Whether protocols that nobody has named come into question.
    pub(super) fn breadth(&self) -> Breadth {
        match self.names.contains(&"Auto") {
            true => Breadth::All,
            false => Breadth::Listed,
        }
    }

    /// The protocol whose settings RPC goes by.
    pub(super) fn rpc(&self) -> RpcProtocol {
        let mut spoken = self.spoken.iter();
        let found = spoken.find_map(|one| match one {
            Spoken::Rpc(protocol) => Some(protocol.clone()),
            Spoken::Http1 => None,
        });
        found.unwrap_or(RpcProtocol::Bolt)
    }

    /// What `extend_config` says about one of them: under its name, or, where there is no other, as
    /// it is.
    pub(super) fn settings(&self, of: &Spoken, at: &Cursor<'a>) -> Option<Cursor<'a>> {
        if self.is_flat(at) {
            return Some(at.clone());
        }
        let mut members = at.members().into_iter();
        let own = members.find(|(name, _)| is_own(of, name));
        own.map(|(_, at)| at)
    }

    /// All protocols whose requests share connections go by the settings of the first of them.
    fn note_shared(&self, own: &str, at: &Cursor<'a>, scope: &mut Scope<'_>) {
        let first = self.rpc();
        if own == "Http1" || is_own(&Spoken::Rpc(first.clone()), own) {
            return;
        }
        let message = format!(
            "the settings of `{}`, which is named first, hold for `{own}` too",
            first.name()
        );
        scope.push(at.note(Code::NoEffect, message));
    }

    fn is_flat(&self, at: &Cursor<'a>) -> bool {
        // In whatever case: a name that is nearly one is no setting.
        let is_protocol = |name: &str| {
            let mut known = PROTOCOLS.iter().chain(&self.names);
            known.any(|known| known.eq_ignore_ascii_case(name))
        };
        let is_keyed = at.members().iter().any(|(name, _)| is_protocol(name));
        matches!(self.way(false), Way::One(_)) && !is_keyed
    }

    /// Says what `extend_config` says about nothing that is spoken.
    pub(super) fn other_settings(&self, at: &Cursor<'a>, scope: &mut Scope<'_>) {
        if self.is_flat(at) {
            return;
        }
        for (name, at) in &at.members() {
            match *name {
                "sub_protocol" => {}
                own if self.spoken.iter().any(|one| is_own(one, own)) => {
                    self.note_shared(own, at, scope);
                }
                known if PROTOCOLS.contains(&known) => {
                    let message = format!("settings of `{known}` are not yet in effect");
                    scope.push(at.warning(Code::NotInEffect, message));
                }
                unknown => {
                    let message = format!("no protocol is called `{}`", raw::shorten(unknown));
                    let diagnostic = at.warning(Code::UnknownKey, message);
                    scope.push(
                        diagnostic
                            .accepted(PROTOCOLS.join(", "))
                            .suggest(nearest(unknown, PROTOCOLS)),
                    );
                }
            }
        }
    }
}

/// Whether settings under this name are those of a protocol.
fn is_own(of: &Spoken, name: &str) -> bool {
    match of {
        Spoken::Http1 => name == "Http1",
        Spoken::Rpc(RpcProtocol::Registered(own)) => **own == *name,
        Spoken::Rpc(_) => matches!(name, "bolt" | "boltv2"),
    }
}

/// Whether this may be the name of a protocol that somebody else brings: a name, and not one of
/// ours in another letter case.
fn may_be_brought(name: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let mut ours = PROTOCOLS.iter().chain(&["X"]);
    !name.is_empty()
        && name.chars().all(is_letter)
        && !ours.any(|ours| ours.eq_ignore_ascii_case(name))
}

fn spoken(names: &[&str]) -> Vec<Spoken> {
    match names.contains(&"Auto") {
        true => Spoken::ALL.to_vec(),
        false => names
            .iter()
            .filter_map(|name| {
                let is_ours = PROTOCOLS.contains(name);
                match is_ours {
                    true => served(name),
                    false => Some(Spoken::Rpc(RpcProtocol::named(name))),
                }
            })
            .collect(),
    }
}

fn served(name: &str) -> Option<Spoken> {
    Spoken::ALL.into_iter().find(|one| one.name() == name)
}

/// The protocol behind the older spelling `X`.
fn sub_protocol<'a>(config: &Cursor<'a>) -> Option<(&'a str, Cursor<'a>)> {
    let at = config.get("extend_config")?.get("sub_protocol")?;
    Some((at.as_text().filter(|text| !text.is_empty())?, at))
}
