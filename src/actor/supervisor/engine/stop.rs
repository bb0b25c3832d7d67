//! How children are stopped: in turn, each within its deadline, and those that were removed in
//! their own time.

use std::pin::pin;
use std::time::Duration;

use futures::future::FutureExt;
use futures::stream::StreamExt;
use slog::{debug, error, info};
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::super::RemoveError;
use super::super::life::Leash;
use super::super::table::{Leaving, State};
use super::{Engine, Event};
use crate::supervise::Exit;

/// How long a killed child may take to be gone. Only one whose arbiter is blocked takes longer
/// than its next turn.
const KILLED_WITHIN: Duration = Duration::from_secs(1);

impl Engine {
    /// Stops the child as its specification says, but lets it drain for `at_most`.
    pub(super) async fn stop_child(&mut self, index: usize, at_most: Duration) {
        let (life, leash, patience) = {
            let child = &mut self.table.borrow_mut().children[index];
            let Some(leash) = child.leash.take() else {
                return;
            };
            child.state = State::Stopping;
            (child.life, leash, child.spec.shutdown.patience())
        };
        let exit = self.end(life, leash, patience.min(at_most)).await;
        let child = &mut self.table.borrow_mut().children[index];
        debug!(self.log, "stopped"; "child" => &*child.spec.id, "reason" => %exit);
        child.ended(exit);
    }

    /// Ends a life; when this returns its actor is gone, or its arbiter is blocked.
    async fn end(&mut self, life: u64, leash: Leash, patience: Duration) -> Exit {
        if !patience.is_zero() {
            leash.request_stop();
            if let Some(exit) = self.exit_of(life, patience).await {
                return exit;
            }
        }
        leash.kill();
        self.exit_of(life, KILLED_WITHIN)
            .await
            .unwrap_or_else(|| Exit::Abort("it does not answer; abandoned".to_owned()))
    }

    /// Waits for the end of one life; what else happens meanwhile waits.
    async fn exit_of(&mut self, life: u64, within: Duration) -> Option<Exit> {
        let is_it = |event: &Event| matches!(event, Event::Exited(of, _) if *of == life);
        let mut timer = pin!(sleep(within));
        if let Some(at) = self.pending.iter().position(is_it) {
            return self.pending.remove(at).and_then(Event::exit);
        }
        loop {
            tokio::select! {
                biased;
                Some(event) = self.events.next() => match event {
                    Event::Exited(of, exit) if of == life => return Some(exit),
                    other => self.pending.push_back(other),
                },
                () = &mut timer => return None,
            }
        }
    }

    /// Stops every child, last to first; those that were leaving already go before them.
    pub(super) async fn stop_all(&mut self, at_most: Duration) {
        while let Some(mut leaving) = self.next_leaving() {
            if let Some(leash) = leaving.child.leash.take() {
                let patience = leaving.patience().min(at_most);
                self.end(leaving.child.life, leash, patience).await;
            }
            leaving.gone();
        }
        let len = self.table.borrow().children.len();
        for index in (0..len).rev() {
            self.stop_child(index, at_most).await;
        }
    }

    fn next_leaving(&self) -> Option<Leaving> {
        self.table.borrow_mut().leaving.pop()
    }

    /// Asks the child to end and goes on: it leaves in its own time.
    pub(super) fn remove(&mut self, id: &str, reply: oneshot::Sender<Result<(), RemoveError>>) {
        let mut table = self.table.borrow_mut();
        let Some(index) = table.position(id) else {
            // Who asked has gone.
            let _ = reply.send(Err(RemoveError::NotFound));
            return;
        };
        let mut leaving = Leaving::new(table.children.remove(index), reply);
        let life = leaving.child.life;
        let patience = leaving.patience();
        match &leaving.child.leash {
            None => return leaving.gone(),
            Some(leash) if patience.is_zero() => leash.kill(),
            Some(leash) => leash.request_stop(),
        }
        leaving.child.state = State::Stopping;
        table.leaving.push(leaving);
        drop(table);
        self.remind(life, patience);
    }

    fn remind(&self, life: u64, after: Duration) {
        let overdue = sleep(after).map(move |()| Event::Overdue(life));
        self.events.push(overdue.boxed_local());
    }

    /// Kills a leaving child that has had its time, or gives up on one that does not even die.
    pub(super) fn overdue(&self, life: u64) {
        let mut table = self.table.borrow_mut();
        let Some(at) = table.leaving_position(life) else {
            return;
        };
        let leaving = &mut table.leaving[at];
        let id = leaving.child.spec.id.clone();
        if leaving.killed {
            table.leaving.remove(at).gone();
            error!(self.log, "does not answer; abandoned"; "child" => &*id);
        } else {
            leaving.kill();
            self.remind(life, KILLED_WITHIN);
            info!(self.log, "did not end in time; killed"; "child" => &*id);
        }
    }

    /// Whether this was the life of a child that was leaving.
    pub(super) fn left(&self, life: u64, exit: &Exit) -> bool {
        let mut table = self.table.borrow_mut();
        let Some(at) = table.leaving_position(life) else {
            return false;
        };
        let leaving = table.leaving.remove(at);
        debug!(self.log, "left"; "child" => &*leaving.child.spec.id, "reason" => %exit);
        leaving.gone();
        true
    }
}

impl Drop for Engine {
    /// Children never outlive their supervisor, however it ended; the last started dies first.
    fn drop(&mut self) {
        let table = &mut self.table.borrow_mut();
        table.leaving.clear();
        while table.children.pop().is_some() {}
    }
}
