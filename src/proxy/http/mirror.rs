//! Copies of requests, for another cluster; nobody waits for their responses.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::cluster::{Clue, Conduct, Load, Work};
use crate::name::ClusterName;
use crate::net::{Sequel, with_scratch};
use crate::protocol::http1::{
    Asked, Body, Decoder, Framing, HeadLimits, Method, Parsed, Persistence, Progress, Response,
};
use crate::upstream::{Hosts, PoolError, Pooled};

use super::course::Course;
use super::exchange::Exchange;
use super::spare::Lent;
use super::transfer::{Transfer, Unsent, measure};
use super::{Aside, SPEECH, Setting};

/// How long a copy may take, its response included.
const PATIENCE: Duration = Duration::from_secs(60);

const HEAD: HeadLimits = HeadLimits {
    bytes: 64 * 1024,
    fields: 256,
};

/// What became of a request's copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mirrored {
    /// There is none, or it is under way, or it was given up.
    Settled,
    /// The request's body has not wholly come.
    NotYet,
}

impl<S: Setting> Exchange<'_, S> {
    /// Sends a copy of the request where the route wants one, as soon as its body has come. A body
    /// that is too long to keep is not copied.
    pub(super) fn mirror(&mut self, course: &Course<'_>) -> Mirrored {
        let Some((mirror, clue)) = &course.mirror else {
            return Mirrored::Settled;
        };
        let length = match self.intake.whole {
            true => match measure(self.request.body, &self.intake.bytes) {
                Some((_, length)) => Some(length),
                None => return Mirrored::NotYet,
            },
            false => None,
        };
        if rand::random_range(0..100) >= mirror.percent {
            return Mirrored::Settled;
        }
        let Some(length) = length else {
            let most = self.proxy().limits.kept_body_bytes;
            let why = format!("its body is longer than {most} bytes");
            self.note_uncopied(course, &why);
            return Mirrored::Settled;
        };
        let body = self.request.body;
        let mut message = Transfer::new(body, Framing::from(body), None);
        message.leave_out(self.request.named_by_connection());
        self.write_head(course, None, message.unsent.buffer());
        // It was measured: it is as its framing says.
        if message.feed(&self.intake.bytes[..length]).is_err() {
            return Mirrored::Settled;
        }
        let asked = match self.request.method {
            Method::Head => Asked::Head,
            _ => Asked::Other,
        };
        let setting = &self.connection.setting;
        let to = (mirror.cluster.clone(), clue.clone());
        let copy = send(Rc::clone(setting), to, message.unsent, asked);
        if setting.run_aside(Box::pin(copy)) == Aside::Dropped {
            self.note_uncopied(course, "too many copies are under way");
        }
        Mirrored::Settled
    }

    /// Counts a copy that is not sent, and says why.
    pub(super) fn note_uncopied(&self, course: &Course<'_>, why: &str) {
        self.connection.setting.counters().count_uncopied();
        let Some((mirror, _)) = &course.mirror else {
            return;
        };
        let (listener, cluster) = (&self.fitting.listener.name, &mirror.cluster);
        let text = format!(
            "listener `{listener}`: a request was not copied to cluster `{cluster}`: {why}"
        );
        self.note("proxy.mirror_dropped", cluster.to_string(), &text);
    }
}

/// Sends a copy of a request to a host of the cluster, and drops what it answers. A copy that
/// fails is not sent again.
async fn send<S: Setting>(
    setting: Rc<S>,
    (cluster, clue): (ClusterName, Clue),
    message: Unsent,
    asked: Asked,
) {
    let sent = async {
        let picked = setting
            .hosts()
            .pick(&cluster, &[], Work::Request, &clue)
            .await
            .ok()?;
        let _permit = picked.limits.request(picked.settings.limits.requests)?;
        let host = picked.lease.host();
        let pools = setting.pools();
        let upstream = match pools.take(host, SPEECH) {
            Some(upstream) => upstream,
            None => {
                let (settings, limits) = (&picked.settings, &picked.limits);
                let connected = pools.connect(host, SPEECH, settings, limits).await;
                let conduct = match &connected {
                    Ok(_) => Some(Conduct::Connected),
                    Err(PoolError::Connect(error)) if error.blames_host() => {
                        Some(Conduct::ConnectFailed)
                    }
                    Err(_) => None,
                };
                let suspicion = conduct.and_then(|conduct| picked.note(conduct, Instant::now()));
                suspicion.into_iter().for_each(|one| setting.suspect(one));
                connected.ok()?
            }
        };
        let persistence = exchange(&upstream, host.load(), message, asked).await?;
        if persistence == Persistence::Keep {
            pools.give(upstream, picked.settings.idle_timeout, Instant::now());
        }
        Some(())
    };
    let _ = timeout(PATIENCE, sent).await;
}

/// Sends a request and drops the response; whether another one may follow it.
async fn exchange(
    upstream: &Pooled,
    load: &Load,
    mut message: Unsent,
    asked: Asked,
) -> Option<Persistence> {
    poll_fn(|cx| message.poll_flush(cx, upstream, Sequel::Open))
        .await
        .ok()?;
    let mut answer = Answer::Head(Vec::new());
    poll_fn(|cx| {
        loop {
            let heard = with_scratch(|scratch| {
                let received = ready!(upstream.poll_recv(cx, scratch)).ok().unwrap_or(0);
                Poll::Ready(answer.hear(&scratch[..received], load, asked))
            });
            match ready!(heard) {
                Heard::More => {}
                Heard::End(persistence) => return Poll::Ready(persistence),
            }
        }
    })
    .await
}

enum Answer {
    Head(Vec<u8>),
    Body(Decoder, Persistence),
}

enum Heard {
    More,
    End(Option<Persistence>),
}

impl Answer {
    fn hear(&mut self, input: &[u8], load: &Load, asked: Asked) -> Heard {
        if input.is_empty() {
            return Heard::End(None);
        }
        let rest = match self {
            Self::Body(..) => input.to_vec(),
            Self::Head(head) => {
                head.extend_from_slice(input);
                let mut response = Lent::<Response>::new();
                let (mut at, mut status) = (0, 100);
                while (100..200).contains(&status) {
                    match response.parse(&head[at..], &HEAD, asked) {
                        Ok(Parsed::Whole(len)) => at += len,
                        Ok(Parsed::Partial) => return Heard::More,
                        Err(_) => return Heard::End(None),
                    }
                    status = response.status;
                }
                let rest = head.split_off(at);
                if response.says_close {
                    load.count_goodbye();
                }
                let ends = response.body == Body::UntilClose;
                let persistence = match ends {
                    true => Persistence::Close,
                    false => response.persistence,
                };
                *self = Self::Body(Decoder::new(response.body), persistence);
                rest
            }
        };
        self.hear_body(&rest)
    }

    fn hear_body(&mut self, input: &[u8]) -> Heard {
        let Self::Body(decoder, persistence) = self else {
            return Heard::More;
        };
        let mut used = 0;
        loop {
            let Ok(step) = decoder.decode(&input[used..]) else {
                return Heard::End(None);
            };
            used += step.consumed;
            match step.state {
                Progress::End if used == input.len() => return Heard::End(Some(*persistence)),
                Progress::End => return Heard::End(None),
                Progress::More if step.consumed == 0 => return Heard::More,
                Progress::More => {}
            }
        }
    }
}
