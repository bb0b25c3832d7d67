//! Memory that is held and not used any more is given back.
//!
//! After a crowd the allocator keeps what the crowd needed: it gives back only the ends of its
//! heaps, where some small thing lives on. A process that serves for months would stay as large as
//! its worst minute. Only the daemon does this: an application's memory is its own affair.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::sleep;

use crate::net::{give_back_memory, slack_bytes};

/// How often it is looked after: a crowd that comes again so soon finds its memory in place. Those
/// who have gone to rest leave theirs after a second or two.
const LOOK: Duration = Duration::from_secs(2);

/// Giving back less is not worth the page faults that follow.
const WORTH_BYTES: u64 = 4 << 20;

/// Looks after this process' memory for as long as it is polled.
pub(super) async fn tend() -> Infallible {
    let mut tended = Tended::default();
    loop {
        sleep(LOOK).await;
        if tended.is_worth_it(slack_bytes()) {
            give_back_memory();
            tended.left = slack_bytes();
        }
    }
}

/// What could not be given back the last time.
#[derive(Debug, Default)]
struct Tended {
    left: u64,
}

impl Tended {
    /// Whether so much slack is worth it. What stayed the last time would stay again.
    fn is_worth_it(&mut self, slack: u64) -> bool {
        self.left = self.left.min(slack);
        slack - self.left >= WORTH_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_given_back_is_not_tried_again_and_again() {
        let mut tended = Tended::default();
        assert!(!tended.is_worth_it(WORTH_BYTES - 1));
        assert!(tended.is_worth_it(WORTH_BYTES));
        tended.left = 2 * WORTH_BYTES;
        assert!(!tended.is_worth_it(2 * WORTH_BYTES));
        assert!(!tended.is_worth_it(3 * WORTH_BYTES - 1));
        assert!(tended.is_worth_it(3 * WORTH_BYTES));
        // It was used again meanwhile.
        assert!(!tended.is_worth_it(0));
        assert!(tended.is_worth_it(WORTH_BYTES));
    }

    #[test]
    #[cfg(target_env = "gnu")]
    fn what_was_freed_is_slack_until_it_is_given_back() {
        const COUNT: usize = 64 * 1024;
        // Small ones, and every thousandth stays: the heap cannot shrink by itself.
        let mut crowd: Vec<_> = (0..COUNT).map(|_| Some(vec![1_u8; 1024])).collect();
        for (at, one) in crowd.iter_mut().enumerate() {
            if at % 1000 != 0 {
                *one = None;
            }
        }
        let held = slack_bytes();
        assert!(held > (COUNT as u64 * 1024) / 2, "{held}");

        give_back_memory();

        let left = slack_bytes();
        assert!(left < held / 2, "{left} of {held}");
        assert_eq!(crowd.iter().flatten().count(), COUNT.div_ceil(1000));
    }
}
