//! The messages of changes, and what the root does with each.
//!
//! In: `Alter`, `Confirm`, and the queries `Drifts` and `Histories`, of the doors. Out: see `alter`.

use std::rc::Rc;
use std::sync::Arc;

use actix::prelude::*;

use super::proposal::{Drift, Entry, Outcome, Running, Terms, Want};
use super::{ApplyError, Handle, Root};
use crate::lifecycle::{Event, State};

impl Handle {
    /// Makes what is wanted run; all of it or, when it fails, nothing.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] says what was refused, or at which step it failed; the configuration before
    /// stays in force.
    pub async fn alter(&self, want: Want, terms: Terms) -> Result<Outcome, ApplyError> {
        self.0
            .send(Alter { want, terms })
            .await
            .unwrap_or(Err(ApplyError::Ended))
    }

    /// Keeps a change that was to be confirmed.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] when none waits, or another one.
    pub async fn confirm(&self, version: u64) -> Result<(), ApplyError> {
        self.0
            .send(Confirm(version))
            .await
            .unwrap_or(Err(ApplyError::Ended))
    }

    /// What a reload would change.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] when there is nothing to reload.
    pub async fn drift(&self) -> Result<Drift, ApplyError> {
        self.0.send(Drifts).await.unwrap_or(Err(ApplyError::Ended))
    }

    /// The versions that can be rolled back to, the eldest first; the last one runs.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] when the tree has ended.
    pub async fn history(&self) -> Result<Vec<Entry>, ApplyError> {
        self.0
            .send(Histories)
            .await
            .unwrap_or(Err(ApplyError::Ended))
    }
}

#[derive(Message)]
#[rtype(result = "Result<Outcome, ApplyError>")]
struct Alter {
    want: Want,
    terms: Terms,
}

impl Handler<Alter> for Root {
    type Result = ResponseActFuture<Self, Result<Outcome, ApplyError>>;

    fn handle(&mut self, Alter { want, terms }: Alter, _: &mut Context<Self>) -> Self::Result {
        let house = Rc::clone(&self.house);
        let within = terms.confirm_within;
        let change = async move {
            let first = house.state.get() == State::Starting;
            let mut altered = house.alter(want, terms).await;
            if first && let Ok(outcome) = altered {
                altered = house.open_door().await.map(|()| outcome);
            }
            if first && let Err(error) = &altered {
                house.decline(error).await;
            }
            altered
        };
        Box::pin(change.into_actor(self).map(move |altered, this, ctx| {
            if this.house.state.get() == State::Starting {
                let event = match altered {
                    Ok(_) if this.house.succession.is_successor() => Event::Prepared,
                    Ok(_) => Event::Started,
                    Err(_) => Event::StartFailed,
                };
                this.happen(event, ctx);
            }
            if let (
                Ok(Outcome {
                    version,
                    confirm_until: Some(_),
                    ..
                }),
                Some(within),
            ) = (&altered, within)
            {
                let version = *version;
                ctx.run_later(within, move |this, ctx| this.expire(version, ctx));
            }
            altered
        }))
    }
}

impl Root {
    /// Rolls a change back that was not confirmed in time.
    fn expire(&mut self, version: u64, ctx: &mut Context<Self>) {
        let house = Rc::clone(&self.house);
        let back = async move {
            let running = house.running.load_full();
            if running.version != version || running.confirm_until.is_none() {
                return;
            }
            let by = "not confirmed in time".into();
            let terms = Terms {
                version: Some(version),
                by,
                ..Terms::default()
            };
            let log = &house.options.log;
            match house.alter(Want::Revert, terms).await {
                Ok(outcome) => {
                    slog::warn!(log, "version {version} was not confirmed in time and is rolled back";
                        "tag" => "plan", "version" => outcome.version);
                }
                Err(
                    ApplyError::Conflict { .. }
                    | ApplyError::NothingToConfirm
                    | ApplyError::Draining,
                ) => {}
                Err(error) => {
                    slog::error!(log, "version {version} was not confirmed in time and cannot be rolled back: {error}"; "tag" => "plan");
                    let stays = Running {
                        confirm_until: None,
                        ..Running::clone(&running)
                    };
                    house.running.store(Arc::new(stays));
                }
            }
        };
        ctx.spawn(back.into_actor(self));
    }
}

#[derive(Message)]
#[rtype(result = "Result<(), ApplyError>")]
struct Confirm(u64);

impl Handler<Confirm> for Root {
    type Result = ResponseActFuture<Self, Result<(), ApplyError>>;

    fn handle(&mut self, Confirm(version): Confirm, _: &mut Context<Self>) -> Self::Result {
        let house = Rc::clone(&self.house);
        Box::pin(async move { house.confirm(version).await }.into_actor(self))
    }
}

#[derive(Message)]
#[rtype(result = "Result<Drift, ApplyError>")]
struct Drifts;

impl Handler<Drifts> for Root {
    type Result = ResponseActFuture<Self, Result<Drift, ApplyError>>;

    fn handle(&mut self, Drifts: Drifts, _: &mut Context<Self>) -> Self::Result {
        let house = Rc::clone(&self.house);
        Box::pin(async move { house.drift().await }.into_actor(self))
    }
}

#[derive(Message)]
#[rtype(result = "Result<Vec<Entry>, ApplyError>")]
struct Histories;

impl Handler<Histories> for Root {
    type Result = ResponseActFuture<Self, Result<Vec<Entry>, ApplyError>>;

    fn handle(&mut self, Histories: Histories, _: &mut Context<Self>) -> Self::Result {
        let house = Rc::clone(&self.house);
        Box::pin(async move { house.history().await }.into_actor(self))
    }
}
