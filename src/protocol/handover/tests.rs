use proptest::prelude::*;

use super::*;

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![
        any::<std::net::SocketAddr>().prop_map(|address| match address {
            // A scope or flow is not written.
            std::net::SocketAddr::V6(v6) =>
                Place::Tcp((std::net::IpAddr::from(*v6.ip()), v6.port()).into()),
            v4 => Place::Tcp(v4),
        }),
        "[a-z/]{1,40}".prop_map(|path| Place::Unix(path.into())),
    ]
}

fn upstream() -> impl Strategy<Value = Upstream> {
    any::<(String, String)>().prop_map(|(cluster, host)| Upstream { cluster, host })
}

fn shared() -> impl Strategy<Value = Shared> {
    let numbers = any::<(usize, Option<u32>, (u64, bool))>();
    let beat = any::<(Vec<u64>, u64, Option<u64>, u32)>();
    (upstream(), ".*", numbers, beat).prop_map(
        |(upstream, speaks, (frame_bytes, mark, ids), beat)| {
            let (heartbeats, heard_millis, asked_millis, failed) = beat;
            Shared {
                upstream,
                speaks,
                frame_bytes,
                mark,
                ids,
                heartbeats,
                heard_millis,
                asked_millis,
                failed,
            }
        },
    )
}

fn kind() -> impl Strategy<Value = Kind> {
    let halves = (any::<usize>(), any::<[bool; 3]>());
    prop_oneof![
        (".*", any::<bool>()).prop_map(|(protocol, served)| {
            let memory = serde_json::json!({ "served": served });
            Kind::Framed(Framed { protocol, memory })
        }),
        (upstream(), ".*", any::<u64>(), any::<(Option<u32>, u64)>()).prop_map(
            |(upstream, speaks, served, (mark, most))| Kind::Idle(Idle {
                upstream,
                speaks,
                served,
                mark,
                most,
            }),
        ),
        shared().prop_map(Kind::Shared),
        (upstream(), halves).prop_map(|(upstream, (up, [up_open, down_open, is_tunnel]))| {
            let halves = Halves {
                up,
                up_open,
                down_open,
            };
            Kind::Pair(Pair {
                upstream,
                is_tunnel,
                halves,
            })
        }),
    ]
}

fn carried() -> impl Strategy<Value = Carried> {
    let numbers = any::<(Option<usize>, (u64, u64), Option<u64>, u64)>();
    (kind(), numbers).prop_map(
        |(kind, (listener, moved, idle_millis, quiet_millis))| Carried {
            listener,
            kind,
            moved,
            idle_millis,
            quiet_millis,
        },
    )
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        (any::<u32>(), ".*").prop_map(|(pid, program)| Message::Hello { pid, program }),
        (any::<u32>(), any::<u64>(), ".*").prop_map(|(pid, since_millis, why)| Message::Busy {
            pid,
            since_millis,
            why
        }),
        ".*".prop_map(|reason| Message::Refused { reason }),
        any::<Vec<usize>>().prop_map(|adopted| Message::Prepared { adopted }),
        Just(Message::Commit),
        (place(), any::<usize>()).prop_map(|(place, sockets)| {
            let listeners = vec![ListenerOffer {
                name: "app".to_owned(),
                configured: place.clone(),
                place,
                sockets,
                file: None,
                silent: vec![],
            }];
            Message::Offer(Box::new(Offer {
                listeners,
                ..Offer::default()
            }))
        }),
        (any::<u64>(), carried()).prop_map(|(id, carried)| Message::Connection {
            id,
            carried: Box::new(carried),
        }),
    ]
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        message in message(),
        payload in proptest::collection::vec(any::<u8>(), 0..200),
        descriptors in 0..MOST_DESCRIPTORS,
    ) {
        let frame = encode(&message, &payload, descriptors).unwrap();
        prop_assert_eq!(decode(&frame, descriptors), Ok((message, payload)));
    }

    #[test]
    fn no_byte_can_be_changed_unnoticed(
        message in message(),
        payload in proptest::collection::vec(any::<u8>(), 0..50),
        at in any::<prop::sample::Index>(),
        flip in 1..=255_u8,
    ) {
        let mut frame = encode(&message, &payload, 2).unwrap();
        let at = at.index(frame.len());
        frame[at] ^= flip;
        prop_assert!(decode(&frame, 2).is_err());
    }

    #[test]
    fn no_cut_is_taken_for_a_frame(message in message(), cut in any::<prop::sample::Index>()) {
        let frame = encode(&message, b"payload", 0).unwrap();
        prop_assert!(decode(&frame[..cut.index(frame.len())], 0).is_err());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes, 0);
        if let Some(head) = bytes.first_chunk() {
            let _ = Header::decode(head);
        }
    }
}

#[test]
fn another_version_is_named_and_an_enormous_frame_is_not_read() {
    let frame = encode(&Message::Commit, &[], 0).unwrap();
    let mut head: [u8; HEADER_BYTES] = *frame.first_chunk().unwrap();
    head[5] = 2;
    assert_eq!(Header::decode(&head), Err(FrameError::Version(2)));
    head[5] = 1;
    head[8] = 0xff;
    assert!(matches!(
        Header::decode(&head),
        Err(FrameError::TooLarge(_))
    ));
}

#[test]
fn a_missing_or_additional_descriptor_is_noticed() {
    let frame = encode(&Message::Sockets, &[], 2).unwrap();
    for came in [0, 1, 3] {
        let announced = 2;
        let error = FrameError::Descriptors { announced, came };
        assert_eq!(decode(&frame, came), Err(error));
    }
}

#[test]
fn what_a_later_version_adds_to_a_message_is_ignored() {
    let text = br#"{"is":"held","id":7,"colour":"green"}"#;
    let message: Message = serde_json::from_slice(text).unwrap();
    assert_eq!(message, Message::Held { id: 7 });
}

#[test]
fn a_protocol_reads_its_own_memory_and_no_other_s() {
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Chat {
        spoken: u32,
    }
    impl Movable for Chat {
        const PROTOCOL: &'static str = "chat";
    }
    let framed = Chat { spoken: 7 }.pack().unwrap();
    assert_eq!(Chat::unpack(&framed).unwrap().unwrap(), Chat { spoken: 7 });
    let other = Framed {
        protocol: "talk".to_owned(),
        ..framed.clone()
    };
    assert!(Chat::unpack(&other).is_none());
    let wrong = Framed {
        memory: serde_json::json!("seven"),
        ..framed
    };
    assert!(Chat::unpack(&wrong).unwrap().is_err());
}
