//! Children on other arbiters. Threads do not pause: each wait here is for an event.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::*;
use crate::supervise::Restart;

/// Sends its life's number when it starts, and again when it is dropped.
struct Far(UnboundedSender<&'static str>);

impl Actor for Far {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        let _ = self.0.send("+");
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        let _ = self.0.send("-");
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Panic;

impl Handler<Panic> for Far {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Context<Self>) {
        panic!("boom afar");
    }
}

/// A supervisor of one child on another arbiter, which is replaced when it has ended.
struct Fixture {
    address: Slot<Addr<Far>>,
    arbiter: Rc<RefCell<Option<Arbiter>>>,
    journal: UnboundedReceiver<&'static str>,
    handle: Handle,
    life: Life,
}

async fn fixture() -> Fixture {
    let (sender, journal) = unbounded_channel();
    let (address, arbiter) = (Slot::default(), Rc::new(RefCell::new(None::<Arbiter>)));
    let spec = {
        let (address, arbiter) = (address.clone(), arbiter.clone());
        ChildSpec::starting("far", Restart::Permanent, move || {
            let place = match &mut *arbiter.borrow_mut() {
                Some(arbiter) if arbiter.handle().spawn_fn(|| ()) => arbiter.handle(),
                gone => gone.insert(Arbiter::new()).handle(),
            };
            let (sender, address) = (sender.clone(), address.clone());
            async move {
                let (far, life) = run_on(&place, move || run(|_| Far(sender))).await?;
                address.fill(far);
                Ok::<_, Exit>(life)
            }
        })
    };
    let (handle, life) = supervisor(Strategy::OneForOne, vec![spec]);
    handle.started().await.unwrap();
    Fixture {
        address,
        arbiter,
        journal,
        handle,
        life,
    }
}

impl Fixture {
    async fn sees(&mut self, expected: &str) {
        for what in expected.split(' ') {
            assert_eq!(self.journal.recv().await, Some(what));
        }
    }

    /// The reason of the child's last exit, once it runs again.
    async fn last_exit(&self) -> Option<String> {
        let far = self.handle.tree().await.unwrap().children.remove(0);
        assert_eq!(far.restarts, 1);
        far.last_exit
    }

    fn stop_arbiter(&self) {
        if let Some(arbiter) = self.arbiter.take() {
            arbiter.stop();
            arbiter.join().unwrap();
        }
    }
}

#[actix::test]
async fn a_panic_on_another_arbiter_is_a_restart() {
    let mut tree = fixture().await;
    tree.sees("+").await;

    let _ = tree.address.get().unwrap().send(Panic).await;

    tree.sees("- +").await;
    settled(&tree).await;
    assert_eq!(
        tree.last_exit().await.as_deref(),
        Some("panicked: boom afar")
    );
    drop(tree.life);
    tree.journal.recv().await;
}

#[actix::test]
async fn the_end_of_an_arbiter_is_an_exit_of_its_child() {
    let mut tree = fixture().await;
    tree.sees("+").await;

    tree.stop_arbiter();

    tree.sees("- +").await;
    settled(&tree).await;
    assert_eq!(
        tree.last_exit().await.as_deref(),
        Some("aborted: its arbiter has ended")
    );
    tree.stop_arbiter();
}

#[actix::test]
async fn children_on_other_arbiters_end_with_their_supervisor() {
    let mut tree = fixture().await;
    tree.sees("+").await;

    drop(tree.life);

    assert_eq!(tree.journal.recv().await, Some("-"));
}

#[actix::test]
async fn a_stop_kills_children_on_other_arbiters_too() {
    let mut tree = fixture().await;
    tree.sees("+").await;

    tree.life.request_stop();

    assert_eq!(tree.life.ended().await, Exit::Normal);
    tree.sees("-").await;
    tree.stop_arbiter();
}

#[actix::test]
async fn nothing_starts_on_an_arbiter_that_has_ended() {
    let arbiter = Arbiter::new();
    let handle = arbiter.handle();
    arbiter.stop();
    arbiter.join().unwrap();

    let (sender, _journal) = unbounded_channel();
    let started = run_on(&handle, move || run(|_| Far(sender))).await;

    assert_eq!(
        started.unwrap_err(),
        Exit::Abort("its arbiter has ended".into())
    );
}

#[actix::test]
async fn a_start_that_panics_on_another_arbiter_is_told() {
    let arbiter = Arbiter::new();

    let started = run_on(&arbiter.handle(), || -> ((), Life) { panic!("no socket") }).await;

    assert_eq!(started.unwrap_err(), Exit::Panic("no socket".into()));
    arbiter.stop();
}

#[actix::test]
async fn a_child_whose_arbiter_is_blocked_is_abandoned() {
    let mut tree = fixture().await;
    tree.sees("+").await;
    let place = tree.arbiter.borrow().as_ref().unwrap().handle();
    let unblock = block(&place).await;

    tree.life.request_stop();

    // Nothing is awaited but the bound of one second on the way.
    assert_eq!(tree.life.ended().await, Exit::Normal);
    assert!(tree.journal.try_recv().is_err());
    drop(unblock);
    tree.sees("-").await;
    tree.stop_arbiter();
}

/// Waits until the supervisor has noted the restart: commands come after it.
async fn settled(tree: &Fixture) {
    let _ = tree.handle.remove("nobody").await;
}
