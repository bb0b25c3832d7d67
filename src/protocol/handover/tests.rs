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

fn kind() -> impl Strategy<Value = Kind> {
    let halves = (any::<usize>(), any::<[bool; 3]>(), any::<Option<u64>>());
    prop_oneof![
        Just(Kind::Http1),
        any::<u64>().prop_map(|served| Kind::Idle { served }),
        halves.prop_map(
            |(up, [up_open, down_open, downstream_first], idle_millis)| {
                Kind::Pair(Halves {
                    up,
                    up_open,
                    down_open,
                    downstream_first,
                    idle_millis,
                })
            }
        ),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let carried = (
        kind(),
        ".*",
        proptest::option::of(place()),
        any::<Option<(String, String)>>(),
        any::<(u64, u64)>(),
    );
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
        (any::<u64>(), carried).prop_map(|(id, (kind, listener, place, host, moved))| {
            let carried = Box::new(Carried {
                kind,
                listener,
                place,
                host,
                moved,
            });
            Message::Connection { id, carried }
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
