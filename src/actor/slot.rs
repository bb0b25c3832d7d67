//! A cell that holds the door to whichever life of an actor is the current one.
//!
//! A restarted actor has a new address. Those who ask it hold its slot instead: the child's start
//! fills the slot, and an ask that found the old life gone waits for the next, bounded.

use std::future::Future;
use std::time::Duration;

use actix::MailboxError;
use tokio::sync::watch;

/// How long an ask waits for a restarting actor before it gives up.
///
/// A restart takes well under 50 ms; ten times a slow one leaves room for a loaded machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// Holds the latest door of an actor; cloned freely, also to other threads.
#[derive(Debug)]
pub(super) struct Slot<T>(watch::Sender<Option<T>>);

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl<T: Clone> Slot<T> {
    /// Puts the door of a new life in; waiting asks go on with it.
    pub(super) fn fill(&self, door: T) {
        self.0.send_replace(Some(door));
    }

    /// The door of the latest life, which may have ended.
    #[must_use]
    pub(super) fn get(&self) -> Option<T> {
        self.0.borrow().clone()
    }

    /// Asks the latest life and no other; `None` when there was none yet. The answer fails when
    /// that life has ended: then [`ask`](Self::ask).
    pub(super) fn ask_now<F>(&self, question: impl FnOnce(&T) -> F) -> Option<F> {
        self.0.borrow().as_ref().map(question)
    }

    /// Asks the current life, and once more each life that replaces it within [`PATIENCE`] of the
    /// end of the one before. For its answer a life may take as long as it takes.
    ///
    /// `question` must be harmless when asked twice: a life may end between doing and answering.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] when no next life came in time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future withdraws the wait, not a question that was already delivered.
    pub(super) async fn ask<R, F>(&self, question: impl Fn(T) -> F) -> Result<R, Unavailable>
    where
        F: Future<Output = Result<R, MailboxError>>,
    {
        // Nearly every ask ends here, with neither a timer nor a subscription.
        if let Some(door) = self.get()
            && let Ok(answer) = question(door).await
        {
            return Ok(answer);
        }
        let mut lives = self.0.subscribe();
        lives.mark_changed();
        loop {
            let next = tokio::time::timeout(PATIENCE, lives.changed()).await;
            next.map_err(|_| Unavailable)?.map_err(|_| Unavailable)?;
            let door = lives.borrow_and_update().clone();
            if let Some(door) = door
                && let Ok(answer) = question(door).await
            {
                return Ok(answer);
            }
        }
    }
}

/// No next life of the actor came in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the actor did not come back within {} s", PATIENCE.as_secs())]
pub struct Unavailable;

#[cfg(test)]
mod tests {
    use super::*;

    /// A life answers its number, or is gone.
    async fn life(number: Option<u32>) -> Result<u32, MailboxError> {
        number.ok_or(MailboxError::Closed)
    }

    #[actix::test]
    async fn an_ask_that_found_the_old_life_gone_is_answered_by_the_next() {
        tokio::time::pause();
        let slot = Slot::default();
        slot.fill(None);
        let restart = async {
            tokio::task::yield_now().await;
            slot.fill(Some(2));
        };

        let (answer, ()) = futures::join!(slot.ask(life), restart);

        assert_eq!(answer, Ok(2));
    }

    #[actix::test]
    async fn the_next_life_may_take_its_time_to_answer() {
        tokio::time::pause();
        let slot = Slot::default();
        slot.fill(None);
        let restart = async {
            tokio::task::yield_now().await;
            slot.fill(Some(2));
        };
        let slow = |number: Option<u32>| async move {
            tokio::time::sleep(number.map_or(Duration::ZERO, |_| PATIENCE * 10)).await;
            life(number).await
        };

        let (answer, ()) = futures::join!(slot.ask(slow), restart);

        assert_eq!(answer, Ok(2));
    }

    #[actix::test]
    async fn an_ask_of_an_actor_that_never_returns_ends_at_its_deadline() {
        tokio::time::pause();
        let slot: Slot<Option<u32>> = Slot::default();
        slot.fill(None);

        assert_eq!(slot.ask(life).await, Err(Unavailable));
    }
}
