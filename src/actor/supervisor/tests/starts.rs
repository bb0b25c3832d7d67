//! Starts: in order, waited for, and allowed to fail.

use tokio::sync::Semaphore;

use super::*;
use crate::supervise::Restart;

/// A start that waits for a permit.
fn gated(world: &World, gate: &Rc<Semaphore>, id: &'static str) -> ChildSpec {
    let (world, gate) = (world.clone(), gate.clone());
    ChildSpec::starting(id, Restart::Permanent, move || {
        let (world, gate) = (world.clone(), gate.clone());
        async move {
            gate.acquire()
                .await
                .map_err(|_| "the gate is closed")?
                .forget();
            Ok::<_, &str>(world.run(id, Manner::Obeys))
        }
    })
}

#[actix::test]
async fn a_child_starts_when_the_one_before_it_has_started() {
    tokio::time::pause();
    let world = World::default();
    let gate = Rc::new(Semaphore::new(0));
    let specs = vec![gated(&world, &gate, "a"), world.permanent("b")];
    let (handle, _life) = supervisor(Strategy::OneForOne, specs);
    assert_eq!(world.journal().await, "");

    gate.add_permits(1);

    assert_eq!(handle.started().await, Ok(()));
    assert_eq!(world.journal().await, "+a +b");
}

#[actix::test]
async fn a_failed_start_stops_those_before_it_and_is_told() {
    tokio::time::pause();
    let world = World::default();
    let gate = Rc::new(Semaphore::new(0));
    let specs = vec![
        world.permanent("a"),
        world.permanent("b"),
        gated(&world, &gate, "c"),
        world.permanent("d"),
    ];
    let (handle, mut life) = supervisor(Strategy::OneForOne, specs);
    assert_eq!(world.journal().await, "+a +b");
    gate.close();

    let failed = StartError::Failed {
        id: "c".into(),
        reason: "failed: the gate is closed".into(),
    };
    assert_eq!(handle.started().await, Err(failed.clone()));
    assert_eq!(life.ended().await, Exit::Fail(format!("tree: {failed}")));
    assert_eq!(world.journal().await, "-b -a");
}

#[actix::test]
async fn a_start_that_panics_or_hangs_is_a_failed_start() {
    tokio::time::pause();
    for (spec, expected) in [
        (
            ChildSpec::permanent("a", || panic!("no socket")),
            "panicked: no socket",
        ),
        (
            ChildSpec::starting("a", Restart::Permanent, async || -> Result<Life, String> {
                panic!("no answer")
            }),
            "panicked: no answer",
        ),
        (
            ChildSpec::starting("a", Restart::Permanent, || {
                std::future::pending::<Result<Life, String>>()
            })
            .starts_within(Duration::from_secs(2)),
            "failed: it did not start within 2s",
        ),
    ] {
        let (handle, _life) = supervisor(Strategy::OneForOne, vec![spec]);
        let failed = StartError::Failed {
            id: "a".into(),
            reason: expected.into(),
        };
        assert_eq!(handle.started().await, Err(failed));
    }
}

#[actix::test]
async fn a_restart_that_fails_to_start_is_tried_again() {
    tokio::time::pause();
    let world = World::default();
    let gate = Rc::new(Semaphore::new(1));
    let attempts = Rc::new(RefCell::new(0));
    let flaky = {
        let (world, attempts) = (world.clone(), attempts.clone());
        move || {
            let attempt = attempts.replace_with(|&mut so_far| so_far + 1);
            assert!(attempt != 1 && attempt != 2, "not yet");
            world.run("a", Manner::Obeys)
        }
    };
    let specs = vec![ChildSpec::permanent("a", flaky), gated(&world, &gate, "b")];
    let (_handle, mut life) = supervisor(Strategy::RestForOne, specs);
    assert_eq!(world.journal().await, "+a +b");

    gate.add_permits(1);
    world.kill("a", Die::Panic).await;
    assert_eq!(world.journal().await, "-a -b +a +b");
    assert_eq!(*attempts.borrow(), 4);

    // Three restarts have been used up.
    world.kill("a", Die::Panic).await;
    assert!(matches!(life.ended().await, Exit::Fail(_)));
}

#[actix::test]
async fn two_initial_children_of_one_name_are_refused() {
    tokio::time::pause();
    let world = World::default();
    let specs = vec![world.permanent("a"), world.permanent("a")];
    let (handle, _life) = supervisor(Strategy::OneForOne, specs);

    assert!(matches!(
        handle.started().await,
        Err(StartError::Failed { id, .. }) if &*id == "a"
    ));
    assert_eq!(world.journal().await, "");
}

#[actix::test]
async fn a_supervisor_that_is_stopped_abandons_the_start_it_waits_for() {
    tokio::time::pause();
    let world = World::default();
    let gate = Rc::new(Semaphore::new(0));
    let specs = vec![world.permanent("a"), gated(&world, &gate, "b")];
    let (handle, mut life) = supervisor(Strategy::OneForOne, specs);
    assert_eq!(world.journal().await, "+a");

    life.request_stop();

    assert_eq!(life.ended().await, Exit::Normal);
    assert_eq!(handle.started().await, Err(StartError::Gone));
    assert_eq!(world.journal().await, "-a");
}

#[actix::test]
async fn later_children_find_the_handle_of_the_latest_life() {
    tokio::time::pause();
    let world = World::default();
    let slot = Slot::<u32>::default();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let numbered = {
        let (world, mut number) = (world.clone(), 0);
        slot.filled_by(move || {
            number += 1;
            (number, world.run("a", Manner::Obeys))
        })
    };
    let reader = {
        let (world, slot, seen) = (world.clone(), slot.clone(), seen.clone());
        move || {
            seen.borrow_mut().push(slot.get());
            world.run("b", Manner::Obeys)
        }
    };
    let specs = vec![
        ChildSpec::permanent("a", numbered),
        ChildSpec::permanent("b", reader),
    ];
    let (_handle, _life) = supervisor(Strategy::RestForOne, specs);
    world.journal().await;
    world.kill("a", Die::Panic).await;
    world.journal().await;

    assert_eq!(*seen.borrow(), [Some(1), Some(2)]);
}

#[actix::test]
async fn a_child_is_added_once_after_the_others() {
    tokio::time::pause();
    let world = World::default();
    let (handle, _life) = supervisor(Strategy::RestForOne, vec![world.permanent("a")]);

    assert_eq!(handle.add(world.permanent("b")).await, Ok(()));
    assert_eq!(
        handle.add(world.permanent("b")).await,
        Err(AddError::Duplicate("b".into()))
    );
    assert_eq!(world.journal().await, "+a +b");

    world.kill("a", Die::Panic).await;
    assert_eq!(world.journal().await, "-a -b +a +b");
}

#[actix::test]
async fn a_child_that_does_not_start_is_not_added() {
    tokio::time::pause();
    let world = World::default();
    let (handle, _life) = supervisor(Strategy::RestForOne, vec![]);
    let failed = AddError::Failed {
        id: "a".into(),
        reason: "panicked: no socket".into(),
    };

    let broken = ChildSpec::permanent("a", || panic!("no socket"));
    assert_eq!(handle.add(broken).await, Err(failed));
    assert_eq!(handle.add(world.permanent("a")).await, Ok(()));
    assert_eq!(world.journal().await, "+a");
}
