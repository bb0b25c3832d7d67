//! A request on its way to a cluster, and on which hosts it is tried.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::{Conduct, Grade};
use crate::config::{Forward, RetryOn};
use crate::filter::Phase;
use crate::protocol::rpc::{Message, Timeout};
use crate::proxy::passing::Again;
use crate::proxy::setback::Setback;
use crate::proxy::trail::Trail;
use crate::route::{Found, Outcome, Replay, Reuse, Table};
use crate::upstream::{Ending, Picked, Reply, Sent, Told, TrunkEnd};

use super::course::Course;
use super::exchange::{Exchange, Stop};
use super::reach::conduct;
use super::setting::Carrier;
use super::trouble::Trouble;

/// What became of one try.
enum Tried {
    /// A response came.
    Answered(Message),
    /// None came, and one may come from another host.
    Missed {
        trouble: Trouble,
        outcome: Outcome,
        replay: Replay,
    },
}

impl<S: Carrier> Exchange<'_, S> {
    /// Forwards the request; its response.
    pub(super) async fn forward(
        &mut self,
        table: &Table,
        found: &Found<'_>,
        forward: &Forward,
    ) -> Result<Message, Stop> {
        let mut course = self.course(table, found, forward)?;
        self.mirror(&course);
        let mut trail = Trail::default();
        loop {
            let to = (&course.cluster, &course.clue);
            let picked = trail.pick(self.connection().setting.hosts(), to).await?;
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
            match self.try_host(&picked, &mut course, trail.len() + 1).await? {
                Tried::Answered(response) => {
                    let status = self.hub.codec().code(&response.frame);
                    let outcome = Outcome::Status(status);
                    let replay = replay(&course);
                    if !self.tries_again(&picked, &mut course, outcome, replay) {
                        return Ok(response);
                    }
                    let setback = Setback::UpstreamStatus {
                        host: host.to_string(),
                        status,
                    };
                    trail.leads_on(host, outcome, setback.into());
                }
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

    /// Whether the request goes to another host, now that this try ended so.
    fn tries_again(
        &mut self,
        picked: &Picked,
        course: &mut Course<'_>,
        outcome: Outcome,
        replay: Replay,
    ) -> bool {
        if self.is_one_way() {
            return false;
        }
        let (policy, flags) = (&course.forward.retry, &mut self.record.flags);
        let ended = (outcome, replay);
        course.tries.go_on(policy, picked, ended, flags)
    }

    /// One try on one host.
    async fn try_host(
        &mut self,
        picked: &Picked,
        course: &mut Course<'_>,
        tries: usize,
    ) -> Result<Tried, Stop> {
        let begun = Instant::now();
        course.tries.begin(begun);
        let limit = course.tries.limit(begun);
        let until = limit.map(|(at, ..)| at);
        let headers = course.headers.as_deref();
        let reply = self.send(picked, &course.cluster, headers, until).await?;
        Ok(match reply {
            Reply::Response(response) => {
                self.score(picked, &response, begun);
                Tried::Answered(response)
            }
            Reply::TimedOut => self.late(picked, limit),
            Reply::Ended(ending) => self.ended(picked, course, ending, tries),
        })
    }

    /// Counts a response, and takes note of how the host behaved.
    fn score(&mut self, picked: &Picked, response: &Message, begun: Instant) {
        let now = Instant::now();
        self.record.answered = Some(now);
        let code = self.hub.codec().code(&response.frame);
        let took = now - self.record.forwarded.unwrap_or(begun);
        picked.lease.load().count_response(code, took);
        picked.grade(Grade::of(code), Some(took));
        self.judge_at(picked, Conduct::Answered(code), now);
    }

    fn late(&self, picked: &Picked, limit: Option<(Instant, Duration, Outcome)>) -> Tried {
        let (after, outcome) = limit.map_or(
            (Duration::ZERO, Outcome::GlobalTimedOut),
            |(_, after, outcome)| (after, outcome),
        );
        picked.lease.load().count_timeout();
        picked.grade(Grade::ServerError, Some(after));
        if !self.asks_for_haste() {
            self.judge(picked, Conduct::Failed);
        }
        let host = picked.lease.host().to_string();
        Tried::Missed {
            trouble: Setback::TimedOut { host, after }.into(),
            outcome,
            replay: Replay::Safe,
        }
    }

    /// The connection ended with the request under way, or was never opened.
    fn ended(&self, picked: &Picked, course: &Course<'_>, ending: Ending, tries: usize) -> Tried {
        let conduct = conduct(&ending);
        if let Some(conduct) = conduct {
            self.judge(picked, conduct);
        }
        let Ending { why, sent, told } = ending;
        let load = picked.lease.load();
        load.count_request_lost();
        let host = picked.lease.host().to_string();
        let cluster = course.cluster.clone();
        if told == Told::First {
            let text = format!("cluster `{cluster}`: host {host}: {why}");
            self.note("upstream.connect", host.clone(), &text);
        }
        if let TrunkEnd::Unreached(_) = &why {
            if conduct.is_some() {
                picked.grade(Grade::ServerError, None);
            }
            let end = why;
            return Tried::Missed {
                trouble: Trouble::Unreached {
                    cluster,
                    host,
                    end,
                    tries,
                },
                outcome: Outcome::ConnectFailed,
                replay: Replay::Safe,
            };
        }
        load.count_failure();
        if sent == Sent::Something {
            picked.grade(Grade::ServerError, None);
        }
        let replay = match sent {
            Sent::Nothing => Replay::Safe,
            Sent::Something => replay(course),
        };
        Tried::Missed {
            trouble: Trouble::Ended { host, end: why },
            outcome: Outcome::Reset(Reuse::Reused),
            replay,
        }
    }

    /// Takes note of how the host behaves.
    fn judge(&self, picked: &Picked, conduct: Conduct) {
        self.judge_at(picked, conduct, Instant::now());
    }

    /// The same, for whoever knows what time it is.
    fn judge_at(&self, picked: &Picked, conduct: Conduct, now: Instant) {
        if let Some(suspicion) = picked.note(conduct, now.into_std()) {
            self.connection().setting.suspect(suspicion);
        }
    }

    /// Whether the request itself says how long it waits: what is then late is so by its client's
    /// measure, and no client may have a host ejected.
    fn asks_for_haste(&self) -> bool {
        let fields = ["x-mosn-global-timeout", "x-mosn-try-timeout"];
        self.message.frame.timeout != Timeout::Unsaid
            || fields.iter().any(|name| self.header(name).is_some())
    }

    pub(super) fn connection(&self) -> &crate::proxy::http::Connection<S> {
        &self.hub.connection
    }
}

/// Whether a request that a host may have seen may go to another: no protocol here says what may be
/// carried out twice, so that is the word of the route's policy.
fn replay(course: &Course<'_>) -> Replay {
    match course.forward.retry.on {
        RetryOn::Failures(_) => Replay::Safe,
        RetryOn::ConnectFailure => Replay::Unsafe,
    }
}
