//! Every world that steps lead to, and the way there.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;

/// Worlds, and the step and world by which each was reached first.
pub(super) struct Reached<World, Step>(BTreeMap<World, Option<(Step, World)>>);

impl<World: Clone + Debug + Ord, Step: Copy + Debug> Reached<World, Step> {
    /// All that can be reached from `first`.
    pub(super) fn from(
        first: World,
        steps: impl Fn(&World) -> Vec<Step>,
        after: impl Fn(&World, Step) -> World,
    ) -> Self {
        let mut seen = BTreeMap::from([(first.clone(), None)]);
        let mut queue = VecDeque::from([first]);
        while let Some(world) = queue.pop_front() {
            for step in steps(&world) {
                let next = after(&world, step);
                if !seen.contains_key(&next) {
                    seen.insert(next.clone(), Some((step, world.clone())));
                    queue.push_back(next);
                }
            }
        }
        Self(seen)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn worlds(&self) -> impl Iterator<Item = &World> {
        self.0.keys()
    }

    /// How it was reached, in lines.
    pub(super) fn way(&self, world: &World) -> String {
        let mut steps = vec![format!("{world:#?}")];
        let mut at = world;
        while let Some(Some((step, before))) = self.0.get(at) {
            steps.push(format!("{step:?}"));
            at = before;
        }
        steps.reverse();
        steps.join("\n")
    }
}
