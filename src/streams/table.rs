//! The requests under way on one connection, by the ids that they have there.

use std::collections::HashMap;
use std::time::Instant;

/// What waits for answers on one connection, by an id of our own for each.
///
/// Ids are counted from 1 and begin anew behind the last; one that is in use is passed over.
#[derive(Debug)]
pub struct Streams<T> {
    open: HashMap<u64, Open<T>, foldhash::fast::RandomState>,
    /// No deadline of those in `open` is before. To know the very first would cost every stream;
    /// so all are looked at once when it has come, which with deadlines of a kind is once in so long.
    earliest: Option<Instant>,
    next: u64,
    last: u64,
    /// Whether every id has been given once.
    came_round: bool,
}

/// How far ids have been given on a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Count {
    /// The next one.
    pub next: u64,
    /// Whether every id has been given once.
    pub came_round: bool,
}

#[derive(Debug)]
struct Open<T> {
    stream: T,
    deadline: Option<Instant>,
}

/// Whom an answer is for.
#[derive(Debug, Eq, PartialEq)]
pub enum Answered<T> {
    /// It was waited for.
    Awaited(T),
    /// Nobody waits for it any more, or it was answered before.
    Late,
    /// Its id was never given.
    Unknown,
}

impl<T> Streams<T> {
    /// None. Ids go up to `last`.
    #[must_use]
    pub fn new(last: u64) -> Self {
        Self {
            open: HashMap::default(),
            earliest: None,
            next: 1,
            last,
            came_round: false,
        }
    }

    /// Gives `stream` an id, under which it waits until `deadline`. `None` when every id is in use.
    pub fn open(&mut self, stream: T, deadline: Option<Instant>) -> Option<u64> {
        if self.open.len() as u64 >= self.last {
            return None;
        }
        let mut id = self.count();
        while self.open.contains_key(&id) {
            id = self.count();
        }
        if self.open.is_empty() {
            self.earliest = None;
        }
        self.earliest = earlier(self.earliest, deadline);
        self.open.insert(id, Open { stream, deadline });
        Some(id)
    }

    fn count(&mut self) -> u64 {
        let id = self.next;
        self.next = match id == self.last {
            true => {
                self.came_round = true;
                1
            }
            false => id + 1,
        };
        id
    }

    /// What waits under this id.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<&T> {
        self.open.get(&id).map(|open| &open.stream)
    }

    /// An answer has come.
    pub fn answer(&mut self, id: u64) -> Answered<T> {
        match self.close(id) {
            Some(stream) => Answered::Awaited(stream),
            None if self.was_given(id) => Answered::Late,
            None => Answered::Unknown,
        }
    }

    fn was_given(&self, id: u64) -> bool {
        (1..self.next).contains(&id) || (self.came_round && (1..=self.last).contains(&id))
    }

    /// Whoever waits under this id gives up: an answer comes too late from now on.
    pub fn close(&mut self, id: u64) -> Option<T> {
        self.open.remove(&id).map(|open| open.stream)
    }

    /// Those whose time is over, in no order.
    pub fn overdue(&mut self, now: Instant) -> Vec<T> {
        if self.earliest.is_none_or(|earliest| now < earliest) {
            return Vec::new();
        }
        let is_over = |open: &Open<T>| open.deadline.is_some_and(|deadline| deadline <= now);
        let over = self.open.extract_if(|_, open| is_over(open));
        let over = over.map(|(_, open)| open.stream).collect();
        let left = self.open.values().map(|open| open.deadline);
        self.earliest = left.fold(None, earlier);
        over
    }

    /// When to ask again for those that are [overdue](Self::overdue): before that, none is.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.earliest.filter(|_| !self.open.is_empty())
    }

    /// All of them, by their ids.
    pub fn all(&self) -> impl Iterator<Item = (u64, &T)> {
        self.open.iter().map(|(id, open)| (*id, &open.stream))
    }

    /// How far ids have been given, for [`resumed`](Self::resumed).
    #[must_use]
    pub fn count_so_far(&self) -> Count {
        Count {
            next: self.next,
            came_round: self.came_round,
        }
    }

    /// Those that wait until `deadline` on a connection of which so many ids were given before.
    #[must_use]
    pub fn resumed(
        last: u64,
        count: Count,
        open: impl Iterator<Item = (u64, T)>,
        deadline: Option<Instant>,
    ) -> Self {
        let mut streams = Self::new(last);
        streams.next = count.next.clamp(1, last);
        streams.came_round = count.came_round;
        let open = open.map(|(id, stream)| (id, Open { stream, deadline }));
        streams.open = open.collect();
        streams.earliest = deadline;
        streams
    }

    /// All of them, which wait no more.
    pub fn close_all(&mut self) -> impl Iterator<Item = T> + use<T> {
        let open = std::mem::take(&mut self.open);
        open.into_values().map(|open| open.stream)
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_answer_finds_its_own_stream_once() {
        let mut streams = Streams::new(100);
        let ids: Vec<_> = ["a", "b", "c"]
            .map(|name| streams.open(name, None).unwrap())
            .into();
        assert_eq!(streams.answer(ids[1]), Answered::Awaited("b"));
        assert_eq!(streams.answer(ids[1]), Answered::Late);
        assert_eq!(streams.answer(ids[2]), Answered::Awaited("c"));
        assert_eq!(streams.answer(77), Answered::Unknown);
        assert_eq!(streams.answer(0), Answered::Unknown);
        assert_eq!(streams.close(ids[0]), Some("a"));
        assert_eq!(streams.answer(ids[0]), Answered::Late);
        assert!(streams.is_empty());
    }

    #[test]
    fn ids_begin_anew_and_pass_over_those_in_use() {
        let mut streams = Streams::new(3);
        assert_eq!(streams.open('a', None), Some(1));
        assert_eq!(streams.open('b', None), Some(2));
        streams.close(1);
        assert_eq!(streams.open('c', None), Some(3));
        assert_eq!(streams.open('d', None), Some(1));
        assert_eq!(streams.open('e', None), None);
        streams.close(3);
        assert_eq!(streams.open('e', None), Some(3));
        assert_eq!(streams.answer(2), Answered::Awaited('b'));
        assert_eq!(streams.answer(2), Answered::Late);
    }

    #[test]
    fn those_whose_time_is_over_wait_no_more() {
        let now = Instant::now();
        let at = |millis| Some(now + Duration::from_millis(millis));
        let mut streams = Streams::new(100);
        streams.open('a', at(30));
        let b = streams.open('b', at(10)).unwrap();
        streams.open('c', at(20));
        streams.open('d', None);
        assert_eq!(streams.next_deadline(), at(10));
        streams.close(b);
        assert!(streams.overdue(now).is_empty());
        assert!(streams.overdue(now + Duration::from_millis(10)).is_empty());
        assert_eq!(streams.next_deadline(), at(20));
        let mut late = streams.overdue(now + Duration::from_secs(1));
        late.sort_unstable();
        assert_eq!(late, ['a', 'c']);
        assert_eq!(streams.close_all().collect::<Vec<_>>(), ['d']);
        assert_eq!((streams.len(), streams.next_deadline()), (0, None));
        streams.open('e', at(90));
        assert_eq!(streams.next_deadline(), at(90));
    }

    #[test]
    fn ids_go_on_on_a_connection_that_goes_on_elsewhere() {
        let mut streams = Streams::new(3);
        let ids: Vec<_> = (0..4)
            .map(|_| {
                let id = streams.open('a', None).unwrap();
                streams.close(id);
                id
            })
            .collect();
        assert_eq!(ids, [1, 2, 3, 1]);
        let kept = streams.open('b', None).unwrap();

        let count = streams.count_so_far();
        let open = streams.all().map(|(id, name)| (id, *name));
        let until = Instant::now();
        let mut resumed = Streams::resumed(3, count, open, Some(until));

        assert_eq!(resumed.next_deadline(), Some(until));
        assert_eq!(resumed.open('c', None), Some(3));
        assert_eq!(resumed.answer(1), Answered::Late);
        assert_eq!(resumed.answer(kept), Answered::Awaited('b'));
    }

    #[derive(Clone, Debug)]
    enum Event {
        Open(Option<u64>),
        Answer(u64),
        Close(u64),
        Pass(u64),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            4 => proptest::option::of(0..50_u64).prop_map(Event::Open),
            2 => (0..12_u64).prop_map(Event::Answer),
            1 => (0..12_u64).prop_map(Event::Close),
            1 => (0..20_u64).prop_map(Event::Pass),
        ]
    }

    proptest! {
        /// Against a table that is searched from end to end.
        #[test]
        fn it_does_what_a_plain_list_does(events in vec(event(), 0..80)) {
            let begun = Instant::now();
            let at = |millis| begun + Duration::from_millis(millis);
            let (mut streams, mut list, mut clock) = (Streams::new(9), BTreeMap::new(), 0);
            for (name, event) in events.into_iter().enumerate() {
                match event {
                    Event::Open(after) => {
                        let deadline = after.map(|after| clock + after);
                        let id = streams.open(name, deadline.map(at));
                        prop_assert_eq!(id.is_some(), list.len() < 9);
                        if let Some(id) = id {
                            prop_assert!((1..=9).contains(&id));
                            prop_assert_eq!(list.insert(id, (name, deadline)), None);
                        }
                    }
                    Event::Answer(id) => match (list.remove(&id), streams.answer(id)) {
                        (Some((name, _)), Answered::Awaited(found)) => prop_assert_eq!(name, found),
                        (None, Answered::Late) => prop_assert!((1..=9).contains(&id)),
                        (None, Answered::Unknown) => {}
                        (known, found) => prop_assert!(false, "{known:?} {found:?}"),
                    },
                    Event::Close(id) => {
                        prop_assert_eq!(streams.close(id), list.remove(&id).map(|(name, _)| name));
                    }
                    Event::Pass(millis) => {
                        clock += millis;
                        let is_over = |deadline: Option<u64>| deadline.is_some_and(|at| at <= clock);
                        let mut over = streams.overdue(at(clock));
                        over.sort_unstable();
                        let mut expected: Vec<_> = list.values()
                            .filter(|(_, deadline)| is_over(*deadline))
                            .map(|(name, _)| *name)
                            .collect();
                        expected.sort_unstable();
                        prop_assert_eq!(over, expected);
                        list.retain(|_, (_, deadline)| !is_over(*deadline));
                        // Whoever waits for it does not wait in vain at once.
                        prop_assert!(streams.next_deadline().is_none_or(|next| next > at(clock)));
                    }
                }
                prop_assert_eq!(streams.len(), list.len());
                let next = list.values().filter_map(|(_, deadline)| *deadline).min();
                if let Some(next) = next {
                    prop_assert!(streams.next_deadline().is_some_and(|asked| asked <= at(next)));
                }
            }
        }
    }
}
