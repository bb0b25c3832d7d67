//! Plays a case: as it is written, byte by byte, and cut in two at every place.

use std::fmt::Write;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::bytes::{Expected, Found, head_end, show};
use crate::reply::Reply;
use crate::script::{After, Body, Case, Cuts, Place, Step, Told};
use crate::wire::{Act, Connection, Lane, Pauses};

/// How long a run may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// How long nothing has to come before it counts as nothing.
const SILENCE: Duration = Duration::from_millis(5);

/// Cases of fewer bytes are cut in two at every place, one place a run.
const CUT_BELOW: usize = 200;

/// Cases of fewer bytes get a pause after each byte …
const PAUSED_BELOW: usize = 600;

/// … and cases of more are not sent byte by byte: that would take a loaded machine too long.
const DRIPPED_BELOW: usize = 2_000;

/// How the bytes are sent.
#[derive(Clone, Copy, Debug)]
enum Manner {
    AsWritten,
    ByteByByte(Pace),
    /// In two pieces, the first one so long.
    ClientCutAt(usize),
    UpstreamCutAt(usize),
}

#[derive(Clone, Copy, Debug)]
enum Pace {
    Slow,
    Fast,
}

/// Plays `case` in every manner, before the proxy at `to`; what failed.
pub(crate) async fn play(case: &Case, lane: &Lane, to: SocketAddr) -> Vec<String> {
    let mut failures = Vec::new();
    for manner in manners(case) {
        let client = match lane.client(to).await {
            Ok(client) => client,
            Err(error) => return vec![format!("{}: no connection: {error}", case.name)],
        };
        let mut run = Run {
            lane,
            client,
            current: None,
            used: Vec::new(),
            place: Place::Any,
            manner,
            client_sent: 0,
            upstream_sent: 0,
        };
        let failure = run.through(case).await;
        run.client.close();
        lane.sweep();
        if let Err(failure) = failure {
            failures.push(format!("\n== {} ({manner:?})\n{failure}", case.name));
            // What this run left behind would fail the next ones too.
            break;
        }
    }
    failures
}

fn manners(case: &Case) -> Vec<Manner> {
    let mut manners = vec![Manner::AsWritten];
    if case.cuts == Cuts::Nowhere {
        return manners;
    }
    let sent = |count: fn(&Step) -> usize| case.steps.iter().map(|(_, step)| count(step)).sum();
    let from_client: usize = sent(|step| match step {
        Step::ClientSends(bytes) => bytes.len(),
        _ => 0,
    });
    let from_upstream: usize = sent(|step| match step {
        Step::UpstreamSends(bytes) => bytes.len(),
        _ => 0,
    });
    let all = from_client + from_upstream;
    if all < PAUSED_BELOW {
        manners.push(Manner::ByteByByte(Pace::Slow));
    } else if all < DRIPPED_BELOW {
        manners.push(Manner::ByteByByte(Pace::Fast));
    }
    if from_client < CUT_BELOW {
        manners.extend((1..from_client).map(Manner::ClientCutAt));
    }
    if from_upstream < CUT_BELOW {
        manners.extend((1..from_upstream).map(Manner::UpstreamCutAt));
    }
    manners
}

/// One run of a case.
struct Run<'a> {
    lane: &'a Lane,
    client: Rc<Connection>,
    /// The upstream connection that received last.
    current: Option<Rc<Connection>>,
    /// Those that received at all in this run.
    used: Vec<usize>,
    /// Where the upstream is to receive next.
    place: Place,
    manner: Manner,
    client_sent: usize,
    upstream_sent: usize,
}

type Outcome = Result<(), String>;

impl Run<'_> {
    async fn through(&mut self, case: &Case) -> Outcome {
        let mut reached = 0;
        let steps = async {
            for (line, step) in &case.steps {
                reached = *line;
                self.step(step).await?;
            }
            Ok(())
        };
        let done = match tokio::time::timeout(DEADLINE, steps).await {
            Ok(done) => done,
            Err(_) => Err(format!("nothing happened for {DEADLINE:?}")),
        };
        done.and_then(|()| self.nothing_is_left())
            .map_err(|failure| format!("line {reached}: {failure}{}", self.state()))
    }

    async fn step(&mut self, step: &Step) -> Outcome {
        match step {
            Step::ClientSends(bytes) => self.client_sends(bytes),
            Step::ClientProbes(bytes) => self.client.act(Act::Send(bytes.clone())),
            Step::ClientReceives(expected) => {
                let client = self.client.clone();
                return self.receives(&client, expected).await;
            }
            Step::ClientIsTold(told) => return self.client_is_told(told).await,
            Step::ClientIsClosed => {
                let client = self.client.clone();
                return self.is_closed(&client, "the client").await;
            }
            Step::ClientIsCut(most) => return self.client_is_cut(most).await,
            Step::ClientEnds => self.client.act(Act::End),
            Step::ClientResets => self.client.act(Act::Reset),
            Step::UpstreamReceives(expected) => return self.upstream_receives(expected).await,
            Step::UpstreamSends(bytes) => return self.upstream_sends(bytes),
            Step::UpstreamIsOpen => {
                let end = self.upstream()?.inbox.borrow().end;
                return end.map_or(Ok(()), |end| Err(format!("the upstream was {end}")));
            }
            Step::UpstreamIsClosed => {
                let upstream = self.upstream()?;
                return self.is_closed(&upstream, "the upstream").await;
            }
            Step::UpstreamIsCut(most) => return self.upstream_is_cut(most).await,
            Step::UpstreamHearsNothing => return self.upstream_hears_nothing().await,
            Step::UpstreamEnds => self.upstream()?.act(Act::End),
            Step::UpstreamReadsNoMore => self.upstream()?.stop_reading(),
            Step::UpstreamResets => self.upstream()?.act(Act::Reset),
            Step::On(place) => self.place = *place,
        }
        Ok(())
    }

    fn client_sends(&mut self, bytes: &[u8]) {
        let cut = match self.manner {
            Manner::ClientCutAt(place) => Some(place),
            _ => None,
        };
        send(&self.client, bytes, self.client_sent, self.manner, cut);
        self.client_sent += bytes.len();
    }

    fn upstream_sends(&mut self, bytes: &[u8]) -> Outcome {
        let cut = match self.manner {
            Manner::UpstreamCutAt(place) => Some(place),
            _ => None,
        };
        let upstream = self.upstream()?;
        send(&upstream, bytes, self.upstream_sent, self.manner, cut);
        self.upstream_sent += bytes.len();
        Ok(())
    }

    fn upstream(&self) -> Result<Rc<Connection>, String> {
        let current = self.current.clone();
        current.ok_or_else(|| "the upstream has received nothing yet".into())
    }

    async fn receives(&self, by: &Connection, expected: &Expected) -> Outcome {
        loop {
            {
                let mut inbox = by.inbox.borrow_mut();
                match expected.find(&inbox.bytes, self.lane.upstream) {
                    Found::Whole(length) => {
                        inbox.bytes.drain(..length);
                        return Ok(());
                    }
                    Found::Part => {
                        if let Some(end) = inbox.end {
                            let wanted = expected.show();
                            return Err(format!("{end} before the end of\n   wanted {wanted}"));
                        }
                    }
                    Found::Else => return Err(format!("not what\n   wanted {}", expected.show())),
                }
            }
            self.lane.news.notified().await;
        }
    }

    async fn upstream_receives(&mut self, expected: &Expected) -> Outcome {
        let place = std::mem::replace(&mut self.place, Place::Any);
        let by = loop {
            if let Some(by) = self.receiving(place)? {
                break by;
            }
            if self.client.inbox.borrow().end.is_some() {
                let wanted = expected.show();
                return Err(format!("the client was closed before\n   wanted {wanted}"));
            }
            self.lane.news.notified().await;
        };
        self.used.push(by.id);
        self.current = Some(by.clone());
        self.receives(&by, expected).await
    }

    /// The upstream connection that received something, if one has.
    fn receiving(&self, place: Place) -> Result<Option<Rc<Connection>>, String> {
        let connections = self.lane.connections.borrow();
        let holding = |connection: &&Rc<Connection>| !connection.inbox.borrow().bytes.is_empty();
        let holding = || connections.iter().filter(holding);
        let current = self.current.as_ref().map(|current| current.id);
        let preferred = holding().find(|connection| Some(connection.id) == current);
        let Some(found) = preferred.or_else(|| holding().next()) else {
            return Ok(None);
        };
        let right = match place {
            Place::Any => true,
            Place::Another => !self.used.contains(&found.id),
            Place::Same => Some(found.id) == current,
        };
        if right {
            Ok(Some(found.clone()))
        } else {
            Err(format!(
                "not on the connection wanted, which is {place:?}: {}",
                found.id
            ))
        }
    }

    async fn upstream_hears_nothing(&self) -> Outcome {
        tokio::time::sleep(SILENCE).await;
        let connections = self.lane.connections.borrow();
        let heard = connections
            .iter()
            .find(|one| !one.inbox.borrow().bytes.is_empty());
        heard.map_or(Ok(()), |_| Err("the upstream was to hear nothing".into()))
    }

    /// The client may receive less than `most`, or be told instead, and then sees the end.
    async fn client_is_cut(&self, most: &Expected) -> Outcome {
        while self.client.inbox.borrow().end.is_none() {
            self.lane.news.notified().await;
        }
        let received = std::mem::take(&mut self.client.inbox.borrow_mut().bytes);
        if self.is_at_most(&received, most) {
            return Ok(());
        }
        let head = head_end(&received).unwrap_or_default();
        match Reply::parse(&received[..head]) {
            Ok(reply) if reply.is_refusal(received.len()) => Ok(()),
            _ => Err(format!(
                "cut after {}\n   and not within {}",
                show(&received),
                most.show()
            )),
        }
    }

    /// The upstream may receive less than `most`, or nothing, and then sees the end.
    async fn upstream_is_cut(&self, most: &Expected) -> Outcome {
        tokio::time::sleep(SILENCE).await;
        loop {
            {
                let connections = self.lane.connections.borrow();
                let holds = |one: &Connection| !one.inbox.borrow().bytes.is_empty();
                let ended = |one: &Connection| one.inbox.borrow().end.is_some();
                let mut holding = connections.iter().filter(|one| holds(one));
                if holding.clone().all(|one| ended(one)) {
                    let wrong = holding.find(|one| {
                        let received = std::mem::take(&mut one.inbox.borrow_mut().bytes);
                        !self.is_at_most(&received, most)
                    });
                    let wanted = || format!("the upstream received more than {}", most.show());
                    return wrong.map_or(Ok(()), |_| Err(wanted()));
                }
            }
            self.lane.news.notified().await;
        }
    }

    fn is_at_most(&self, received: &[u8], most: &Expected) -> bool {
        match most.find(received, self.lane.upstream) {
            Found::Whole(length) => length == received.len(),
            Found::Part => true,
            Found::Else => false,
        }
    }

    async fn is_closed(&self, connection: &Connection, who: &str) -> Outcome {
        loop {
            {
                let inbox = connection.inbox.borrow();
                if !inbox.bytes.is_empty() {
                    return Err(format!("{who} was to be closed, and received more"));
                }
                if inbox.end.is_some() {
                    return Ok(());
                }
            }
            self.lane.news.notified().await;
        }
    }

    async fn client_is_told(&self, told: &Told) -> Outcome {
        let reply = loop {
            {
                let inbox = self.client.inbox.borrow();
                if let Some(end) = head_end(&inbox.bytes) {
                    break Reply::parse(&inbox.bytes[..end])?;
                }
                if let Some(end) = inbox.end {
                    return Err(format!("{end} before the end of a reply"));
                }
            }
            self.lane.news.notified().await;
        };
        if !told.statuses.contains(&reply.status) {
            return Err(format!("told {}, not {:?}", reply.status, told.statuses));
        }
        let closes = match (told.after, reply.says_close) {
            (After::Closed, false) => return Err("the reply does not say that it closes".into()),
            (After::Kept, true) => return Err("the reply says that it closes".into()),
            (_, closes) => closes,
        };
        let body = match (told.body, reply.length) {
            (Body::Left, _) => 0,
            (Body::Sent, Some(length)) => length,
            (Body::Sent, None) if closes => return self.ends().await,
            (Body::Sent, None) => return Err("the reply has no length".into()),
        };
        self.skips(reply.head + body).await?;
        if closes {
            let client = self.client.clone();
            return self.is_closed(&client, "the client").await;
        }
        Ok(())
    }

    /// Waits until the client has received so many bytes, and drops them.
    async fn skips(&self, length: usize) -> Outcome {
        loop {
            {
                let mut inbox = self.client.inbox.borrow_mut();
                if inbox.bytes.len() >= length {
                    inbox.bytes.drain(..length);
                    return Ok(());
                }
                if let Some(end) = inbox.end {
                    return Err(format!("{end} within the reply's body"));
                }
            }
            self.lane.news.notified().await;
        }
    }

    /// Waits until the client is closed, and drops what it received.
    async fn ends(&self) -> Outcome {
        while self.client.inbox.borrow().end.is_none() {
            self.lane.news.notified().await;
        }
        self.client.inbox.borrow_mut().bytes.clear();
        Ok(())
    }

    fn nothing_is_left(&self) -> Outcome {
        let connections = self.lane.connections.borrow();
        let all = connections.iter().chain([&self.client]);
        let mut left = all.filter(|one| !one.inbox.borrow().bytes.is_empty());
        left.next().map_or(Ok(()), |_| {
            Err("the script is through, and there is more than it expects".into())
        })
    }

    /// What every connection holds, for whoever reads the failure.
    fn state(&self) -> String {
        let mut text = String::new();
        let mut tell = |who: String, connection: &Connection| {
            let inbox = connection.inbox.borrow();
            let end = inbox.end.unwrap_or("open");
            write!(text, "\n   {who} ({end}) has {}", show(&inbox.bytes)).unwrap();
        };
        tell("client".into(), &self.client);
        for connection in self.lane.connections.borrow().iter() {
            tell(format!("upstream {}", connection.id), connection);
        }
        text
    }
}

/// Queues bytes in the manner of the run; `sent` were queued before.
fn send(by: &Connection, bytes: &[u8], sent: usize, manner: Manner, cut: Option<usize>) {
    if let Manner::ByteByByte(pace) = manner {
        let pauses = match pace {
            Pace::Slow => Pauses::Between,
            Pace::Fast => Pauses::None,
        };
        return by.act(Act::Drip(bytes.to_vec(), pauses));
    }
    match cut.and_then(|place| place.checked_sub(sent)) {
        Some(place) if place < bytes.len() => {
            let (first, second) = bytes.split_at(place);
            by.act(Act::Send(first.to_vec()));
            by.act(Act::Pause);
            by.act(Act::Send(second.to_vec()));
        }
        _ => by.act(Act::Send(bytes.to_vec())),
    }
}
