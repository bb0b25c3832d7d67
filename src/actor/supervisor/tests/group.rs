//! Many short-lived children.

use super::super::guard::Guarded;
use super::*;
use crate::actor::fault;

#[derive(Message)]
#[rtype(result = "()")]
enum Leave {
    Fail,
    Panic,
    Quietly,
}

/// As large as a connection's own state may be.
struct Guest {
    member: Member,
    _state: [u64; 4],
}

impl Guest {
    fn new(member: Member) -> Self {
        Self {
            member,
            _state: [0; 4],
        }
    }
}

impl Actor for Guest {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let member = self.member.clone();
        let goodbye = async move { member.stop_requested().await };
        ctx.spawn(goodbye.into_actor(self).map(|(), _, ctx| ctx.stop()));
    }
}

impl Handler<Leave> for Guest {
    type Result = ();

    fn handle(&mut self, how: Leave, ctx: &mut Context<Self>) {
        match how {
            Leave::Fail => self.member.fail(ctx, "reset by peer"),
            Leave::Panic => panic!("boom"),
            Leave::Quietly => ctx.stop(),
        }
    }
}

type Exits = Rc<RefCell<Vec<(Key, Exit)>>>;

fn group() -> (Group, Exits) {
    let exits = Exits::default();
    let heard = exits.clone();
    let group = Group::new(move |key, exit| heard.borrow_mut().push((key, exit)));
    (group, exits)
}

fn join(group: &Group) -> (Addr<Guest>, Key) {
    let mut key = None;
    let address = group.run(|member| {
        key = Some(member.key());
        Guest::new(member)
    });
    (address, key.unwrap())
}

#[actix::test]
async fn each_end_is_told_apart_and_leaves_the_others() {
    let (group, exits) = group();
    let guests: Vec<_> = (0..4).map(|_| join(&group)).collect();
    for (guest, how) in guests
        .iter()
        .zip([Leave::Fail, Leave::Panic, Leave::Quietly])
    {
        let _ = guest.0.send(how).await;
    }
    group.reaches(1).await;

    assert!(guests[3].0.connected());
    let keys: Vec<_> = guests.iter().map(|guest| guest.1).collect();
    assert_eq!(
        *exits.borrow(),
        [
            (keys[0], Exit::Fail("reset by peer".into())),
            (keys[1], Exit::Panic("boom".into())),
            (keys[2], Exit::Normal),
        ]
    );
}

#[actix::test]
async fn ten_thousand_come_and_go() {
    let (group, exits) = group();
    let mut guests: Vec<_> = (0..10_000).map(|_| join(&group)).collect();
    assert_eq!(group.len(), 10_000);
    group.reaches(10_000).await;

    for (at, (guest, _)) in guests.drain(..5_000).enumerate() {
        let how = if at % 2 == 0 {
            Leave::Panic
        } else {
            Leave::Quietly
        };
        // The text of each panic is printed; a few are enough.
        let how = if at < 10 { how } else { Leave::Quietly };
        let _ = guest.send(how).await;
    }
    group.reaches(5_000).await;
    assert_eq!(group.len(), 5_000);
    group.request_stop();
    group.reaches(0).await;

    assert!(group.is_empty());
    assert_eq!(exits.borrow().len(), 10_000);
    assert!(guests.iter().all(|(guest, _)| !guest.connected()));
}

#[actix::test]
async fn all_can_be_killed() {
    let (group, exits) = group();
    let _guests: Vec<_> = (0..3).map(|_| join(&group)).collect();

    group.kill_all();
    group.reaches(0).await;

    let killed = Exit::Abort("killed".into());
    assert!(exits.borrow().iter().all(|(_, exit)| *exit == killed));
    assert_eq!(exits.borrow().len(), 3);
}

#[actix::test]
async fn children_end_with_their_group() {
    let (group, exits) = group();
    let (guest, _) = join(&group);
    let empty = group.reaches(0);

    drop(group);
    empty.await;

    assert!(!guest.connected());
    assert_eq!(exits.borrow().len(), 1);
}

#[actix::test]
async fn an_old_key_does_not_reach_who_sits_there_now() {
    let (group, _exits) = group();
    let (_, old) = join(&group);
    group.kill(old);
    group.reaches(0).await;
    let (guest, new) = join(&group);
    assert_ne!(old, new);

    group.kill(old);
    tokio::task::yield_now().await;

    assert!(guest.connected());
    group.kill(new);
    group.reaches(0).await;
}

#[actix::test]
async fn a_child_that_is_never_made_takes_no_place() {
    let (group, exits) = group();
    let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        group.run(|_| -> Guest { panic!("no memory") })
    }));
    assert!(made.is_err());
    assert!(group.is_empty());
    assert!(exits.borrow().is_empty());
}

#[actix::test]
async fn a_child_that_is_killed_while_it_is_made_dies() {
    let (group, exits) = group();
    group.run(|member| {
        group.kill_all();
        Guest::new(member)
    });
    group.reaches(0).await;
    assert_eq!(exits.borrow()[0].1, Exit::Abort("killed".into()));
}

#[actix::test]
async fn a_fault_can_be_injected_into_a_child() {
    struct Passenger;
    impl Actor for Passenger {
        type Context = Context<Self>;
    }
    let (group, exits) = group();
    let _passenger = group.run(|_| Passenger);

    assert!(fault::panic_one("Passenger"));
    group.reaches(0).await;

    let text = "injected fault in Passenger";
    assert_eq!(exits.borrow()[0].1, Exit::Panic(text.into()));
}

#[test]
fn a_child_stays_small() {
    let hook = size_of::<fault::Switch>();
    let future = size_of::<Guarded<Guest, super::super::group::Seat>>() - hook;
    assert!(future - size_of::<Guest>() <= 480, "{future} bytes");
}
