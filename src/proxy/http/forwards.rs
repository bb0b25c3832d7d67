//! Requests that say how often they may be forwarded (RFC 9110 section 7.6.2).

use crate::protocol::http1::{Fields, Method};

use super::reply::LocalReply;

const MAX_FORWARDS: &str = "Max-Forwards";

/// How often a request may be forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forwards {
    /// As often as there are proxies on its way.
    Unlimited,
    /// Once, and by those behind us so often.
    Then(u64),
    /// Never: it is for us.
    Never,
}

impl Forwards {
    /// Other methods are forwarded whatever the field says, and so is what is no number.
    pub(super) fn of(method: Method, fields: &Fields) -> Self {
        if !matches!(method, Method::Options | Method::Trace) {
            return Self::Unlimited;
        }
        let mut values = fields.all(MAX_FORWARDS);
        let (Some(value), None) = (values.next(), values.next()) else {
            return Self::Unlimited;
        };
        match number(value) {
            Some(0) => Self::Never,
            Some(number) => Self::Then(number - 1),
            None => Self::Unlimited,
        }
    }

    /// Says it to the next one.
    pub(super) fn tell(self, fields: &mut Fields) {
        if let Self::Then(number) = self {
            let mut digits = itoa::Buffer::new();
            fields.set(MAX_FORWARDS, digits.format(number).as_bytes());
        }
    }
}

/// The answer to a request that was for us. What TRACE asks for would show fields that were not
/// meant for whoever reads it.
pub(super) fn answer(method: Method) -> LocalReply {
    LocalReply::text(if method == Method::Trace { 501 } else { 200 }, "")
}

fn number(digits: &[u8]) -> Option<u64> {
    let is_number = digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok();
    text.filter(|_| is_number)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_and_trace_are_forwarded_as_often_as_they_say() {
        use Forwards::{Never, Then, Unlimited};
        for (method, values, expected) in [
            (Method::Trace, &["0"][..], Never),
            (Method::Options, &["00"], Never),
            (Method::Options, &["1"], Then(0)),
            (Method::Trace, &["10"], Then(9)),
            (Method::Trace, &[], Unlimited),
            (Method::Get, &["0"], Unlimited),
            (Method::Other, &["0"], Unlimited),
            (Method::Trace, &["0", "0"], Unlimited),
            (Method::Trace, &[""], Unlimited),
            (Method::Trace, &["+1"], Unlimited),
            (Method::Trace, &["1, 2"], Unlimited),
            (Method::Trace, &["99999999999999999999"], Unlimited),
        ] {
            let mut fields = Fields::default();
            for value in values {
                fields.push(b"max-forwards", value.as_bytes());
            }
            let forwards = Forwards::of(method, &fields);
            assert_eq!(forwards, expected, "{method:?} {values:?}");
            forwards.tell(&mut fields);
            let told = fields.get("max-forwards").map(<[u8]>::to_vec);
            let unchanged = values.first().map(|value| value.as_bytes().to_vec());
            match expected {
                Then(number) => assert_eq!(told, Some(number.to_string().into_bytes())),
                _ => assert_eq!(told, unchanged),
            }
        }
    }
}
