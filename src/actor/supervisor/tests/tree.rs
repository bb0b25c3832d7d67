//! The tree as it describes itself.

use super::*;

fn nested(world: &World) -> ChildSpec {
    let slot = Slot::<View>::default();
    let start = {
        let world = world.clone();
        slot.filled_by(move || {
            let specs = vec![world.permanent("leaf")];
            let (handle, life) = start("inner", Policy::new(Strategy::OneForOne), specs, silence());
            (handle.view(), life)
        })
    };
    ChildSpec::permanent("branch", start).supervisor(slot)
}

#[actix::test]
async fn the_tree_shows_every_level() {
    tokio::time::pause();
    let world = World::default();
    let (handle, _life) = supervisor(Strategy::OneForOne, vec![nested(&world)]);
    handle.started().await.unwrap();
    settle().await;
    world.kill("leaf", Die::Panic).await;
    settle().await;

    let tree = serde_json::to_value(handle.tree().await.unwrap()).unwrap();

    assert_eq!(
        tree,
        serde_json::json!({
            "id": "tree", "kind": "supervisor", "state": "running",
            "restarts": 0, "last_exit": null,
            "children": [{
                "id": "branch", "kind": "supervisor", "state": "running",
                "restarts": 0, "last_exit": null,
                "children": [{
                    "id": "leaf", "kind": "worker", "state": "running",
                    "restarts": 1, "last_exit": "panicked: boom", "children": [],
                }],
            }],
        })
    );
}

#[actix::test]
async fn a_stopping_branch_still_shows_its_leaves() {
    tokio::time::pause();
    let world = World::default();
    let slot = Slot::<View>::default();
    let start = {
        let world = world.clone();
        slot.filled_by(move || {
            let specs = vec![world.draining("leaf", Manner::Drains(Duration::from_secs(3)))];
            let (handle, life) = start("inner", Policy::new(Strategy::OneForOne), specs, silence());
            (handle.view(), life)
        })
    };
    let (handle, life) = supervisor(
        Strategy::OneForOne,
        vec![ChildSpec::permanent("branch", start).supervisor(slot)],
    );
    handle.started().await.unwrap();
    settle().await;
    life.request_stop();
    settle().await;

    let branch = handle.tree().await.unwrap().children.remove(0);

    assert_eq!(branch.state, State::Stopping);
    assert_eq!(branch.children[0].state, State::Stopping);
}

#[actix::test]
async fn a_branch_on_a_blocked_arbiter_gives_no_answer() {
    let arbiter = Arbiter::new();
    let place = arbiter.handle();
    let far = run_on(&place, || {
        let (handle, life) = start("inner", Policy::new(Strategy::OneForOne), vec![], silence());
        (handle.view(), life)
    });
    let (view, far) = far.await.unwrap();
    let far = RefCell::new(Some(far));
    let slot = Slot::<View>::default();
    slot.fill(view);
    let spec = ChildSpec::temporary("far", move || far.take().unwrap()).supervisor(slot);
    let (handle, life) = supervisor(Strategy::OneForOne, vec![spec]);
    handle.started().await.unwrap();
    assert_eq!(
        handle.tree().await.unwrap().children[0].state,
        State::Running
    );

    let unblock = block(&place).await;

    assert_eq!(
        handle.tree().await.unwrap().children[0].state,
        State::NoAnswer
    );
    drop((unblock, life));
    arbiter.stop();
}

#[actix::test]
async fn a_supervisor_that_has_ended_has_no_tree() {
    let (handle, life) = supervisor(Strategy::OneForOne, vec![]);
    drop(life);
    assert_eq!(handle.tree().await, Err(Gone));
}
