//! Stops: last to first, each within its deadline, and nobody left behind.

use tokio::time::Instant;

use super::*;
use crate::actor::fault;

#[actix::test]
async fn children_stop_last_to_first_each_after_the_other_has_drained() {
    tokio::time::pause();
    let world = World::default();
    let specs = vec![
        world.draining("a", Manner::Obeys),
        world.draining("b", Manner::Drains(Duration::from_secs(4))),
        world.draining("c", Manner::Drains(Duration::from_secs(3))),
    ];
    let (_handle, mut life) = supervisor(Strategy::OneForOne, specs);
    assert_eq!(world.journal().await, "+a +b +c");

    let asked = Instant::now();
    life.request_stop();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.journal().await, "");
    assert_eq!(life.ended().await, Exit::Normal);

    assert_eq!(asked.elapsed().as_secs(), 7);
    assert_eq!(world.journal().await, "-c -b -a");
}

#[actix::test]
async fn a_child_that_ignores_the_wish_is_killed_at_its_deadline() {
    tokio::time::pause();
    let world = World::default();
    let specs = vec![world.draining("a", Manner::Ignores)];
    let (_handle, mut life) = supervisor(Strategy::OneForOne, specs);
    world.journal().await;

    let asked = Instant::now();
    life.request_stop();

    assert_eq!(life.ended().await, Exit::Normal);
    assert_eq!(asked.elapsed().as_secs(), 10);
    assert_eq!(world.journal().await, "-a");
}

#[actix::test]
async fn a_restart_does_not_wait_for_the_drain_of_a_planned_stop() {
    tokio::time::pause();
    let world = World::default();
    let specs = vec![
        world.draining("a", Manner::Obeys),
        world.draining("b", Manner::Ignores),
    ];
    let (_handle, _life) = supervisor(Strategy::RestForOne, specs);
    world.journal().await;

    world.kill("a", Die::Panic).await;
    tokio::time::sleep(Duration::from_secs(1)).await;

    assert_eq!(world.journal().await, "-a -b +a +b");
}

#[actix::test]
async fn a_removed_child_drains_while_its_name_and_its_siblings_live_on() {
    tokio::time::pause();
    let world = World::default();
    let specs = vec![
        world.draining("a", Manner::Drains(Duration::from_secs(4))),
        world.permanent("b"),
    ];
    let (handle, _life) = supervisor(Strategy::OneForAll, specs);
    world.journal().await;

    let mut removed = Box::pin(handle.remove("a"));
    assert!(futures::poll!(&mut removed).is_pending());
    settle().await;
    world.kill("b", Die::Panic).await;
    assert_eq!(handle.add(world.permanent("a")).await, Ok(()));
    assert_eq!(world.journal().await, "-b +b +a");
    let states: Vec<_> = handle.tree().await.unwrap().children;
    let states: Vec<_> = states.iter().map(|node| (&*node.id, node.state)).collect();
    assert_eq!(
        states,
        [
            ("b", State::Running),
            ("a", State::Running),
            ("a", State::Stopping)
        ]
    );

    assert_eq!(removed.await, Ok(()));
    assert_eq!(world.journal().await, "-a");
    assert_eq!(handle.tree().await.unwrap().children.len(), 2);
}

#[actix::test]
async fn a_removed_child_that_ignores_it_is_killed_at_its_deadline() {
    tokio::time::pause();
    let world = World::default();
    let specs = vec![world.draining("a", Manner::Ignores), world.permanent("b")];
    let (handle, _life) = supervisor(Strategy::OneForOne, specs);
    world.journal().await;

    let asked = Instant::now();
    assert_eq!(handle.remove("a").await, Ok(()));
    assert_eq!(asked.elapsed().as_secs(), 10);
    assert_eq!(handle.remove("b").await, Ok(()));
    assert_eq!(handle.remove("b").await, Err(RemoveError::NotFound));
    assert_eq!(asked.elapsed().as_secs(), 10);
    assert_eq!(world.journal().await, "-a -b");
}

#[actix::test]
async fn a_stop_waits_for_children_that_are_leaving() {
    tokio::time::pause();
    let world = World::default();
    let specs = vec![world.draining("a", Manner::Drains(Duration::from_secs(4)))];
    let (handle, mut life) = supervisor(Strategy::OneForOne, specs);
    world.journal().await;

    let mut removed = Box::pin(handle.remove("a"));
    assert!(futures::poll!(&mut removed).is_pending());
    settle().await;
    life.request_stop();

    assert_eq!(life.ended().await, Exit::Normal);
    assert_eq!(removed.await, Ok(()));
    assert_eq!(world.journal().await, "-a");
    assert_eq!(handle.remove("a").await, Err(RemoveError::Gone));
    assert_eq!(handle.add(world.permanent("a")).await, Err(AddError::Gone));
}

#[actix::test]
async fn a_supervisor_without_children_ends_when_it_is_asked() {
    let (handle, mut life) = supervisor(Strategy::OneForOne, vec![]);
    assert_eq!(handle.started().await, Ok(()));
    life.request_stop();
    assert_eq!(life.ended().await, Exit::Normal);
}

#[actix::test]
async fn children_end_with_their_supervisor_however_it_ends() {
    tokio::time::pause();
    let how_it_ends: [fn(&str, Life); 3] = [
        |_, life| drop(life),
        |_, life| {
            life.kill();
            std::mem::forget(life);
        },
        |name, life| {
            assert!(fault::panic_one(name));
            std::mem::forget(life);
        },
    ];
    for (nth, end) in how_it_ends.into_iter().enumerate() {
        let world = World::default();
        let specs = vec![world.permanent("a"), world.draining("b", Manner::Ignores)];
        let name = format!("supervisor {nth} that ends");
        let policy = Policy::new(Strategy::OneForOne);
        let (_handle, life) = start(&*name, policy, specs, silence());
        assert_eq!(world.journal().await, "+a +b");

        end(&name, life);

        assert_eq!(world.journal().await, "-b -a", "{name}");
    }
}
