//! Keeps the names of one `STRICT_DNS` cluster resolved.
//!
//! In: [`Follow`] from the root, when the cluster's settings changed. Out: what became known of each
//! name, to `clusters`; lines to the log when that is news. What is known is on the shelf, with the
//! time of the next lookup: a life that follows on a crash goes on where the one before was.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use rand::rngs::SmallRng;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep_until, timeout};

use crate::actor::clusters::{self, Current};
use crate::actor::slot::{Slot, Unavailable};
use crate::actor::supervisor::{Life, run};
use crate::cluster::{Answer, Known, asked};
use crate::config::{Discovery, Dns};
use crate::upstream::look_up;

/// How long a lookup may take, whatever servers and attempts there are (MOSN's figure).
const DEADLINE: Duration = Duration::from_secs(20);

/// What every resolver is made from.
#[derive(Clone)]
pub(super) struct Means {
    /// Who is told what became known.
    pub clusters: Slot<clusters::Handle>,
    /// How many more lookups may be under way in the process.
    pub lookups: Arc<Semaphore>,
    /// Where news is written.
    pub log: slog::Logger,
}

/// Starts the actor for one cluster and fills `slot` with the door to it.
pub(super) fn start(current: Current, means: Means, slot: &Slot<Handle>) -> Life {
    let (address, life) = run(|_| Resolver {
        current,
        means,
        asking: HashMap::new(),
        dns: None,
        rng: rand::make_rng(),
        answered: Rc::default(),
    });
    slot.fill(Handle(address));
    life
}

/// The only way in.
#[derive(Clone)]
pub(super) struct Handle(Addr<Resolver>);

/// Has the resolver look at its cluster's settings again; it answers when each name has been looked
/// up at least once, in vain or not.
///
/// # Errors
///
/// [`Unavailable`] when the actor did not come back in time; its next life reads the settings too.
pub(super) async fn follow(resolver: &Slot<Handle>) -> Result<(), Unavailable> {
    resolver.ask(|handle| handle.0.send(Follow)).await
}

struct Resolver {
    current: Current,
    means: Means,
    /// One for each name: it waits, asks, and is followed by the next.
    asking: HashMap<Arc<str>, SpawnHandle>,
    /// How they are asked for.
    dns: Option<Box<Dns>>,
    rng: SmallRng,
    /// Told whenever a lookup has ended.
    answered: Rc<Notify>,
}

impl Resolver {
    /// Asks for new names, and for all of them where they are asked for in another way now; stops
    /// asking for those that are gone. What such a lookup would have said comes too late.
    fn look(&mut self, ctx: &mut Context<Self>) {
        let snapshot = self.current.load_full();
        let dns = match &snapshot.settings.discovery {
            Discovery::StrictDns(dns) => Some(dns.clone()),
            Discovery::Fixed => None,
        };
        let is_same = self.dns == dns;
        let begins = self.dns.is_none();
        self.dns = dns;
        self.asking.retain(|name, asking| {
            let stays = is_same && asked(&snapshot.settings).any(|asked| asked == name);
            if !stays {
                ctx.cancel_future(*asking);
            }
            stays
        });
        for name in asked(&snapshot.settings) {
            if !self.asking.contains_key(name) {
                // A life that begins goes on with what is known.
                let due = snapshot.names.get(name).map(Known::due);
                let due = due.filter(|_| begins).map(Instant::from_std);
                self.ask(Arc::clone(name), due.unwrap_or_else(Instant::now), ctx);
            }
        }
    }

    fn ask(&mut self, name: Arc<str>, due: Instant, ctx: &mut Context<Self>) {
        let Some(dns) = self.dns.clone() else {
            return;
        };
        let (lookups, asked) = (Arc::clone(&self.means.lookups), Arc::clone(&name));
        let answer = async move {
            sleep_until(due).await;
            let _permit = lookups.acquire().await;
            let answer = timeout(DEADLINE, look_up(&asked, &dns)).await;
            answer.unwrap_or_else(|_| Err(format!("no answer within {DEADLINE:?}")))
        };
        let next = Arc::clone(&name);
        let told = answer
            .into_actor(self)
            .then(|answer, this, _| this.tell(name, answer))
            .map(|(name, due), this, ctx| {
                this.answered.notify_waiters();
                this.ask(name, due, ctx);
            });
        self.asking.insert(next, ctx.spawn(told));
    }

    /// Tells `clusters` what became known; the name, and when to ask again.
    fn tell(
        &mut self,
        name: Arc<str>,
        answer: Result<Answer, String>,
    ) -> impl ActorFuture<Self, Output = (Arc<str>, Instant)> + use<> {
        let snapshot = self.current.load_full();
        let before = snapshot.names.get(&name);
        let dns = self.dns.clone().unwrap_or_default();
        let now = Instant::now().into_std();
        let known = Known::after(before, answer, &dns, now, &mut self.rng);
        let cluster = snapshot.settings.name.clone();
        if let Some((level, news)) = news(before, &known) {
            let text = format!("cluster `{cluster}`: name `{name}` {news}");
            match level {
                News::Good => slog::info!(self.means.log, "{text}"; "tag" => "upstream.dns"),
                News::Bad => slog::warn!(self.means.log, "{text}"; "tag" => "upstream.dns"),
            }
        }
        let slot = self.means.clusters.clone();
        let told = async move {
            let due = Instant::from_std(known.due());
            // When nobody is there to be told, the next answer comes soon enough.
            let _ = clusters::named(&slot, &cluster, &name, &known).await;
            (name, due)
        };
        told.into_actor(self)
    }

    /// Whether each name has been looked up.
    fn is_settled(current: &Current) -> bool {
        let snapshot = current.load();
        asked(&snapshot.settings).all(|name| snapshot.names.get(name).is_some())
    }
}

enum News {
    Good,
    Bad,
}

/// What an answer says that the one before did not; the same failure again is no news.
fn news(before: Option<&Known>, after: &Known) -> Option<(News, String)> {
    let had = before.map_or(&[][..], Known::addresses);
    match (before.and_then(Known::failure), after.failure()) {
        (Some(same), Some(why)) if same == why => None,
        (_, Some(why)) => {
            let kept = match had.len() {
                0 => "it stands for no host".to_owned(),
                n => format!("its {n} addresses stay"),
            };
            Some((News::Bad, format!("does not resolve: {why}; {kept}")))
        }
        (failed, None) if failed.is_some() || had != after.addresses() => {
            let addresses: Vec<_> = after.addresses().iter().map(ToString::to_string).collect();
            Some((News::Good, format!("resolves to {}", addresses.join(", "))))
        }
        (_, None) => None,
    }
}

impl Actor for Resolver {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.look(ctx);
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Follow;

impl Handler<Follow> for Resolver {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, Follow: Follow, ctx: &mut Context<Self>) -> Self::Result {
        self.look(ctx);
        let (current, answered) = (Arc::clone(&self.current), Rc::clone(&self.answered));
        let settled = async move {
            // One thread: nothing is answered between the look and the wait.
            while !Self::is_settled(&current) {
                answered.notified().await;
            }
        };
        Box::pin(settled.into_actor(self))
    }
}
