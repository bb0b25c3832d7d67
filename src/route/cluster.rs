//! Which cluster takes a request.

use std::borrow::Cow;
use std::sync::Arc;

use rand::{Rng, RngExt};

use super::Facts;
use crate::config::{ClusterChoice, Metadata};
use crate::name::ClusterName;

/// The cluster that takes a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen<'a> {
    /// Borrowed but where a variable names it.
    pub cluster: Cow<'a, ClusterName>,
    /// What its host must have, where that is not what the route says.
    pub metadata: Option<&'a Arc<Metadata>>,
}

/// Chooses the cluster; draws by weight, exactly. `None` when there is none to choose: no share has
/// a weight, or the variable has no value that could be a name.
pub fn chosen<'a>(
    choice: &'a ClusterChoice,
    facts: &impl Facts,
    rng: &mut impl Rng,
) -> Option<Chosen<'a>> {
    let (cluster, metadata) = match choice {
        ClusterChoice::One(cluster) => (Cow::Borrowed(cluster), None),
        ClusterChoice::Variable(variable) => {
            let name = facts.variable(variable)?;
            let name = std::str::from_utf8(&name).ok();
            let name = name.filter(|name| !name.is_empty())?;
            (Cow::Owned(name.into()), None)
        }
        ClusterChoice::Weighted(shares) => {
            let sum: u64 = shares.iter().map(|share| u64::from(share.weight)).sum();
            if sum == 0 {
                return None;
            }
            let mut drawn = rng.random_range(0..sum);
            let share = shares.iter().find(|share| {
                let weight = u64::from(share.weight);
                let is_its = drawn < weight;
                drawn = drawn.saturating_sub(weight);
                is_its
            })?;
            (Cow::Borrowed(&share.cluster), Some(&share.metadata))
        }
        ClusterChoice::None => return None,
    };
    Some(Chosen { cluster, metadata })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;
    use crate::config::{Share, Variable};
    use crate::route::table::tests::Request;

    fn shares(weights: &[(&str, u32)]) -> ClusterChoice {
        let share = |&(name, weight): &(&str, u32)| Share {
            cluster: name.into(),
            weight,
            metadata: Arc::new(BTreeMap::from([("of".to_owned(), name.to_owned())])),
        };
        ClusterChoice::Weighted(weights.iter().map(share).collect())
    }

    fn name(choice: &ClusterChoice) -> Option<String> {
        let request = Request::to("h", "/")
            .field("x-cluster", "named")
            .field("x-none", "");
        let mut rng = SmallRng::seed_from_u64(1);
        let chosen = chosen(choice, &request, &mut rng)?;
        Some(chosen.cluster.as_str().to_owned())
    }

    #[test]
    fn the_choice_says_which_cluster() {
        let variable =
            |name: &str| ClusterChoice::Variable(Variable::RequestField(name.to_owned()));
        for (choice, expected) in [
            (ClusterChoice::One("one".into()), Some("one")),
            (variable("x-cluster"), Some("named")),
            (variable("x-none"), None),
            (variable("x-other"), None),
            (shares(&[("a", 0), ("b", 1), ("c", 0)]), Some("b")),
            (shares(&[("a", 0)]), None),
            (shares(&[]), None),
            (ClusterChoice::None, None),
        ] {
            assert_eq!(name(&choice).as_deref(), expected, "{choice:?}");
        }
    }

    #[test]
    fn shares_are_drawn_as_their_weights_say_and_bring_their_metadata() {
        let choice = shares(&[("a", 1), ("never", 0), ("b", 3)]);
        let request = Request::to("h", "/");
        // The seed is fixed, so are the counts.
        let mut rng = SmallRng::seed_from_u64(7);
        let mut counts = BTreeMap::<String, u32>::new();
        for _ in 0..40_000 {
            let chosen = chosen(&choice, &request, &mut rng).unwrap();
            assert_eq!(chosen.metadata.unwrap()["of"], chosen.cluster.as_str());
            *counts
                .entry(chosen.cluster.as_str().to_owned())
                .or_default() += 1;
        }
        assert_eq!(counts.keys().collect::<Vec<_>>(), ["a", "b"]);
        // Five standard deviations of a draw of one in four.
        assert!(counts["a"].abs_diff(10_000) < 433, "{counts:?}");
    }
}
