//! A panic ends one actor, wherever in it it happens: never the process, never unseen.

use super::*;
use crate::actor::fault;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Dropped,
    Handler,
    LaterInTask,
    LaterInTaskAndDropped,
    Started,
    StoppedMethod,
    Stopping,
    TaskAtOnce,
}

/// Panics at its moment.
struct Volatile(Moment);

impl Volatile {
    fn at(&self, moment: Moment) {
        if self.0 == moment {
            panic!("boom at {moment:?}");
        }
    }
}

impl Actor for Volatile {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.at(Moment::Started);
        let moment = self.0;
        let task = async move {
            if moment == Moment::TaskAtOnce {
                panic!("boom at {moment:?}");
            }
            tokio::task::yield_now().await;
            if matches!(moment, Moment::LaterInTask | Moment::LaterInTaskAndDropped) {
                panic!("boom at {moment:?}");
            }
            std::future::pending::<()>().await;
        };
        ctx.spawn(task.into_actor(self));
    }

    fn stopping(&mut self, _: &mut Context<Self>) -> Running {
        self.at(Moment::Stopping);
        Running::Stop
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        self.at(Moment::StoppedMethod);
    }
}

impl Drop for Volatile {
    fn drop(&mut self) {
        self.at(Moment::Dropped);
        assert!(self.0 != Moment::LaterInTaskAndDropped, "a second panic");
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Poke;

impl Handler<Poke> for Volatile {
    type Result = ();

    fn handle(&mut self, _: Poke, ctx: &mut Context<Self>) {
        self.at(Moment::Handler);
        ctx.stop();
    }
}

#[actix::test]
async fn a_panic_at_any_moment_is_an_exit_with_its_text() {
    for moment in [
        Moment::Dropped,
        Moment::Handler,
        Moment::LaterInTask,
        Moment::LaterInTaskAndDropped,
        Moment::Started,
        Moment::StoppedMethod,
        Moment::Stopping,
        Moment::TaskAtOnce,
    ] {
        let (address, mut life) = run(|_| Volatile(moment));
        if !matches!(
            moment,
            Moment::LaterInTask | Moment::LaterInTaskAndDropped | Moment::TaskAtOnce
        ) {
            let _ = address.send(Poke).await;
        }
        assert_eq!(
            life.ended().await,
            Exit::Panic(format!("boom at {moment:?}"))
        );
        assert!(!address.connected());
    }
}

#[actix::test]
async fn a_killed_actor_neither_starts_nor_stops_but_is_dropped() {
    for (moment, expected) in [
        (Moment::Started, Exit::Abort("killed".into())),
        (Moment::Stopping, Exit::Abort("killed".into())),
        (Moment::StoppedMethod, Exit::Abort("killed".into())),
        (Moment::Dropped, Exit::Panic("boom at Dropped".into())),
    ] {
        let (_address, mut life) = run(|_| Volatile(moment));
        life.kill();
        assert_eq!(life.ended().await, expected, "{moment:?}");
        assert_eq!(life.ended().await, expected, "asked again");
    }
}

#[actix::test]
async fn an_actor_nobody_can_reach_ends_normally() {
    struct Idle;
    impl Actor for Idle {
        type Context = Context<Self>;
    }
    let (address, mut life) = run(|_| Idle);
    drop(address);
    assert_eq!(life.ended().await, Exit::Normal);
}

#[actix::test]
async fn the_first_reason_of_a_failure_is_told() {
    struct Sensitive(Fate);
    impl Actor for Sensitive {
        type Context = Context<Self>;

        fn started(&mut self, ctx: &mut Context<Self>) {
            self.0.fail(ctx, "the cause".into());
            self.0.fail(ctx, "a consequence".into());
        }
    }
    let (_address, mut life) = run(Sensitive);
    assert_eq!(life.ended().await, Exit::Fail("the cause".into()));
}

#[actix::test]
async fn an_injected_fault_is_a_panic_of_its_actor() {
    struct Unlucky;
    impl Actor for Unlucky {
        type Context = Context<Self>;
    }
    let (_address, mut first) = run(|_| Unlucky);
    let (address, second) = run(|_| Unlucky);
    assert_eq!(fault::count("Unlucky"), 2);

    assert!(fault::panic_one("Unlucky"));

    assert_eq!(
        first.ended().await,
        Exit::Panic("injected fault in Unlucky".into())
    );
    assert_eq!(fault::count("Unlucky"), 1);
    assert!(address.connected());
    drop(second);
}
