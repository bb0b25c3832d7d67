//! WebSockets of a real client and a real server through the proxy.

use futures::{SinkExt, StreamExt};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

use crate::site::{Running, Site};
use crate::support::{Origin, soon};

/// Sends texts and bytes back as they come.
async fn echoing() -> Origin {
    Origin::scripted(|stream| async move {
        let mut socket = accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if message.is_text() || message.is_binary() {
                socket.send(message).await.unwrap();
            }
        }
    })
    .await
}

async fn open(running: &Running) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(running.to).await.unwrap();
    let opened = client_async("ws://a/chat?room=1", stream);
    let (socket, response) = soon("the handshake", opened).await.unwrap();
    assert_eq!(response.status(), 101);
    socket
}

async fn echo(socket: &mut WebSocketStream<TcpStream>, message: Message) {
    socket.send(message.clone()).await.unwrap();
    let echo = soon("the echo", socket.next()).await;
    assert!(
        echo.unwrap().unwrap() == message,
        "another message came back"
    );
}

#[actix::test]
async fn messages_pass_both_ways_until_the_close_handshake() {
    let origin = echoing().await;
    let running = Site::forwarding(&[origin.address], json!({})).start().await;
    let mut socket = open(&running).await;

    echo(&mut socket, Message::text("h\u{e9}llo")).await;
    for length in [0, 1, 125, 126, 65_535, 65_536, 3 << 20] {
        let bytes: Vec<_> = (0..length).map(|at: u32| (at % 251) as u8).collect();
        echo(&mut socket, Message::binary(bytes)).await;
    }
    let reason = CloseFrame {
        code: CloseCode::Away,
        reason: "done".into(),
    };
    socket.close(Some(reason.clone())).await.unwrap();

    let answer = soon("the close frame", socket.next()).await;
    assert_eq!(answer.unwrap().unwrap(), Message::Close(Some(reason)));
    assert!(soon("the end", socket.next()).await.is_none());
    drop(socket);
    running.rests().await;
    running.lets_go().await;
    let totals = running.app().await;
    assert_eq!(totals.totals.connections_total, 1);
    assert_eq!(totals.requests.request_total, 1);
}

#[actix::test]
async fn many_sockets_are_open_at_once_and_all_are_counted_off() {
    let origin = echoing().await;
    let running = Site::forwarding(&[origin.address], json!({})).start().await;
    let mut sockets = Vec::new();
    for _ in 0..20 {
        sockets.push(open(&running).await);
    }
    assert_eq!(running.app().await.totals.connections_active, 20);

    for (at, socket) in sockets.iter_mut().enumerate() {
        echo(socket, Message::text(at.to_string())).await;
    }
    // No close handshake: the sockets are just gone.
    drop(sockets);

    running.rests().await;
    running.lets_go().await;
}

#[actix::test]
async fn an_upstream_that_wants_no_socket_answers_as_to_any_request() {
    let web = crate::talk::Web::answering(|_| crate::talk::reply(426, "", "no")).await;
    let running = Site::forwarding(&[web.address], json!({})).start().await;
    let stream = TcpStream::connect(running.to).await.unwrap();

    let opened = client_async("ws://a/chat", stream);
    let refused = soon("the answer", opened).await.unwrap_err();

    let text = refused.to_string();
    assert!(text.contains("426"), "{text}");
    running.rests().await;
}
