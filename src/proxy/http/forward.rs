//! A request on its way to a cluster: what is changed, and on which hosts it is tried.

use std::rc::Rc;
use std::sync::Arc;

use tokio::time::Instant;

use crate::cluster::{Conduct, Grade};
use crate::config::Forward;
use crate::filter::Phase;
use crate::proxy::passing::Again;
use crate::proxy::setback::Setback;
use crate::proxy::trail::Trail;
use crate::route::{Found, Outcome, Replay, Reuse, Table};
use crate::upstream::{ConnectError, Picked, PoolError, Pooled};

use super::attempt::Attempt;
use super::course::Course;
use super::exchange::{After, Exchange, Stop};
use super::mirror::Mirrored;
use super::tried::{Miss, Missed, Tried};
use super::trouble::Trouble;
use super::{SPEECH, Setting};

impl<S: Setting> Exchange<'_, S> {
    /// Forwards the request and delivers the response.
    pub(super) async fn forward(
        &mut self,
        table: &Table,
        found: &Found<'_>,
        forward: &Forward,
    ) -> Result<After, Stop> {
        let mut course = self.course(table, found, forward)?;
        let mut mirrored = self.mirror(&course);
        let mut trail = Trail::default();
        loop {
            let to = (&course.cluster, &course.clue);
            let picked = trail.pick(self.connection.setting.hosts(), to).await?;
            let host = picked.lease.host();
            self.record.host = Some(Arc::clone(host));
            let filtered = self.filter(Phase::AfterHost, Some(found), Some(&course.cluster));
            if filtered.await? == Again::Host && trail.passes_over(host) {
                continue;
            }
            let limits = &picked.settings.limits;
            let Some(_permit) = picked.limits.request(limits.requests) else {
                return Err(Setback::overflow(&course.cluster, "requests").into());
            };
            course.tries.made += 1;
            match self.try_host(&picked, &mut course, trail.len()).await? {
                Tried::Done(after) => {
                    // By now the whole body has come, if it ever does.
                    if mirrored == Mirrored::NotYet {
                        mirrored = self.mirror(&course);
                    }
                    if mirrored == Mirrored::NotYet {
                        self.note_uncopied(&course, "its body did not wholly come");
                    }
                    return Ok(after);
                }
                Tried::Refused(status, setback) => {
                    trail.leads_on(host, Outcome::Status(status), setback.into());
                }
                Tried::Missed { .. } if self.is_muddled => return Ok(After::Reset),
                Tried::Missed {
                    trouble,
                    outcome,
                    replay,
                } => {
                    if !self.tries_again(&picked, &mut course, outcome, replay) {
                        return Err(trouble.into());
                    }
                    trail.leads_on(host, outcome, trouble);
                }
            }
        }
    }

    /// Whether the request goes to another host, now that this try missed.
    fn tries_again(
        &mut self,
        picked: &Picked,
        course: &mut Course<'_>,
        outcome: Outcome,
        replay: Replay,
    ) -> bool {
        let (policy, flags) = (&course.forward.retry, &mut self.record.flags);
        let ended = (outcome, replay);
        course.tries.go_on(policy, picked, ended, flags)
    }

    /// One try on one host; a connection that went stale while it waited is no try.
    async fn try_host(
        &mut self,
        picked: &Picked,
        course: &mut Course<'_>,
        tried: usize,
    ) -> Result<Tried, Stop> {
        let pools = self.connection.setting.pools().clone();
        if let Some(upstream) = pools.take(picked.lease.host(), SPEECH) {
            match self.attempt(picked, course, upstream).await? {
                Tried::Missed {
                    outcome: Outcome::Reset(Reuse::Reused),
                    replay: Replay::Safe,
                    ..
                } => {}
                done => return Ok(done),
            }
        }
        match pools
            .connect(
                picked.lease.host(),
                SPEECH,
                &picked.settings,
                &picked.limits,
            )
            .await
        {
            Ok(upstream) => {
                self.judge(picked, Conduct::Connected);
                self.attempt(picked, course, upstream).await
            }
            Err(PoolError::Overflow) => {
                Err(Setback::overflow(&course.cluster, "connections").into())
            }
            Err(PoolError::Connect(error @ ConnectError::Exhausted(_))) => {
                let cluster = course.cluster.clone();
                Err(Trouble::Exhausted { cluster, error }.into())
            }
            Err(PoolError::Connect(error)) => Ok(self.unreached(picked, course, error, tried + 1)),
        }
    }

    /// The host took no connection; the request goes to another one.
    fn unreached(
        &self,
        picked: &Picked,
        course: &Course<'_>,
        error: ConnectError,
        tries: usize,
    ) -> Tried {
        if error.blames_host() {
            self.judge(picked, Conduct::ConnectFailed);
        }
        picked.lease.load().count_request_lost();
        picked.grade(Grade::ServerError, None);
        let host = picked.lease.host().to_string();
        let cluster = course.cluster.clone();
        let text = format!("cluster `{cluster}`: host {host}: {error}");
        self.note("upstream.connect", host.clone(), &text);
        Tried::Missed {
            trouble: Trouble::ConnectFailed {
                cluster,
                host,
                error,
                tries,
            },
            outcome: Outcome::ConnectFailed,
            replay: Replay::Safe,
        }
    }

    async fn attempt(
        &mut self,
        picked: &Picked,
        course: &mut Course<'_>,
        upstream: Pooled,
    ) -> Result<Tried, Stop> {
        self.record.upstream_id = Some(upstream.id());
        let reuse = match upstream.is_reused() {
            true => Reuse::Reused,
            false => Reuse::Fresh,
        };
        let host = picked.lease.host();
        let flow = Rc::clone(&self.connection.flow);
        let mut attempt = Attempt::new(self, course, picked, upstream)?;
        flow.carried_by(Some(host));
        let ran = attempt.run().await;
        flow.carried_by(None);
        let missed = match ran {
            Ok(ran) => return Ok(attempt.end(ran)),
            Err(missed) => {
                attempt.upstream.is_cut(missed.ending());
                missed
            }
        };
        self.count_miss(picked, &missed, reuse);
        let host = host.to_string();
        let replay = match missed.may_be_sent_again(self.request.method, self.intake.whole) {
            true => Replay::Safe,
            false => Replay::Unsafe,
        };
        let (trouble, outcome) = match missed.miss {
            Miss::Gone => return Err(self.gone()),
            Miss::Request(trouble) => return Err(trouble.into()),
            Miss::Closed => (Trouble::UpstreamClosed { host }, Outcome::Reset(reuse)),
            Miss::Reset => (Trouble::UpstreamReset { host }, Outcome::Reset(reuse)),
            Miss::Malformed(error) => {
                return Err(Trouble::ResponseMalformed { host, error }.into());
            }
            Miss::TimedOut(after, outcome) => (Setback::TimedOut { host, after }.into(), outcome),
        };
        Ok(Tried::Missed {
            trouble,
            outcome,
            replay,
        })
    }

    /// Counts a try that got no response, and takes note of how the host behaved.
    fn count_miss(&self, picked: &Picked, missed: &Missed, reuse: Reuse) {
        if missed.blames_host(reuse) && !(missed.is_late() && self.asks_for_haste()) {
            self.judge(picked, Conduct::Failed);
        }
        let took = match missed.miss {
            Miss::TimedOut(after, _) => Some(after),
            _ => None,
        };
        if !matches!(missed.miss, Miss::Gone | Miss::Request(_)) {
            picked.grade(Grade::ServerError, took);
        }
        let load = picked.lease.load();
        match missed.miss {
            Miss::Malformed(_) => load.count_failure(),
            Miss::Closed => {
                load.count_failure();
                load.count_request_lost();
            }
            Miss::Reset => {
                load.count_failure();
                load.count_request_lost();
                load.count_remote_reset();
            }
            Miss::Gone | Miss::Request(_) => load.count_local_reset(),
            Miss::TimedOut(..) => load.count_timeout(),
        }
    }

    /// Takes note of how the host behaves.
    pub(super) fn judge(&self, picked: &Picked, conduct: Conduct) {
        self.judge_at(picked, conduct, Instant::now());
    }

    /// The same, for whoever knows what time it is.
    pub(super) fn judge_at(&self, picked: &Picked, conduct: Conduct, now: Instant) {
        if let Some(suspicion) = picked.note(conduct, now.into_std()) {
            self.connection.setting.suspect(suspicion);
        }
    }

    /// Whether the request itself says how long it waits: what is then late is so by its client's
    /// measure, and no client may have a host ejected.
    fn asks_for_haste(&self) -> bool {
        let fields = &self.request.fields;
        ["x-mosn-global-timeout", "x-mosn-try-timeout"]
            .iter()
            .any(|name| fields.get(name).is_some())
    }

    /// The downstream left before it was answered (MOSN 1.4 records 504).
    pub(super) fn gone(&mut self) -> Stop {
        self.record.status = 504;
        self.record.reset = true;
        Stop::Silence
    }
}
