//! The door of administrators dies under load: it comes back where it was, and nobody else notices.

use std::net::SocketAddr;

use banyan::actor::admin::{Access, Options, Reach};
use banyan::actor::fault;
use banyan::config::Address;
use banyan::{Proxy, ProxyHandle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::support::{Origin, address, cluster, listener, plan, soon, until};
use crate::{Load, all, alone, ids, stand, still_served};

/// The answer to a request, to its end.
async fn ask(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin) -> std::io::Result<String> {
    let request = b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Everything that a test of the door needs.
struct Scene {
    proxy: ProxyHandle,
    door: SocketAddr,
    home: tempfile::TempDir,
    load: Load,
    standing: Vec<TcpStream>,
    _origin: Origin,
}

impl Scene {
    async fn set() -> Self {
        let origin = Origin::echoing().await;
        let home = tempfile::tempdir().unwrap();
        let mut options = Options::new(Access::default());
        let socket = Address::Unix(home.path().join("admin.sock"));
        options.listen(Reach::Private, &socket).unwrap();
        let any = Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
        let Address::Tcp(door) = options.listen(Reach::Network, &any).unwrap() else {
            panic!("it is bound to TCP");
        };
        let origins = cluster("LB_LEAST_CONNECTION", &[origin.address]);
        let proxy = Proxy::default().workers(2).admin(options);
        let proxy = proxy.run(plan(&[listener("app")], &[origins]));
        let proxy = proxy.await.unwrap();
        let to = address(&proxy, "app").await;
        let standing = stand(to).await;
        Self {
            proxy,
            door,
            home,
            load: Load::start(to),
            standing,
            _origin: origin,
        }
    }

    /// Whether it answers at its address and at its socket.
    async fn answers(&self) -> bool {
        let tcp = async { ask(TcpStream::connect(self.door).await?).await };
        let path = self.home.path().join("admin.sock");
        let unix = async { ask(UnixStream::connect(path).await?).await };
        let (tcp, unix) = soon("two answers", async { tokio::join!(tcp, unix) }).await;
        [tcp, unix].iter().all(|answer| {
            let answer = answer.as_ref();
            answer.is_ok_and(|answer| answer.ends_with("ready\n"))
        })
    }

    /// Holds the data path to have noticed nothing.
    async fn ends(mut self) {
        let (done, goal) = (self.load.done.clone(), self.load.done.get() + 50);
        until("the load goes on", || async { done.get() > goal }).await;
        assert_eq!(self.load.stop().await, 0, "no exchange failed");
        for stream in &mut self.standing {
            assert!(still_served(stream).await, "no connection ended");
        }
        drop(self.standing);
        self.proxy.stop().await;
        self.proxy.ended().await.unwrap();
    }
}

#[actix::test]
async fn killing_the_admin_door_closes_no_port_and_costs_nothing() {
    let _alone = alone().await;
    let scene = Scene::set().await;
    assert!(scene.answers().await);
    let before = ids(&scene.proxy.snapshot().await.unwrap().tree);
    for times in 1..=5 {
        until("it lives", || async { fault::panic_one("Admin") }).await;
        // Its sockets are bound all the time: who connects meanwhile waits.
        until("it was restarted", || async {
            let tree = scene.proxy.snapshot().await.unwrap().tree;
            let nodes = all(&tree);
            let http = nodes.iter().find(|node| node.id == "http");
            http.is_some_and(|http| http.restarts >= times)
        })
        .await;
        assert!(scene.answers().await, "after {times} deaths");
    }
    assert_eq!(ids(&scene.proxy.snapshot().await.unwrap().tree), before);
    scene.ends().await;
}

#[actix::test]
async fn an_admin_door_that_is_given_up_takes_nothing_along() {
    let _alone = alone().await;
    let scene = Scene::set().await;

    until("it is given up", || async {
        fault::panic_one("Admin");
        let tree = scene.proxy.snapshot().await.unwrap().tree;
        !ids(&tree).contains(&"http".to_owned())
    })
    .await;

    until("who connects is refused", || async {
        TcpStream::connect(scene.door).await.is_err()
    })
    .await;
    scene.ends().await;
}
