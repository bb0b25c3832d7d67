use std::future::poll_fn;
use std::io::ErrorKind;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::join;
use tokio::net::TcpStream;
use tokio::task::yield_now;

use super::*;
use crate::net::PipePool;
use crate::net::testing::{narrow_tcp, tcp, unix};

fn relay(downstream: Stream, upstream: Stream) -> (Relay, Rc<Flow>) {
    let flow = Rc::new(Flow::default());
    (Relay::new(downstream, upstream, flow.clone()), flow)
}

fn random_bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    SmallRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

async fn rest_of(peer: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    peer.read_to_end(&mut bytes).await.unwrap();
    bytes
}

fn reset(peer: TcpStream) {
    peer.set_zero_linger().unwrap();
}

#[tokio::test]
async fn a_client_that_closed_its_half_is_still_answered() {
    let ((downstream, mut client), (upstream, mut origin)) = (tcp().await, tcp().await);
    let (relay, flow) = relay(downstream, upstream);
    let exchange = async {
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(rest_of(&mut origin).await, b"question");
        origin.write_all(b"the answer").await.unwrap();
        drop(origin);
        assert_eq!(rest_of(&mut client).await, b"the answer");
    };
    let (ended, ()) = join!(relay, exchange);
    assert!(
        matches!(
            ended,
            Ended {
                by: Side::Downstream,
                end: End::Closed
            }
        ),
        "{ended:?}"
    );
    assert_eq!((flow.received.get(), flow.sent.get()), (8, 10));
}

#[tokio::test]
async fn an_origin_that_closed_its_half_is_still_spoken_to() {
    let ((downstream, mut client), (upstream, mut origin)) = (tcp().await, tcp().await);
    let (relay, _) = relay(downstream, upstream);
    let exchange = async {
        origin.write_all(b"greeting").await.unwrap();
        origin.shutdown().await.unwrap();
        assert_eq!(rest_of(&mut client).await, b"greeting");
        client.write_all(b"thanks").await.unwrap();
        drop(client);
        assert_eq!(rest_of(&mut origin).await, b"thanks");
    };
    let (ended, ()) = join!(relay, exchange);
    assert!(
        matches!(
            ended,
            Ended {
                by: Side::Upstream,
                end: End::Closed
            }
        ),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_reset_is_passed_on_as_a_reset() {
    for by in [Side::Downstream, Side::Upstream] {
        let ((downstream, client), (upstream, origin)) = (tcp().await, tcp().await);
        let (cut, mut other) = match by {
            Side::Downstream => (client, origin),
            Side::Upstream => (origin, client),
        };
        let (relay, _) = relay(downstream, upstream);
        reset(cut);
        let ended = relay.await;
        assert_eq!(ended.by, by);
        assert!(matches!(ended.end, End::Reset), "{ended:?}");
        assert_eq!(
            other.read_u8().await.unwrap_err().kind(),
            ErrorKind::ConnectionReset
        );
    }
}

#[tokio::test]
async fn what_a_side_said_before_its_reset_arrives_first() {
    let ((downstream, mut client), (upstream, mut origin)) = (tcp().await, tcp().await);
    let (relay, _) = relay(downstream, upstream);
    origin.write_all(b"go away").await.unwrap();
    reset(origin);
    // Written to after the reset: the failure to send must not overtake the answer.
    client
        .write_all(b"a question that nobody reads")
        .await
        .unwrap();

    let ended = relay.await;

    assert_eq!(ended.by, Side::Upstream);
    let mut answer = [0; 7];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"go away");
    assert_eq!(
        client.read_u8().await.unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let ((downstream, mut client), (upstream, mut origin)) = (tcp().await, tcp().await);
    let (relay, _) = relay(downstream, upstream);
    let exchange = async {
        client.write_all(b"the first part").await.unwrap();
        let mut first = [0; 14];
        origin.read_exact(&mut first).await.unwrap();
        origin.write_all(b"enough").await.unwrap();
        let mut answer = [0; 6];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"enough");
        client.write_all(b"the second part").await.unwrap();
        drop(client);
        assert_eq!(rest_of(&mut origin).await, b"the second part");
        drop(origin);
    };
    let (ended, ()) = join!(relay, exchange);
    assert!(matches!(ended.end, End::Closed), "{ended:?}");
}

/// Polls a relay until nothing has moved for long, while `client` sends what it can.
async fn push_until_stuck(relay: &mut Relay, client: &TcpStream, bytes: &[u8]) -> usize {
    let (mut pushed, mut still) = (0, 0);
    while still < 1000 && pushed < bytes.len() {
        let done = poll_fn(|cx| Poll::Ready(Pin::new(&mut *relay).poll(cx).is_ready())).await;
        assert!(!done, "nobody closed");
        match client.try_write(&bytes[pushed..]) {
            Ok(sent) => (pushed, still) = (pushed + sent, 0),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        still += 1;
        yield_now().await;
    }
    pushed
}

#[tokio::test]
async fn a_reader_that_does_not_read_bounds_memory_and_loses_nothing() {
    let (downstream, mut client) = narrow_tcp().await;
    let (upstream, mut origin) = narrow_tcp().await;
    let (mut relay, _) = relay(downstream, upstream);
    let bytes = random_bytes(3, 4 * 1024 * 1024);

    let pushed = push_until_stuck(&mut relay, &client, &bytes).await;

    let held = relay.up.as_ref().unwrap().held();
    assert!(held <= 64 * 1024, "{held} bytes held");
    assert!(pushed < 1024 * 1024, "{pushed} bytes taken");

    let send_rest = async {
        client.write_all(&bytes[pushed..]).await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(rest_of(&mut client).await, b"");
    };
    let receive = async {
        assert!(rest_of(&mut origin).await == bytes, "bytes changed");
        drop(origin);
    };
    let (ended, (), ()) = join!(relay, send_rest, receive);
    assert!(matches!(ended.end, End::Closed), "{ended:?}");
}

async fn swap(
    relay: Relay,
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    mut origin: impl AsyncRead + AsyncWrite + Unpin,
) -> Ended {
    const LEN: usize = 8 * 1024 * 1024;
    let (question, answer) = (random_bytes(1, LEN), random_bytes(2, LEN));
    let (mut client_read, mut client_write) = split(&mut client);
    let (mut origin_read, mut origin_write) = split(&mut origin);
    let (ended, (), (), received, sent) = join!(
        relay,
        async {
            client_write.write_all(&question).await.unwrap();
            client_write.shutdown().await.unwrap();
        },
        async {
            origin_write.write_all(&answer).await.unwrap();
            origin_write.shutdown().await.unwrap();
        },
        rest_of(&mut origin_read),
        rest_of(&mut client_read),
    );
    assert!(received == question, "the question changed");
    assert!(sent == answer, "the answer changed");
    ended
}

#[tokio::test]
async fn bulk_goes_through_pipes_both_ways_at_once_unchanged() {
    let ((downstream, client), (upstream, origin)) = (tcp().await, tcp().await);
    let (relay, flow) = relay(downstream, upstream);
    let ended = swap(relay, client, origin).await;
    assert!(matches!(ended.end, End::Closed), "{ended:?}");
    assert_eq!(flow.total(), 16 * 1024 * 1024);
    assert!(
        (1..=2).contains(&PipePool::kept()),
        "pipes come back: {}",
        PipePool::kept()
    );
}

#[tokio::test]
async fn a_unix_socket_relays_to_tcp_and_back() {
    let ((downstream, client), (upstream, origin)) = (unix(), tcp().await);
    let ended = swap(relay(downstream, upstream).0, client, origin).await;
    assert!(matches!(ended.end, End::Closed), "{ended:?}");

    let ((downstream, client), (upstream, origin)) = (tcp().await, unix());
    let ended = swap(relay(downstream, upstream).0, client, origin).await;
    assert!(matches!(ended.end, End::Closed), "{ended:?}");
}

#[tokio::test]
async fn many_small_exchanges_stay_in_order_and_hold_nothing_between() {
    let ((downstream, mut client), (upstream, mut origin)) = (tcp().await, tcp().await);
    let (mut relay, flow) = relay(downstream, upstream);
    let exchanges = async {
        for number in 0..2000_u32 {
            client.write_u32(number).await.unwrap();
            let seen = origin.read_u32().await.unwrap();
            origin.write_u32(seen * 2).await.unwrap();
            assert_eq!(client.read_u32().await.unwrap(), number * 2);
        }
    };
    tokio::select! {
        ended = &mut relay => panic!("{ended:?}"),
        () = exchanges => {}
    }
    assert_eq!((flow.received.get(), flow.sent.get()), (8000, 8000));
    let held = [&relay.up, &relay.down].map(|way| way.as_ref().unwrap().held());
    assert_eq!((held, PipePool::kept()), ([0, 0], 0));
}

#[test]
fn an_idle_relay_is_small() {
    assert!(size_of::<Relay>() <= 200, "{}", size_of::<Relay>());
}

#[tokio::test]
async fn a_reset_that_a_write_runs_into_is_a_reset_all_the_same() {
    let ((downstream, mut client), (upstream, origin)) = (tcp().await, tcp().await);
    client.write_all(b"x").await.unwrap();
    reset(origin);
    let (relay, _) = relay(downstream, upstream);

    let ended = relay.await;

    assert!(matches!(ended.end, End::Reset), "{ended:?}");
    let read = client.read(&mut [0; 8]).await;
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_pair_moves_while_both_live_and_anything_is_left_to_pass_on() {
    for (has_failed, up, down, may) in [
        (false, true, true, true),
        (false, true, false, true),
        (false, false, true, true),
        (false, false, false, false),
        (true, true, true, false),
        (true, false, true, false),
    ] {
        assert_eq!(may_move(has_failed, up, down), may);
    }
}

/// Stops a relay, and goes on with it as another process would.
async fn moved(mut relay: Relay, flow: &Flow) -> (Relay, Rc<Flow>) {
    flow.bell.ring_to_move();
    let ended = (&mut relay).await;
    assert!(matches!(ended.end, End::Called), "{ended:?}");
    let packed = relay.pack().unwrap();
    let [downstream, upstream] = relay.carry().unwrap();
    drop(relay);
    let flow = Rc::new(Flow::default());
    let streams = [downstream, upstream].map(|socket| Stream::carried(socket).unwrap());
    let [downstream, upstream] = streams;
    (
        Relay::new(downstream, upstream, flow.clone()).unpacked(packed),
        flow,
    )
}

#[tokio::test]
async fn a_relay_that_moves_again_and_again_loses_and_doubles_nothing() {
    const LEN: usize = 8 * 1024 * 1024;
    let ((downstream, mut client), (upstream, mut origin)) = (tcp().await, tcp().await);
    let (mut relay, mut flow) = relay(downstream, upstream);
    let (question, answer) = (random_bytes(3, LEN), random_bytes(4, LEN));
    let (mut client_read, mut client_write) = client.split();
    let (mut origin_read, mut origin_write) = origin.split();
    let relays = async {
        // In the midst of copying and of splicing, and with full sockets on either side.
        for _ in 0..40 {
            for _ in 0..20 {
                assert!(futures::poll!(&mut relay).is_pending());
                yield_now().await;
            }
            (relay, flow) = moved(relay, &flow).await;
        }
        relay.await
    };
    let (ended, (), (), received, sent) = join!(
        relays,
        async {
            client_write.write_all(&question).await.unwrap();
            for _ in 0..2000 {
                yield_now().await;
            }
            client_write.shutdown().await.unwrap();
        },
        async {
            origin_write.write_all(&answer).await.unwrap();
            for _ in 0..2000 {
                yield_now().await;
            }
            origin_write.shutdown().await.unwrap();
        },
        rest_of(&mut origin_read),
        rest_of(&mut client_read),
    );
    assert!(matches!(ended.end, End::Closed), "{ended:?}");
    assert!(received == question, "the question changed");
    assert!(sent == answer, "the answer changed");
}

#[tokio::test]
async fn a_half_that_has_ended_stays_so_after_a_move() {
    let ((downstream, mut client), (upstream, mut origin)) = (tcp().await, tcp().await);
    let (mut relay, flow) = relay(downstream, upstream);
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    tokio::select! {
        ended = &mut relay => panic!("{ended:?}"),
        question = rest_of(&mut origin) => assert_eq!(question, b"question"),
    }

    let (relay, flow) = moved(relay, &flow).await;

    let answer = async {
        origin.write_all(b"answer").await.unwrap();
        drop(origin);
        rest_of(&mut client).await
    };
    let (ended, answer) = join!(relay, answer);
    assert_eq!(answer, b"answer");
    assert!(matches!(ended.end, End::Closed), "{ended:?}");
    assert_eq!((flow.received.get(), flow.sent.get()), (0, 6));
}
