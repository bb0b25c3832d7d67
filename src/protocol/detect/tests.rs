//! What is told apart, and when: tables, and that no cut of a beginning changes the verdict.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

fn auto(bytes: &[u8]) -> Verdict<&'static str> {
    detect(KNOWN, bytes)
}

/// A frame of Tars of this length, as far as it is looked at.
fn tars_frame(length: u32, version: u8) -> Vec<u8> {
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend([0x10, version]);
    frame.resize((length as usize).clamp(6, 64), 0);
    frame
}

#[test]
fn every_protocol_is_told_by_its_first_bytes() {
    let dubbo = [&[0xda, 0xbb][..], &[0; 14]].concat();
    let short_tars = &tars_frame(40, 1)[..20];
    let thrift = [0, 0, 0, 50, 0xda, 0xbc];
    for (bytes, name) in [
        (&b"GET / HTTP/1.1\r\n"[..], "Http1"),
        (b"GET", "Http1"),
        (b"POST", "Http1"),
        (b"PATCH", "Http1"),
        (b"UNLINK /", "Http1"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0", "Http2"),
        (&[1], "bolt"),
        (&[2, 1, 0], "boltv2"),
        (&dubbo, "dubbo"),
        (&dubbo[..2], "dubbo"),
        (&thrift, "dubbo-thrift"),
        (&[0, 0, 0, 6, 0x10, 1], "tars"),
        (&tars_frame(40, 3), "tars"),
        (short_tars, "tars"),
    ] {
        assert_eq!(auto(bytes), Verdict::Is(name), "{bytes:?}");
    }
}

#[test]
fn more_is_asked_for_only_where_more_can_tell() {
    for bytes in [
        &b""[..],
        b"G",
        b"POS",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r",
        &[0xda],
        &[0, 0, 0, 50, 0xda],
        &[0, 0, 0, 6, 0x10],
    ] {
        assert_eq!(auto(bytes), Verdict::More, "{bytes:?}");
    }
    for bytes in [
        &b"helloworldhelloworldhelloworld"[..],
        b"SSH-2.0-x\r\n",
        b"PPPPPPPPPPPPPPPPPPPPP",
        b"PRI * HTTP/2.1",
        b"get / HTTP/1.1",
        &[0xda, 0xba, 0, 0, 0, 0],
    ] {
        assert_eq!(auto(bytes), Verdict::Unknown, "{bytes:?}");
    }
    // Four bytes of anything may be the length before the magic of dubbo-thrift.
    assert_eq!(auto(b"hell"), Verdict::More);
    for wrong in [
        tars_frame(3, 1),
        tars_frame(10_485_761, 1),
        tars_frame(40, 2),
    ] {
        assert_eq!(auto(&wrong), Verdict::Unknown, "{wrong:?}");
    }
}

#[test]
fn a_list_asks_its_own_in_its_order_and_a_rule_of_somebody_else_too() {
    let bolts = [("bolt", bolt as Rule), ("boltv2", bolt_v2)];
    assert_eq!(detect(bolts, b"GET /"), Verdict::Unknown);
    assert_eq!(detect(bolts, b""), Verdict::More);
    let example: Rule = |bytes| match bytes {
        [] => Answer::More,
        [b'x', ..] => Answer::Yes,
        _ => Answer::No,
    };
    let with_one = [("Http2", http2 as Rule), ("x_example", example)];
    assert_eq!(detect(with_one, b"x"), Verdict::Is("x_example"));
    assert_eq!(detect(with_one, b"PRI"), Verdict::More);
    // One before it needs more; the one that knows decides.
    let both = [("dubbo-thrift", dubbo_thrift as Rule), ("bolt", bolt)];
    assert_eq!(detect(both, &[1]), Verdict::Is("bolt"));
}

#[test]
fn who_was_silent_once_is_not_waited_for_again_for_a_while() {
    let patience = Patience {
        budget: Some(Duration::from_secs(15)),
    };
    let (now, minute) = (Instant::now(), Duration::from_secs(60));
    let [mail, web] = ["10.0.0.1:25", "10.0.0.1:80"].map(|text| Some(text.parse().unwrap()));
    let none = Habits::default();
    assert_eq!(patience.for_silence(none.of(mail, now)), patience.budget);
    let known = none.met(mail, now).unwrap();
    let short = patience.for_silence(known.of(mail, now)).unwrap();
    assert!(short < Duration::from_millis(150));
    assert_eq!(known.of(web, now), Silence::Unexpected);
    assert_eq!(known.of(None, now), Silence::Unexpected);
    assert!(known.met(mail, now + minute).is_none(), "it is known");
    assert!(known.met(mail, now + 6 * minute).is_some(), "it goes on");
    assert_eq!(known.of(mail, now + 11 * minute), Silence::Unexpected);
    let hasty = Patience {
        budget: Some(Duration::from_millis(5)),
    };
    assert_eq!(hasty.for_silence(Silence::Expected), hasty.budget);
}

#[test]
fn a_bounded_number_of_destinations_is_known() {
    let (now, mut known) = (Instant::now(), Habits::default());
    let place = |port: u16| Some(std::net::SocketAddr::from(([10, 0, 0, 1], port)));
    for port in 1..=1024 {
        known = known.met(place(port), now).unwrap();
    }
    assert!(known.met(place(1025), now).is_none());
    let later = now + Duration::from_secs(601);
    let next = known.met(place(1025), later).unwrap();
    assert_eq!(next.of(place(1025), later), Silence::Expected);
    assert_eq!(next.of(place(1), later), Silence::Unexpected);
}

#[test]
fn what_was_met_lately_may_be_told_to_another_and_is_kept_no_longer_there() {
    let (now, mut known) = (Instant::now(), Habits::default());
    let place = |port: u16| std::net::SocketAddr::from(([10, 0, 0, 1], port));
    let minutes = |count: u64| Duration::from_secs(60 * count);
    for port in 1..=4 {
        let at = now + minutes(port.into());
        known = known.met(Some(place(port)), at).unwrap();
    }
    let later = now + minutes(11) + Duration::from_secs(1);

    let told = known.latest(2, later);

    assert_eq!(
        told.iter().map(|one| one.0).collect::<Vec<_>>(),
        [place(4), place(3)]
    );
    assert_eq!(known.latest(9, later).len(), 3, "the first is forgotten");
    let next = Habits::told(told, later);
    assert_eq!(next.of(Some(place(4)), later), Silence::Expected);
    assert_eq!(next.of(Some(place(2)), later), Silence::Unexpected);
    assert_eq!(
        next.of(Some(place(4)), later + minutes(3)),
        Silence::Unexpected
    );
}

#[test]
fn what_nobody_speaks_is_known_by_its_name() {
    for one in Unspoken::ALL {
        assert_eq!(Unspoken::named(one.name()), Some(one));
        assert!(KNOWN.iter().any(|(name, _)| *name == one.name()));
    }
}

/// What each protocol begins with; whatever stands behind it makes no difference.
fn beginnings() -> Vec<(&'static str, Vec<u8>)> {
    let mut beginnings: Vec<(&str, Vec<u8>)> = [
        "OPTIONS", "GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "CONNECT", "PATCH", "LINK",
        "UNLINK",
    ]
    .map(|method| ("Http1", method.as_bytes().to_vec()))
    .into();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    beginnings.extend([
        ("bolt", vec![1]),
        ("boltv2", vec![2]),
        ("Http2", preface),
        ("dubbo", vec![0xda, 0xbb]),
    ]);
    for length in [[0, 0, 0, 6], [0, 0, 1, 0], [0, 0x9f, 0xff, 0xff]] {
        beginnings.push(("tars", [&length[..], &[0x10, 1]].concat()));
        beginnings.push(("tars", [&length[..], &[0x10, 3]].concat()));
    }
    for length in [[0, 0, 0, 50], [7, 0, 0, 1], *b"hell"] {
        beginnings.push(("dubbo-thrift", [&length[..], &[0xda, 0xbc]].concat()));
    }
    beginnings
}

#[test]
fn a_beginning_tells_at_its_last_byte_and_not_before() {
    for (name, beginning) in beginnings() {
        let (_, rule) = KNOWN.into_iter().find(|(known, _)| *known == name).unwrap();
        for end in 0..beginning.len() {
            assert_eq!(rule(&beginning[..end]), Answer::More, "{name} {end}");
        }
        assert_eq!(rule(&beginning), Answer::Yes, "{name}");
    }
}

proptest! {
    /// A rule that wants more could still say yes: it waits for nothing that cannot change it.
    #[test]
    fn nobody_is_waited_for_in_vain(bytes in prop::collection::vec(any::<u8>(), 0..12), cut in 0..24_usize, which in any::<prop::sample::Index>()) {
        let known = beginnings();
        let (_, begun) = which.get(&known);
        let begun = [&begun[..cut.min(begun.len())], &bytes].concat();
        for (name, rule) in KNOWN {
            if rule(&begun) != Answer::More {
                continue;
            }
            let mut own = known.iter().filter(|(of, _)| *of == name);
            let can_be = own.any(|(_, full)| {
                let rest = full.get(begun.len()..).unwrap_or_default();
                let whole = [&begun[..], rest].concat();
                rule(&whole) == Answer::Yes
            });
            prop_assert!(can_be, "{} waits behind {:?}", name, begun);
            prop_assert!(begun.len() < 24);
        }
    }

    #[test]
    fn what_follows_makes_no_difference(rest in prop::collection::vec(any::<u8>(), 0..40), which in any::<prop::sample::Index>()) {
        let known = beginnings();
        let (name, begun) = which.get(&known);
        prop_assert_eq!(auto(&[&begun[..], &rest].concat()), Verdict::Is(*name));
    }

    #[test]
    fn more_bytes_never_turn_an_answer(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            "(GET|POS|PRI \\* HTTP/2|CONN|UNL)[ -~]{0,20}".prop_map(String::into_bytes),
            (0..64_u32, 0..4_u8).prop_map(|(length, version)| tars_frame(length, version)),
        ],
    ) {
        for (name, rule) in KNOWN {
            let mut decided = Answer::More;
            for end in 0..=bytes.len() {
                let answer = rule(&bytes[..end]);
                if decided != Answer::More {
                    prop_assert_eq!(answer, decided, "{} at {}", name, end);
                }
                decided = answer;
            }
        }
    }
}
