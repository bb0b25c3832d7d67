//! What becomes of a shared connection whose host says nothing, leaves, or comes round.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::cluster::HostSet;
use crate::config::Cluster;
use crate::protocol::bolt::{Answer as Wants, Checksum, Parts, Request, V1, Version};
use crate::protocol::rpc::{Asker, Decoded, Kind, Message};
use crate::upstream::{Ending, Reply, Sent, Told};

const PATIENCE: Duration = Duration::from_secs(20);
const MOST: usize = 4096;

/// A cluster of one host.
struct Site {
    listener: TcpListener,
    settings: Arc<Cluster>,
    hosts: HostSet,
    limits: Arc<Limits>,
    trunks: Trunks,
}

impl Site {
    async fn new(idle_timeout: Option<Duration>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = config::Host::new(listener.local_addr().unwrap().into());
        let mut settings = Cluster::new("origins", [host]);
        settings.idle_timeout = idle_timeout;
        Self {
            hosts: HostSet::new(&settings.hosts),
            settings: Arc::new(settings),
            limits: Arc::default(),
            trunks: Trunks::default(),
            listener,
        }
    }

    fn trunk(&self) -> (Trunk, Option<Driver>) {
        self.trunk_of(MOST)
    }

    /// One that reads frames of at most so many bytes.
    fn trunk_of(&self, most: usize) -> (Trunk, Option<Driver>) {
        let spoken = Spoken { codec: &V1, most };
        let host = &self.hosts.hosts()[0];
        self.trunks
            .to(host, &self.settings, &self.limits, spoken, 0)
    }

    /// Runs `script` with a connection over which one request was answered.
    async fn with<F: Future<Output = ()>>(&self, script: impl FnOnce(TcpStream) -> F) {
        let (trunk, driver) = self.trunk();
        let met = async {
            let waiting = trunk.ask(&request(), None, None).unwrap();
            let (mut theirs, _) = self.listener.accept().await.unwrap();
            let asked = next(&mut theirs).await;
            assert_eq!(asked.frame.kind, Kind::Request);
            let mut answer = Vec::new();
            V1.reply(&asked.frame.asker, 200, b"", &mut answer);
            theirs.write_all(&answer).await.unwrap();
            assert!(matches!(waiting.answer().await, Reply::Response(_)));
            script(theirs).await;
        };
        let driven = async {
            driver.unwrap().await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = met => {}
            () = driven => {}
        }
    }

    /// So much time passes, and the worker looks around.
    async fn after(&self, time: Duration) {
        tokio::time::advance(time).await;
        self.trunks.sweep();
    }
}

fn request() -> Message {
    let mut bytes = Vec::new();
    let request = Request {
        version: Version::V1,
        checksum: Checksum::None,
        id: 1,
        timeout: None,
        answer: Wants::Wanted,
        parts: Parts::default(),
    };
    request.write(&mut bytes).unwrap();
    let Ok(Decoded::Frame(frame)) = V1.decode(&bytes, MOST) else {
        panic!("it is a frame");
    };
    Message {
        frame,
        bytes: bytes.into(),
    }
}

/// The next frame at the host; all here have 22 bytes.
async fn next(theirs: &mut TcpStream) -> Message {
    let mut bytes = vec![0; 22];
    theirs.read_exact(&mut bytes).await.unwrap();
    match V1.decode(&bytes, MOST) {
        Ok(Decoded::Frame(frame)) => Message {
            frame,
            bytes: bytes.into(),
        },
        other => panic!("{other:?}"),
    }
}

async fn ended(theirs: &mut TcpStream) {
    assert_eq!(theirs.read(&mut [0]).await.unwrap(), 0);
}

const SILENCE: Duration = Duration::from_secs(15);

#[actix::test]
async fn a_host_that_says_nothing_is_asked_six_times_and_left() {
    let site = Site::new(None).await;
    let script = async |mut theirs: TcpStream| {
        tokio::time::pause();
        for _ in 0..6 {
            site.after(SILENCE).await;
            assert_eq!(next(&mut theirs).await.frame.kind, Kind::Heartbeat);
        }
        site.after(SILENCE).await;
        ended(&mut theirs).await;
        assert!(site.trunks.is_empty());
    };
    site.with(script).await;
}

#[actix::test]
async fn a_host_that_answers_is_kept() {
    let site = Site::new(None).await;
    let script = async |mut theirs: TcpStream| {
        tokio::time::pause();
        for _ in 0..20 {
            site.after(SILENCE).await;
            let asked = next(&mut theirs).await.frame;
            assert_eq!(asked.kind, Kind::Heartbeat);
            let mut answer = Vec::new();
            V1.acknowledge(&asked.asker, &mut answer);
            // Whatever else it says goes nowhere.
            let stray = Asker {
                id: 1,
                ..asked.asker
            };
            V1.acknowledge(&stray, &mut answer);
            theirs.write_all(&answer).await.unwrap();
            // Its answer is heard before more time passes.
            until(|| site.trunk().0.under_way() == 0).await;
        }
        assert_eq!(site.trunks.len(), 1);
    };
    site.with(script).await;
}

#[actix::test]
async fn a_connection_that_nobody_uses_ends_after_its_time() {
    let site = Site::new(Some(Duration::from_secs(10))).await;
    let script = async |mut theirs: TcpStream| {
        tokio::time::pause();
        site.after(Duration::from_secs(9)).await;
        assert_eq!(site.trunks.len(), 1);
        site.after(Duration::from_secs(2)).await;
        ended(&mut theirs).await;
    };
    site.with(script).await;
}

#[actix::test]
async fn a_host_that_leaves_is_left_at_rest() {
    let site = Site::new(None).await;
    let script = async |mut theirs: TcpStream| {
        site.hosts.hosts()[0].departure().leave(None);
        site.trunks.sweep();
        ended(&mut theirs).await;
    };
    site.with(script).await;
}

/// The host was asked whether it is there, and has not answered.
async fn after_silence(site: &Site, theirs: &mut TcpStream) {
    tokio::time::pause();
    site.after(SILENCE).await;
    assert_eq!(next(theirs).await.frame.kind, Kind::Heartbeat);
}

#[actix::test]
async fn a_heartbeat_that_is_not_answered_keeps_no_goodbye_waiting() {
    let site = Site::new(None).await;
    let script = async |mut theirs: TcpStream| {
        after_silence(&site, &mut theirs).await;
        theirs.write_all(&V1.goaway(1).unwrap()).await.unwrap();
        timeout(PATIENCE, ended(&mut theirs)).await.unwrap();
    };
    site.with(script).await;
}

#[actix::test]
async fn a_heartbeat_that_is_not_answered_keeps_nothing_that_nobody_uses() {
    let site = Site::new(Some(Duration::from_secs(20))).await;
    let script = async |mut theirs: TcpStream| {
        after_silence(&site, &mut theirs).await;
        // Time passes for who waits for an answer, too.
        tokio::time::sleep(Duration::from_secs(2)).await;
        site.after(Duration::from_secs(4)).await;
        timeout(PATIENCE, ended(&mut theirs)).await.unwrap();
    };
    site.with(script).await;
}

#[actix::test]
async fn what_a_host_asks_that_takes_nothing_does_not_pile_up() {
    let site = Site::new(None).await;
    let (trunk, _driver) = site.trunk();
    let mut bytes = V1.heartbeat(7).unwrap();
    let Ok(Decoded::Frame(frame)) = V1.decode(&bytes, MOST) else {
        panic!("it is a frame");
    };
    for _ in 0..10_000 {
        let bytes = std::mem::take(&mut bytes).into();
        trunk.take(Message { frame, bytes }, now()).unwrap();
    }
    assert!(!trunk.has_room());
    assert!(trunk.0.out.borrow().len() < 8 * 1024);
}

#[actix::test]
async fn who_reads_longer_frames_has_a_connection_of_its_own() {
    let site = Site::new(None).await;
    let (short, _driver) = site.trunk_of(2048);
    let (long, driver) = site.trunk_of(4096);
    assert!(driver.is_some());
    for (most, known) in [(2048, short), (4096, long)] {
        let (again, driver) = site.trunk_of(most);
        assert_eq!((again.id(), driver.is_some()), (known.id(), false));
    }
}

#[actix::test]
async fn whoever_waits_hears_that_no_connection_was_made() {
    let site = Site::new(None).await;
    let (trunk, driver) = site.trunk();
    drop(site.listener);
    let waiting = [1, 2].map(|_| trunk.ask(&request(), None, None).unwrap());
    timeout(PATIENCE, driver.unwrap()).await.unwrap();
    let mut first = 0;
    for waiting in waiting {
        match waiting.answer().await {
            Reply::Ended(Ending { why, sent, told }) => {
                assert!(matches!(why, End::Unreached(_)), "{why}");
                assert_eq!(sent, Sent::Nothing);
                first += usize::from(told == Told::First);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(first, 1);
    assert!(!trunk.takes_requests());
    assert!(trunk.ask(&request(), None, None).is_none());
}

/// Lets the others go on until it is so.
async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::task::yield_now().await;
    }
}
