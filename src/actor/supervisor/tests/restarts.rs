//! Who is started again, and when the supervisor gives up.

use super::*;

async fn three_of(strategy: Strategy) -> (World, Handle, Life) {
    tokio::time::pause();
    let world = World::default();
    let specs = ["a", "b", "c"].map(|id| world.permanent(id)).into();
    let (handle, life) = supervisor(strategy, specs);
    assert_eq!(world.journal().await, "+a +b +c");
    (world, handle, life)
}

#[actix::test]
async fn rest_for_one_restarts_the_failed_child_and_those_after_it() {
    let (world, _handle, _life) = three_of(Strategy::RestForOne).await;
    world.kill("b", Die::Panic).await;
    assert_eq!(world.journal().await, "-b -c +b +c");
}

#[actix::test]
async fn one_for_all_restarts_every_child() {
    let (world, _handle, _life) = three_of(Strategy::OneForAll).await;
    world.kill("b", Die::Fail).await;
    assert_eq!(world.journal().await, "-b -c -a +a +b +c");
}

#[actix::test]
async fn one_for_one_restarts_only_the_failed_child() {
    let (world, handle, _life) = three_of(Strategy::OneForOne).await;
    world.kill("b", Die::Panic).await;
    assert_eq!(world.journal().await, "-b +b");
    let b = &handle.tree().await.unwrap().children[1];
    assert_eq!(
        (b.restarts, b.last_exit.as_deref(), b.state),
        (1, Some("panicked: boom"), State::Running)
    );
}

#[actix::test]
async fn a_child_ends_for_good_when_its_kind_says_so() {
    tokio::time::pause();
    let world = World::default();
    let specs = vec![
        ChildSpec::permanent("p", world.start("p")),
        ChildSpec::temporary("t", world.start("t")),
        ChildSpec::transient("x", world.start("x")),
    ];
    let (handle, _life) = supervisor(Strategy::OneForOne, specs);
    world.journal().await;

    for (id, how, expected) in [
        ("p", Die::Stop, "-p +p"),
        ("x", Die::Panic, "-x +x"),
        ("x", Die::Stop, "-x"),
        ("t", Die::Panic, "-t"),
    ] {
        world.kill(id, how).await;
        assert_eq!(world.journal().await, expected, "{id}");
    }
    let children = handle.tree().await.unwrap().children;
    let states: Vec<_> = children
        .iter()
        .map(|node| (&*node.id, node.state))
        .collect();
    assert_eq!(states, [("p", State::Running), ("x", State::Ended)]);
}

#[actix::test]
async fn a_restart_of_siblings_leaves_temporary_children_out() {
    tokio::time::pause();
    let world = World::default();
    let specs = vec![
        world.permanent("a"),
        ChildSpec::temporary("t", world.start("t")),
        world.permanent("b"),
    ];
    let (_handle, _life) = supervisor(Strategy::OneForAll, specs);
    world.journal().await;

    world.kill("a", Die::Panic).await;

    assert_eq!(world.journal().await, "-a -b -t +a +b");
}

#[actix::test]
async fn a_supervisor_gives_up_with_the_reason_of_the_last_failure() {
    let (world, _handle, mut life) = three_of(Strategy::OneForOne).await;
    for _ in 0..3 {
        world.kill("b", Die::Panic).await;
        assert_eq!(world.journal().await, "-b +b");
    }
    world.kill("b", Die::Fail).await;

    let reason = "tree gives up: 4 failures within 5s, the last: b failed: socket lost";
    assert_eq!(life.ended().await, Exit::Fail(reason.into()));
    assert_eq!(world.journal().await, "-b -c -a");
}

#[actix::test]
async fn failures_far_apart_are_forgiven() {
    let (world, _handle, _life) = three_of(Strategy::OneForOne).await;
    for _ in 0..10 {
        world.kill("b", Die::Panic).await;
        assert_eq!(world.journal().await, "-b +b");
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

#[actix::test]
async fn failure_goes_up_through_every_level() {
    tokio::time::pause();
    let world = World::default();
    let slot = Slot::<View>::default();
    let inner = {
        let (world, slot) = (world.clone(), slot.clone());
        move || {
            let policy = Policy {
                max_restarts: 1,
                ..Policy::new(Strategy::OneForOne)
            };
            let (handle, life) = start("inner", policy, vec![world.permanent("a")], silence());
            slot.fill(handle.view());
            life
        }
    };
    let policy = Policy {
        max_restarts: 1,
        ..Policy::new(Strategy::OneForOne)
    };
    let specs = vec![ChildSpec::permanent("inner", inner).supervisor(slot)];
    let (_handle, mut life) = start("outer", policy, specs, silence());
    world.journal().await;

    for _ in 0..3 {
        world.kill("a", Die::Panic).await;
        assert_eq!(world.journal().await, "-a +a");
    }
    world.kill("a", Die::Panic).await;

    let reason = "outer gives up: 2 failures within 5s, the last: inner failed: \
                  inner gives up: 2 failures within 5s, the last: a panicked: boom";
    assert_eq!(life.ended().await, Exit::Fail(reason.into()));
}

#[actix::test]
async fn two_that_fail_at_once_are_both_restarted() {
    let (world, _handle, _life) = three_of(Strategy::OneForOne).await;
    let _ = futures::join!(world.kill("a", Die::Panic), world.kill("c", Die::Panic));
    assert_eq!(world.journal().await, "-a -c +a +c");
}

#[actix::test]
async fn exits_and_restarts_are_logged_with_their_reason() {
    let (sink, lines) = std::sync::mpsc::channel();
    let log = slog::Logger::root(Lines(sink), slog::o!());
    tokio::time::pause();
    let world = World::default();
    let policy = Policy {
        max_restarts: 1,
        ..Policy::new(Strategy::OneForOne)
    };
    let (_handle, mut life) = start("tree", policy, vec![world.permanent("a")], log);
    world.journal().await;
    world.kill("a", Die::Panic).await;
    world.journal().await;
    world.kill("a", Die::Fail).await;
    life.ended().await;

    let lines: Vec<_> = lines.try_iter().collect();
    assert_eq!(
        lines,
        [
            "DEBG started supervisor=tree child=a",
            "ERRO exited supervisor=tree child=a reason=panicked: boom restarts=0",
            "DEBG started supervisor=tree child=a",
            "INFO restarted supervisor=tree child=a restarts=1 reason=panicked: boom",
            "WARN exited supervisor=tree child=a reason=failed: socket lost restarts=1",
            "ERRO gives up supervisor=tree reason=tree gives up: 2 failures within 5s, the last: \
             a failed: socket lost",
        ]
    );
}

/// A drain that keeps lines, for one thread.
struct Lines(std::sync::mpsc::Sender<String>);

impl slog::Drain for Lines {
    type Ok = ();
    type Err = slog::Never;

    fn log(
        &self,
        record: &slog::Record<'_>,
        values: &slog::OwnedKVList,
    ) -> Result<(), slog::Never> {
        use slog::KV;
        let mut pairs = Pairs(Vec::new());
        values.serialize(record, &mut pairs).unwrap();
        // slog hands pairs out from the last to the first.
        let outer = pairs.0.len();
        record.kv().serialize(record, &mut pairs).unwrap();
        pairs.0[outer..].reverse();
        let level = record.level().as_short_str();
        let line = format!("{level} {} {}", record.msg(), pairs.0.join(" "));
        self.0.send(line).unwrap();
        Ok(())
    }
}

struct Pairs(Vec<String>);

impl slog::Serializer for Pairs {
    fn emit_arguments(&mut self, key: slog::Key, value: &std::fmt::Arguments<'_>) -> slog::Result {
        self.0.push(format!("{key}={value}"));
        Ok(())
    }
}
