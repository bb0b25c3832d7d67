//! A worker that restarts finds its connections.

use std::sync::atomic::Ordering::Relaxed;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;
use tokio::time::timeout;

use super::*;
use crate::actor::clusters::{self, Snapshot};
use crate::actor::listeners::{self, Edition};
use crate::actor::subscribers::Subscribers;
use crate::config;
use crate::proxy::http::Fitting;

const SOON: Duration = Duration::from_secs(20);

/// One worker on the test's own thread, one listener, one echoing origin.
struct Site {
    orders: Orders,
    hall: Hall,
    door: Slot<Handle>,
    post: Arc<Post>,
    clusters: Slot<clusters::Handle>,
    origins: config::Cluster,
    listeners: Slot<listeners::Handle>,
    _lives: [Life; 2],
}

fn start_listeners(board: &Board, slot: &Slot<listeners::Handle>) -> Life {
    listeners::start(board.clone(), listeners::Inherited::default(), 1, slot)
}

fn start_clusters(shelf: &Shelf, log: &slog::Logger, slot: &Slot<clusters::Handle>) -> Life {
    let (subscribers, logger) = (Subscribers::default(), Slot::default());
    clusters::start(shelf.clone(), subscribers, log.clone(), logger, slot)
}

impl Site {
    async fn new() -> Self {
        let (shelf, board) = (Shelf::default(), Board::default());
        let (clusters, listeners) = (Slot::default(), Slot::default());
        let log = slog::Logger::root(slog::Discard, slog::o!());
        let lives = [
            start_clusters(&shelf, &log, &clusters),
            start_listeners(&board, &listeners),
        ];
        let origins = config::Cluster::new("origins", [echoing().await.into()]);
        let listener = config::Listener::new("app", "127.0.0.1:0".parse().unwrap(), "origins");
        let added = listeners::bind(
            &listeners,
            vec![Arc::new(Fitting::bare(Arc::new(listener)))],
            vec![],
        )
        .await;
        let added = added.unwrap();
        let post = Arc::clone(&added[0]);
        let orders = Orders {
            index: 0,
            shelf,
            clusters: clusters.clone(),
            neighbours: Neighbours::default(),
            book: Book::default(),
            arrivals: Arrivals::default(),
            board,
            tables: Tables::default(),
            numbers: Arc::default(),
            admission: Arc::new(Semaphore::new(10)),
            drain_time: Duration::from_secs(600),
            logger: Slot::default(),
            log,
        };
        let site = Self {
            orders,
            hall: Hall::default(),
            door: Slot::default(),
            post,
            clusters,
            origins,
            listeners,
            _lives: lives,
        };
        let edition = Edition {
            added,
            ..Edition::default()
        };
        listeners::publish(&site.listeners, edition).await.unwrap();
        site
    }

    async fn put_origins(&self) {
        let origins = vec![Arc::new(self.origins.clone())];
        clusters::put(&self.clusters, origins).await.unwrap();
    }

    async fn take_down(&self) {
        let edition = Edition {
            removed: vec!["app".into()],
            ..Edition::default()
        };
        listeners::publish(&self.listeners, edition).await.unwrap();
    }

    async fn start(&self) -> Life {
        let (view, life) = start(&self.orders, self.hall.clone(), &self.door);
        view.started().await.unwrap();
        life
    }

    async fn connect(&self) -> TcpStream {
        let to = self.post.local_address().unwrap().to_string();
        TcpStream::connect(to).await.unwrap()
    }

    /// Waits until so many connections have been admitted.
    async fn admitted(&self, connections: u64) {
        let all = async {
            while self.post.counters[0].connections.load(Relaxed) < connections {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(SOON, all).await.expect("it is admitted");
    }

    fn places(&self) -> usize {
        self.orders.admission.available_permits()
    }
}

async fn echoing() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    spawn_local(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            spawn_local(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    address
}

async fn is_served(stream: &mut TcpStream) -> bool {
    let exchange = async {
        stream.write_all(b"?").await?;
        stream.read_exact(&mut [0]).await
    };
    timeout(SOON, exchange)
        .await
        .expect("an echo or an end")
        .is_ok()
}

async fn killed(mut life: Life) {
    life.kill();
    timeout(SOON, life.ended()).await.expect("it ends");
}

#[actix::test]
async fn connections_go_on_while_there_is_no_worker_and_after_the_next_one_came() {
    let site = Site::new().await;
    site.put_origins().await;
    let first = site.start().await;
    let mut stream = site.connect().await;
    assert!(is_served(&mut stream).await);

    killed(first).await;
    assert!(is_served(&mut stream).await);
    let _second = site.start().await;
    let mut next = site.connect().await;

    assert!(is_served(&mut stream).await && is_served(&mut next).await);
    assert_eq!(site.places(), 8);
}

#[actix::test]
async fn a_connection_that_waited_for_a_cluster_gets_it_from_the_next_worker() {
    let site = Site::new().await;
    let nothing = Snapshot::new(Arc::new(config::Cluster::new("origins", [])));
    let current = Arc::new(arc_swap::ArcSwap::from_pointee(nothing));
    site.hall.directory().enter("origins".into(), &current);
    let first = site.start().await;
    site.hall.directory().enter("origins".into(), &current);
    let mut stream = site.connect().await;
    site.admitted(1).await;

    killed(first).await;
    site.put_origins().await;
    let _second = site.start().await;

    assert!(is_served(&mut stream).await);
}

#[actix::test]
async fn the_next_worker_drains_what_was_taken_down_in_the_life_before() {
    let site = Site::new().await;
    site.put_origins().await;
    let first = site.start().await;
    let mut stream = site.connect().await;
    assert!(is_served(&mut stream).await);

    killed(first).await;
    site.take_down().await;
    let _second = site.start().await;
    let emptied = drained(&site.door);
    let client = async {
        let served = is_served(&mut stream).await;
        drop(stream);
        served
    };
    let (emptied, served) = timeout(SOON, futures::future::join(emptied, client))
        .await
        .expect("the drain ends with the connection");

    assert_eq!((emptied, served), (Ok(()), true));
    assert!(site.hall.all().is_empty());
    assert_eq!(site.places(), 10);
}

#[actix::test]
async fn the_next_worker_ends_what_is_left_when_the_time_to_drain_is_over() {
    let mut site = Site::new().await;
    site.put_origins().await;
    let first = site.start().await;
    let mut stream = site.connect().await;
    assert!(is_served(&mut stream).await);
    site.take_down().await;
    reconcile(&site.door).await.unwrap();
    // The roster starts to see the lane off in its next turn.
    tokio::task::yield_now().await;
    assert!(is_served(&mut stream).await);
    killed(first).await;

    site.orders.drain_time = Duration::ZERO;
    let _second = site.start().await;

    let end = timeout(SOON, stream.read(&mut [0])).await;
    assert!(!matches!(end.expect("the cut"), Ok(1..)));
    let gone = async {
        while !site.hall.all().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, gone).await.expect("the lane is forgotten");
    assert_eq!(site.places(), 10);
}
