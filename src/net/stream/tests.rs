//! What a stream tells of its peer, and how it sends and receives.

use std::future::poll_fn;
use std::io::{IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};

use nix::sys::socket::{ControlMessage, sendmsg};
use tokio::io::{AsyncWriteExt, Ready};
use tokio::time::timeout;

use super::*;
use crate::net::testing::tcp;

/// What the reactor tells, once it does.
async fn readable(stream: &Stream) -> Ready {
    let look = |watch: &AsyncFd<RawFd>, cx: &mut Context<'_>| {
        watch.poll_read_ready(cx).map_ok(|guard| guard.ready())
    };
    let told = poll_fn(|cx| stream.words(|watch| look(watch, cx)).unwrap());
    told.await.unwrap()
}

/// Waits until the reactor has told of what the peer did.
async fn told(stream: &Stream) {
    let told = timeout(Duration::from_secs(20), readable(stream)).await;
    told.expect("the reactor tells");
}

#[actix::test]
async fn a_stream_is_quiet_until_the_peer_sends_or_closes() {
    let (stream, mut peer) = tcp().await;
    assert!(stream.is_quiet());

    peer.write_all(b"ab").await.unwrap();
    told(&stream).await;
    assert!(!stream.is_quiet());

    // Exactly what was there: nothing proves that it was all.
    let mut buffer = [0; 2];
    let received = poll_fn(|cx| stream.poll_recv(cx, &mut buffer)).await;
    assert_eq!(received.unwrap(), 2);
    assert!(stream.is_quiet());

    // Now that it is known to be empty, only an event makes it ask the kernel again.
    let sent = SockRef::from(&peer).send(b"c").unwrap();
    assert!(stream.is_quiet());
    told(&stream).await;
    assert!(!stream.is_quiet());

    let received = poll_fn(|cx| stream.poll_recv(cx, &mut buffer)).await;
    assert_eq!(received.unwrap(), sent);
    drop(peer);
    told(&stream).await;
    assert!(!stream.is_quiet());
    assert!(!stream.is_quiet());
}

#[actix::test]
async fn a_reset_stream_is_not_quiet() {
    let (stream, peer) = tcp().await;
    SockRef::from(&peer)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(peer);
    told(&stream).await;
    assert!(!stream.is_quiet());
}

/// A stream and its peer.
fn pair(of: impl Fn(OwnedFd) -> io::Result<Stream>) -> (Stream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (socket, _) = listener.accept().unwrap();
    socket.set_nonblocking(true).unwrap();
    (of(socket.into()).unwrap(), peer)
}

/// A stream that small pieces are sent over at once, and that is watched from the beginning.
fn prompt(socket: OwnedFd) -> io::Result<Stream> {
    Stream::of(socket, Kind::Prompt)
}

async fn received(stream: &Stream) -> io::Result<Vec<u8>> {
    let mut buffer = [0; 100];
    let received = poll_fn(|cx| stream.poll_recv(cx, &mut buffer));
    let received = timeout(Duration::from_secs(20), received).await;
    let len = received.expect("something comes")?;
    Ok(buffer[..len].to_vec())
}

/// Waits until the reactor has told of the end, and of an error if there is one.
async fn told_of_the_end(stream: &Stream) {
    let told = async {
        while !readable(stream).await.is_read_closed() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let told = timeout(Duration::from_secs(20), told).await;
    told.expect("the end is told");
}

#[actix::test]
async fn the_end_that_was_told_before_the_last_bytes_were_read_is_known() {
    let (stream, mut peer) = pair(prompt);
    peer.write_all(b"abc").unwrap();
    drop(peer);
    told_of_the_end(&stream).await;

    assert_eq!(received(&stream).await.unwrap(), b"abc");
    assert_eq!(stream.reading.get(), Reading::Ended);
    assert_eq!(received(&stream).await.unwrap(), b"");
}

#[actix::test]
async fn what_came_before_the_end_is_read_whole() {
    let (stream, mut peer) = pair(prompt);
    peer.write_all(&[1; 250]).unwrap();
    drop(peer);
    told_of_the_end(&stream).await;

    let mut lengths = Vec::new();
    while lengths.last() != Some(&0) {
        lengths.push(received(&stream).await.unwrap().len());
    }
    assert_eq!(lengths, [100, 100, 50, 0]);
}

#[actix::test]
async fn a_reset_behind_the_last_bytes_is_no_end() {
    let (stream, mut peer) = pair(prompt);
    peer.write_all(b"abc").unwrap();
    let linger = SockRef::from(&peer).set_linger(Some(Duration::ZERO));
    linger.unwrap();
    drop(peer);
    told_of_the_end(&stream).await;

    let mut last = received(&stream).await;
    while last.is_ok() {
        assert_ne!(last.unwrap(), b"", "it looks finished");
        last = received(&stream).await;
    }
    let error = last.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[actix::test]
async fn what_follows_descriptors_over_a_unix_socket_is_read() {
    let (peer, socket) = std::os::unix::net::UnixStream::pair().unwrap();
    socket.set_nonblocking(true).unwrap();
    let stream = Stream::new(socket.into()).unwrap();
    let fds = [peer.as_raw_fd()];
    let along = [ControlMessage::ScmRights(&fds)];
    for (text, along) in [(b"abc", &along[..]), (b"def", &[])] {
        let text = [IoSlice::new(text)];
        sendmsg::<()>(peer.as_raw_fd(), &text, along, MsgFlags::empty(), None).unwrap();
    }
    peer.shutdown(Shutdown::Write).unwrap();
    told_of_the_end(&stream).await;

    let mut heard = Vec::new();
    while heard.len() < 6 {
        let more = received(&stream).await.unwrap();
        assert!(!more.is_empty(), "the end came after {heard:?}");
        heard.extend(more);
    }
    assert_eq!(heard, b"abcdef");
}

#[actix::test]
async fn only_a_second_send_needs_to_be_hastened() {
    let (stream, _peer) = pair(Stream::unsent_tcp);
    let mut prompt = Vec::new();
    for _ in 0..3 {
        let sent = poll_fn(|cx| stream.poll_send(cx, b"x")).await;
        assert_eq!(sent.unwrap(), 1);
        prompt.push(SockRef::from(&stream.socket).tcp_nodelay().unwrap());
    }
    assert_eq!(prompt, [false, true, true]);

    let (stream, _peer) = pair(Stream::unsent_tcp);
    let socket = stream.into_socket();
    assert!(SockRef::from(&socket).tcp_nodelay().unwrap());
}

#[actix::test]
async fn what_follows_urgent_data_needs_no_further_event() {
    let (stream, mut peer) = pair(prompt);
    peer.write_all(b"abc").unwrap();
    SockRef::from(&peer).send_out_of_band(b"!").unwrap();
    peer.write_all(b"def").unwrap();
    let mut heard = Vec::new();
    while heard.len() < 6 {
        heard.extend(received(&stream).await.unwrap());
    }
    assert_eq!(heard, b"abcdef");
}

#[actix::test]
async fn one_exchange_needs_no_reactor_and_the_next_one_is_waited_for() {
    let (stream, mut peer) = pair(|socket| Ok(Stream::accepted_tcp(socket)));
    peer.write_all(b"abc").unwrap();

    assert_eq!(received(&stream).await.unwrap(), b"abc");
    assert!(stream.is_quiet());
    let sent = poll_fn(|cx| stream.poll_send(cx, b"x")).await;
    assert_eq!((sent.unwrap(), stream.is_watched()), (1, false));
    // What it leaves unread would make its end a reset.
    peer.read_exact(&mut [0]).unwrap();

    // The kernel is not asked again: that nothing is left is known.
    let next = received(&stream);
    tokio::pin!(next);
    assert!(futures::poll!(&mut next).is_pending());
    assert!(stream.is_watched());
    peer.write_all(b"def").unwrap();
    assert_eq!(next.await.unwrap(), b"def");
    drop(peer);
    assert_eq!(received(&stream).await.unwrap(), b"");
}

#[actix::test]
async fn what_an_unwatched_stream_could_not_send_is_waited_for() {
    let (stream, mut peer) = pair(|socket| Ok(Stream::accepted_tcp(socket)));
    let reading = std::thread::spawn(move || {
        let mut received = Vec::new();
        peer.read_to_end(&mut received).map(|_| received.len())
    });
    let block = vec![b'x'; 1 << 20];
    let mut left = 32 * block.len();

    while left > 0 {
        let part = &block[..left.min(block.len())];
        left -= poll_fn(|cx| stream.poll_send(cx, part)).await.unwrap();
    }
    drop(stream);

    assert_eq!(reading.join().unwrap().unwrap(), 32 << 20);
}

#[actix::test]
async fn a_word_is_heard_by_whoever_waits_for_room_at_the_same_time() {
    let (stream, mut peer) = pair(prompt);
    let block = vec![b'x'; 1 << 20];
    let mut word = [0; 9];

    let heard = poll_fn(|cx| {
        let heard = stream.poll_recv(cx, &mut word);
        while stream.poll_send(cx, &block)?.is_ready() {}
        if stream.tells_of_room() {
            // It takes nothing, so this alone goes on.
            peer.write_all(b"w").unwrap();
        }
        heard
    });
    let heard = timeout(Duration::from_secs(20), heard).await;

    assert!(heard.expect("it is told").unwrap() > 0);
}

#[actix::test]
async fn room_is_told_of_only_where_it_lacked() {
    let (stream, mut peer) = pair(prompt);
    let sent = poll_fn(|cx| stream.poll_send(cx, b"x")).await.unwrap();
    let before = stream.tells_of_room();
    let block = vec![b'x'; 1 << 20];
    let mut left = 0;
    while let Poll::Ready(sent) = poll_fn(|cx| Poll::Ready(stream.poll_send(cx, &block))).await {
        left += sent.unwrap();
    }
    assert_eq!((sent, before), (1, false));
    assert!(stream.tells_of_room());

    let reading = std::thread::spawn(move || peer.read_exact(&mut vec![0; left]));
    let more = poll_fn(|cx| stream.poll_send(cx, &block));
    let more = timeout(Duration::from_secs(20), more).await;
    assert!(more.expect("room is told of").unwrap() > 0);
    reading.join().unwrap().unwrap();
}

/// Sends the last bytes, and says whether they are held back for the end behind them.
async fn is_held_back() -> bool {
    let (stream, mut peer) = pair(prompt);
    let send = poll_fn(|cx| stream.poll_send_before(cx, b"last", Sequel::End));
    assert_eq!(send.await.unwrap(), 4);
    peer.set_nonblocking(true).unwrap();
    let early = peer.read(&mut [0; 9]);

    stream.end();

    peer.set_nonblocking(false).unwrap();
    let mut rest = Vec::new();
    peer.read_to_end(&mut rest).unwrap();
    assert_eq!(early.as_ref().map_or(0, |&early| early) + rest.len(), 4);
    early.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

#[actix::test]
async fn the_last_bytes_wait_for_the_end_behind_them() {
    // Where this thread is not run for 200 ms, the kernel gives up waiting.
    for _ in 0..20 {
        if is_held_back().await {
            return;
        }
    }
    panic!("the last bytes go out alone");
}
