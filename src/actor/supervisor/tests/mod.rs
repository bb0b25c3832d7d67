//! The supervisor, watched through actors that keep a journal of their starts and ends.

mod group;
mod panics;
mod remote;
mod restarts;
mod starts;
mod stops;
mod tree;

use std::collections::HashMap;

use super::*;
use crate::supervise::{Exit, Policy, Shutdown, Strategy};

/// Starts an actor that starts children under it.
fn supervisor(strategy: Strategy, specs: Vec<ChildSpec>) -> (Handle, Life) {
    start("tree", Policy::new(strategy), specs, silence())
}

fn silence() -> slog::Logger {
    slog::Logger::root(slog::Discard, slog::o!())
}

/// Lets everything happen that needs no time to pass; needs paused time.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// Blocks an arbiter's thread until the sender is dropped.
async fn block(arbiter: &ArbiterHandle) -> std::sync::mpsc::Sender<()> {
    let (unblock, blocked) = std::sync::mpsc::channel::<()>();
    let (report, begun) = oneshot::channel();
    arbiter.spawn_fn(move || {
        let _ = report.send(());
        let _ = blocked.recv();
    });
    begun.await.unwrap();
    unblock
}

/// What an actor does when it should end.
#[derive(Clone, Copy)]
enum Manner {
    Drains(Duration),
    Ignores,
    Obeys,
}

#[derive(Message)]
#[rtype(result = "()")]
enum Die {
    Fail,
    Panic,
    Stop,
}

/// Keeps the journal: `+id` for a start, `-id` for an end.
struct Mortal {
    fate: Fate,
    id: &'static str,
    manner: Manner,
    world: World,
}

impl Actor for Mortal {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.world.note(format!("+{}", self.id));
        let (fate, manner) = (self.fate.clone(), self.manner);
        let ending = async move {
            fate.stop_requested().await;
            match manner {
                Manner::Drains(time) => tokio::time::sleep(time).await,
                Manner::Ignores => std::future::pending().await,
                Manner::Obeys => {}
            }
        };
        ctx.spawn(ending.into_actor(self).map(|(), _, ctx| ctx.stop()));
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        self.world.note(format!("-{}", self.id));
    }
}

impl Handler<Die> for Mortal {
    type Result = ();

    fn handle(&mut self, how: Die, ctx: &mut Context<Self>) {
        match how {
            Die::Fail => self.fate.fail(ctx, "socket lost".into()),
            Die::Panic => panic!("boom"),
            Die::Stop => ctx.stop(),
        }
    }
}

/// What the actors of one test have in common.
#[derive(Clone, Default)]
struct World {
    journal: Rc<RefCell<Vec<String>>>,
    /// The latest life of each.
    mortals: Rc<RefCell<HashMap<&'static str, Addr<Mortal>>>>,
}

impl World {
    fn run(&self, id: &'static str, manner: Manner) -> Life {
        let (address, life) = run(|fate| Mortal {
            fate,
            id,
            manner,
            world: self.clone(),
        });
        self.mortals.borrow_mut().insert(id, address);
        life
    }

    fn start(&self, id: &'static str) -> impl FnMut() -> Life + use<> {
        let world = self.clone();
        move || world.run(id, Manner::Obeys)
    }

    fn permanent(&self, id: &'static str) -> ChildSpec {
        ChildSpec::permanent(id, self.start(id))
    }

    /// A child that behaves like this in the ten seconds it has to end.
    fn draining(&self, id: &'static str, manner: Manner) -> ChildSpec {
        let world = self.clone();
        ChildSpec::permanent(id, move || world.run(id, manner))
            .shutdown(Shutdown::Drain(Duration::from_secs(10)))
    }

    fn note(&self, what: String) {
        self.journal.borrow_mut().push(what);
    }

    /// What happened since the last call, once nothing more happens.
    async fn journal(&self) -> String {
        settle().await;
        self.journal.take().join(" ")
    }

    async fn kill(&self, id: &str, how: Die) {
        let _ = self.address(id).send(how).await;
    }

    fn address(&self, id: &str) -> Addr<Mortal> {
        self.mortals.borrow()[id].clone()
    }
}
