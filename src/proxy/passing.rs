//! A request on its way through stream filters, whatever it speaks.

use tokio::time::sleep;

use crate::config::{Action, ClusterChoice, Metadata};
use crate::filter::{BodyLimit, Chain, Phase, Reply, RequestView, RouteView, Step, Verdict};
use crate::name::ClusterName;
use crate::route::{Flags, Found, Table};

use super::setback::Setback;

/// How often filters may send a request back to an earlier phase.
pub(super) const ROUNDS: usize = 10;

/// The table and the route of a request, as far as they are known.
pub(super) type Routed<'r> = Option<(&'r Table, Option<&'r Found<'r>>)>;

/// Why a request gets no response from upstream.
pub(super) enum Stop<T> {
    /// It gets one of our own.
    Trouble(T),
    /// It gets none: a filter says so, nobody is there to read it, or it wants none.
    Silence,
}

impl<T> From<T> for Stop<T> {
    fn from(trouble: T) -> Self {
        Self::Trouble(trouble)
    }
}

/// Where filters send a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// On.
    No,
    /// Back to its route.
    Route,
    /// Back to the choice of a host.
    Host,
}

/// What stream filters have said of a request so far.
#[derive(Default)]
pub(super) struct Remarks {
    /// Of hosts that may serve it.
    pub(super) metadata: Metadata,
    pub(super) body_limit: Option<BodyLimit>,
    /// Where the filters of a phase go on that have sent the request back.
    resume: usize,
}

impl Remarks {
    /// The filter of the next phase at which the request goes on.
    pub(super) fn resume(&mut self) -> usize {
        std::mem::take(&mut self.resume)
    }
}

/// What the filters of a phase have come to.
pub(super) enum Passed {
    /// The request goes on.
    On,
    /// It goes back; when it comes again, it goes on at this filter.
    Back(Again, usize),
    /// It is answered.
    Replied(Reply),
    /// It ends.
    Terminated,
}

impl Passed {
    /// Where the request goes now.
    pub(super) fn settle<T>(
        self,
        remarks: &mut Remarks,
        flags: &mut Flags,
    ) -> Result<Again, Stop<T>>
    where
        Stop<T>: From<Setback>,
    {
        match self {
            Self::On => Ok(Again::No),
            Self::Back(again, next) => {
                remarks.resume = next;
                if again == Again::Route {
                    remarks.body_limit = None;
                }
                Ok(again)
            }
            Self::Replied(reply) => Err(Setback::Filtered(reply).into()),
            Self::Terminated => {
                *flags |= Flags::TERMINATED;
                Err(Stop::Silence)
            }
        }
    }
}

/// Runs the stream filters of a phase, from one of them on. `see` shows the request to what it is
/// given.
pub(super) async fn pass<E>(
    chain: &Chain,
    phase: Phase,
    mut from: usize,
    mut see: impl FnMut(&mut dyn FnMut(&mut RequestView<'_>) -> Step) -> Result<Step, E>,
) -> Result<Passed, E> {
    loop {
        let step = see(&mut |view| chain.on_request(phase, from, view))?;
        match step.verdict {
            Verdict::Continue => return Ok(Passed::On),
            Verdict::HostAgain => return Ok(Passed::Back(Again::Host, step.next)),
            Verdict::RouteAgain => return Ok(Passed::Back(Again::Route, step.next)),
            Verdict::Pause(pause, reply) => {
                sleep(pause).await;
                if let Some(reply) = reply {
                    return Ok(Passed::Replied(reply));
                }
            }
            Verdict::Reply(reply) => return Ok(Passed::Replied(reply)),
            Verdict::Terminate => return Ok(Passed::Terminated),
        }
        from = step.next;
    }
}

/// The cluster of a route that names one, before a host of it is chosen.
pub(super) fn named<'a>(found: &Found<'a>) -> Option<&'a ClusterName> {
    let Action::Forward(forward) = &found.route.action else {
        return None;
    };
    match &forward.cluster {
        ClusterChoice::One(cluster) => Some(cluster),
        _ => None,
    }
}

pub(super) fn route_view<'a>(found: &Found<'a>) -> RouteView<'a> {
    RouteView {
        virtual_host: found.virtual_host,
        route: found.route,
    }
}
