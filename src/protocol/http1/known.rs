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

    /// Whether it is a field of one hop, be it named by `Connection` or not (RFC 9110 section 7.6.1).
    pub(super) fn is_of_one_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::KeepAlive
                | Self::ProxyConnection
                | Self::Te
                | Self::TransferEncoding
                | Self::Upgrade
        )
    }

    /// Whether it tells where a body ends.
    pub(super) fn is_framing(self) -> bool {
        matches!(self, Self::ContentLength | Self::TransferEncoding)
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
