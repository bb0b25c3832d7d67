//! Fields that are for the next hop only (RFC 9110 section 7.6.1).

use super::error::Malformed;
use super::fields::Fields;
use super::grammar::elements;
use super::known::{Known, Names};

/// Connection options that a message may have. Real ones have one or two; each costs a pass over
/// the fields.
const MAX_OPTIONS: usize = 64;

/// The options of `Connection` that mean something to us.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    named: u8,
    count: usize,
}

impl Options {
    pub(super) const CLOSE: u8 = 1;
    pub(super) const KEEP_ALIVE: u8 = 2;
    pub(super) const UPGRADE: u8 = 4;

    /// Adds those of one `Connection` field.
    pub(super) fn add(&mut self, value: &[u8]) -> Result<(), Malformed> {
        for option in elements(value) {
            self.count += 1;
            self.named |= match option.len() {
                5 if option.eq_ignore_ascii_case(b"close") => Self::CLOSE,
                10 if option.eq_ignore_ascii_case(b"keep-alive") => Self::KEEP_ALIVE,
                7 if option.eq_ignore_ascii_case(b"upgrade") => Self::UPGRADE,
                _ => 0,
            };
        }
        if self.count > MAX_OPTIONS {
            return Err(Malformed::ConnectionOptions);
        }
        Ok(())
    }

    pub(super) fn has(self, option: u8) -> bool {
        self.named & option != 0
    }
}

impl Fields {
    /// Removes what was for this hop only: `Connection`, the fields it names, `Keep-Alive`,
    /// `Proxy-Connection`, `TE`, `Transfer-Encoding` and `Upgrade`.
    ///
    /// `Host` and `Content-Length` stay though they be named, and `Trailer` unless it is. To be
    /// called before the proxy adds fields of its own, which a peer could name.
    pub fn strip_hop_by_hop(&mut self) {
        while let Some(value) = self.take(Known::Connection) {
            self.remove_listed(value, takes_fields);
        }
        self.remove_known(Names::ONE_HOP);
    }

    /// Appends the names of fields that `Connection` lists, with a comma behind each: trailers of
    /// these names are for this hop only as well.
    pub(super) fn list_named(&self, out: &mut Vec<u8>) {
        let lists = self
            .known()
            .filter(|(known, _)| *known == Known::Connection);
        for option in lists.flat_map(|(_, value)| elements(value)) {
            if takes_fields(option) {
                out.extend_from_slice(option);
                out.push(b',');
            }
        }
    }

    /// Removes `Content-Length` and `Transfer-Encoding`; [`Framing`](super::Framing) writes them
    /// anew.
    pub fn strip_framing(&mut self) {
        self.remove_known(Names::FRAMING);
    }
}

/// Whether an option of `Connection` takes the fields of its name away. Those of one hop go anyway,
/// once all options are read; the next hop needs `Content-Length` and `Host` to read the message.
fn takes_fields(option: &[u8]) -> bool {
    let known = Known::of(option);
    !option.is_empty()
        && !option.eq_ignore_ascii_case(b"close")
        && !Names::ONE_HOP.has(known)
        && !matches!(known, Known::ContentLength | Known::Host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(fields: &[(&str, &str)]) -> Vec<String> {
        let mut stripped = Fields::default();
        for (name, value) in fields {
            stripped.push(name.as_bytes(), value.as_bytes());
        }
        stripped.strip_hop_by_hop();
        let names = stripped.iter();
        names
            .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
            .collect()
    }

    #[test]
    fn fields_of_one_hop_go() {
        let fields = [
            ("Host", "a"),
            ("Connection", "close, X-One ,x-two,,keep-alive"),
            ("x-ONE", "1"),
            ("X-Three", "3"),
            ("connection", "X-Two, connection, Upgrade"),
            ("X-Two", "2"),
            ("x-two", "2"),
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Connection", "keep-alive"),
            ("TE", "trailers"),
            ("Transfer-Encoding", "chunked"),
            ("Upgrade", "websocket"),
            ("Trailer", "X-Sum"),
        ];
        assert_eq!(stripped(&fields), ["Host", "X-Three", "Trailer"]);
    }

    #[test]
    fn naming_what_frames_or_routes_a_message_does_not_remove_it() {
        let fields = [
            ("Connection", "host, CONTENT-LENGTH, Transfer-Encoding"),
            ("Host", "a"),
            ("Content-Length", "5"),
        ];
        assert_eq!(stripped(&fields), ["Host", "Content-Length"]);
    }

    #[test]
    fn framing_goes_on_its_own() {
        let mut fields = Fields::default();
        for name in [
            "content-length",
            "TRANSFER-ENCODING",
            "Content-Type",
            "Content-Length",
        ] {
            fields.push(name.as_bytes(), b"1");
        }
        fields.strip_framing();
        let names: Vec<_> = fields.iter().map(|(name, _)| name.to_vec()).collect();
        assert_eq!(names, [b"Content-Type"]);
    }

    #[test]
    fn options_are_bounded() {
        let mut options = Options::default();
        let half = ["a"; MAX_OPTIONS / 2].join(",");
        assert_eq!(options.add(half.as_bytes()), Ok(()));
        assert_eq!(options.add(half.as_bytes()), Ok(()));
        assert_eq!(options.add(b"a"), Err(Malformed::ConnectionOptions));
    }
}
