//! The names of fields that decide how a message is read and what is sent on.

/// The names of fields that decide how a message is read and what is sent on: told once, when a
/// field is read, and asked for several times.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Known {
    /// Any other name.
    #[default]
    No,
    Connection,
    ContentLength,
    Expect,
    Host,
    KeepAlive,
    ProxyConnection,
    Te,
    TransferEncoding,
    Upgrade,
}

impl Known {
    /// What this name is, in any case of letters.
    #[inline]
    pub(super) fn of(name: &[u8]) -> Self {
        let Some(first) = name.first() else {
            return Self::No;
        };
        // Length and first letter tell all but a few others apart.
        let (known, text): (_, &[u8]) = match (name.len(), first | 0x20) {
            (2, b't') => (Self::Te, b"te"),
            (4, b'h') => (Self::Host, b"host"),
            (6, b'e') => (Self::Expect, b"expect"),
            (7, b'u') => (Self::Upgrade, b"upgrade"),
            (10, b'c') => (Self::Connection, b"connection"),
            (10, b'k') => (Self::KeepAlive, b"keep-alive"),
            (14, b'c') => (Self::ContentLength, b"content-length"),
            (16, b'p') => (Self::ProxyConnection, b"proxy-connection"),
            (17, b't') => (Self::TransferEncoding, b"transfer-encoding"),
            _ => return Self::No,
        };
        match name.eq_ignore_ascii_case(text) {
            true => known,
            false => Self::No,
        }
    }
}

/// Some of the known names.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Names(u16);

impl Names {
    /// Those that tell where a body ends.
    pub(super) const FRAMING: Self = Self::of(&[Known::ContentLength, Known::TransferEncoding]);

    /// Those of fields of one hop, be they named by `Connection` or not (RFC 9110 section 7.6.1).
    pub(super) const ONE_HOP: Self = Self::of(&[
        Known::Connection,
        Known::KeepAlive,
        Known::ProxyConnection,
        Known::Te,
        Known::TransferEncoding,
        Known::Upgrade,
    ]);

    const fn of(names: &[Known]) -> Self {
        let mut all = Self(0);
        let mut at = 0;
        while at < names.len() {
            all = all.with(names[at]);
            at += 1;
        }
        all
    }

    pub(super) const fn with(self, name: Known) -> Self {
        Self(self.0 | 1 << name as u16)
    }

    pub(super) fn without(self, name: Known) -> Self {
        Self(self.0 & !(1 << name as u16))
    }

    pub(super) fn has(self, name: Known) -> bool {
        self.0 & 1 << name as u16 != 0
    }

    /// Whether a name is of both.
    pub(super) fn meets(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_in_any_case_of_letters() {
        let names = [
            ("TE", Known::Te),
            ("hOST", Known::Host),
            ("Expect", Known::Expect),
            ("upgrade", Known::Upgrade),
            ("Connection", Known::Connection),
            ("Keep-Alive", Known::KeepAlive),
            ("kEEP-aLIVE", Known::KeepAlive),
            ("content-Length", Known::ContentLength),
            ("Proxy-Connection", Known::ProxyConnection),
            ("Transfer-Encoding", Known::TransferEncoding),
        ];
        for (name, known) in names {
            assert_eq!(Known::of(name.as_bytes()), known, "{name}");
        }
    }

    #[test]
    fn a_set_has_what_it_was_made_of() {
        let names = Names::default().with(Known::No).with(Known::Te);
        assert!(names.has(Known::Te) && names.meets(Names::ONE_HOP));
        assert!(!names.without(Known::Te).meets(Names::ONE_HOP));
        assert!(!names.has(Known::Host) && !names.meets(Names::FRAMING));
    }

    #[test]
    fn what_only_looks_like_one_is_none() {
        for name in [
            "",
            "T",
            "hoss",
            "Keep_Alive",
            "kkkkkkkkkk",
            "Content_Length",
            "Upgrades",
        ] {
            assert_eq!(Known::of(name.as_bytes()), Known::No, "{name}");
        }
    }
}
