//! What a consistent hash is made of, hashed as MOSN does.

use std::net::IpAddr;

use siphasher::sip::SipHasher24;

use crate::config::HashKey;

use super::Facts;

/// MOSN's key for what is taken from requests.
const REQUEST_KEY: u64 = 0xbeef_cafe_babe_dead;

/// The hash of a request; `None` when it has nothing of what the hash is to be made of.
///
/// `source` is the downstream's address, asked for only where it counts.
pub fn hashed(
    key: &HashKey,
    facts: &impl Facts,
    source: impl FnOnce() -> Option<IpAddr>,
) -> Option<u64> {
    match key {
        HashKey::SourceIp => source().map(source_hash),
        HashKey::Field(name) => Some(pair(name, b':', facts.field(name)?)),
        HashKey::Cookie(name) => Some(pair(name, b'=', &facts.cookie(name)?)),
    }
}

/// The hash of an address: its last four bytes as a number. Of IPv6 that would be the part that is
/// most alike between clients, so all of it is hashed.
#[must_use]
pub fn source_hash(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => u64::from(u32::from(address)),
        IpAddr::V6(address) => SipHasher24::new_with_keys(REQUEST_KEY, 0).hash(&address.octets()),
    }
}

fn pair(name: &str, between: u8, value: &[u8]) -> u64 {
    let hasher = SipHasher24::new_with_keys(REQUEST_KEY, 0);
    // Nearly all fit on the stack; whole, since the hash of parts is not that of the whole in every
    // implementation.
    let mut short = [0; 256];
    let len = name.len() + 1 + value.len();
    match short.get_mut(..len) {
        Some(text) => {
            text[..name.len()].copy_from_slice(name.as_bytes());
            text[name.len()] = between;
            text[name.len() + 1..].copy_from_slice(value);
            hasher.hash(text)
        }
        None => hasher.hash(&[name.as_bytes(), &[between], value].concat()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::table::tests::Request;

    fn hash_of(text: &[u8]) -> Option<u64> {
        Some(SipHasher24::new_with_keys(0xbeef_cafe_babe_dead, 0).hash(text))
    }

    #[test]
    fn a_hash_is_made_of_name_and_value() {
        let long = "v".repeat(300);
        let request = Request::to("h", "/")
            .field("x-user", "ann")
            .field("x-long", &long)
            .field("cookie", "a=1; id=77");
        let hashed = |key: HashKey| hashed(&key, &request, || unreachable!("it is not asked for"));
        let field = |name: &str| hashed(HashKey::Field(name.to_owned()));
        assert_eq!(field("x-user"), hash_of(b"x-user:ann"));
        let whole = format!("x-long:{long}");
        assert_eq!(field("x-long"), hash_of(whole.as_bytes()));
        assert_eq!(hashed(HashKey::Cookie("id".into())), hash_of(b"id=77"));
    }

    #[test]
    fn a_request_without_the_value_has_no_hash() {
        let request = Request::to("h", "/");
        let hashed = |key: &HashKey| hashed(key, &request, || None);
        for key in [
            HashKey::Field("x-user".to_owned()),
            HashKey::Cookie("id".to_owned()),
            HashKey::SourceIp,
        ] {
            assert_eq!(hashed(&key), None);
        }
    }

    #[test]
    fn an_address_is_its_own_hash() {
        let hash = |text: &str| source_hash(text.parse().unwrap());
        assert_eq!(hash("10.1.2.3"), 0x0a01_0203);
        assert_eq!(hash("::ffff:10.1.2.3"), 0x0a01_0203);
        assert_ne!(hash("2001:db8:1::1"), hash("2001:db8:2::1"));
    }
}
