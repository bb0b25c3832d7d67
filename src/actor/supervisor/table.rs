//! What a supervisor knows of its children, and how it tells it.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::life::Leash;
use super::{ChildSpec, RemoveError, View};
use crate::supervise::Exit;

/// A supervisor or a worker, as the tree shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// The child's name among its siblings; a root's own name.
    pub id: String,
    /// Whether it has children of its own.
    pub kind: Kind,
    /// What it is doing.
    pub state: State,
    /// How often its supervisor has started it again.
    pub restarts: u64,
    /// How its latest life that ended did so.
    pub last_exit: Option<String>,
    /// In the order of their start.
    pub children: Vec<Self>,
}

/// What a node of the tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It has children.
    Supervisor,
    /// It has none.
    Worker,
}

/// What a child is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It has ended.
    Ended,
    /// It runs, but did not describe its children in time.
    #[serde(rename = "no answer")]
    NoAnswer,
    /// It runs.
    Running,
    /// It is being started.
    Starting,
    /// It is being stopped.
    Stopping,
}

/// A supervisor's children.
#[derive(Debug)]
pub(super) struct Table {
    /// In the order of their start.
    pub(super) children: Vec<Child>,
    /// Removed, but still running: strategies no longer see them, and their names are free.
    pub(super) leaving: Vec<Leaving>,
}

/// One child.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) spec: ChildSpec,
    pub(super) leash: Option<Leash>,
    /// The life that runs, of all this supervisor has started: the report of another one is not
    /// this child's.
    pub(super) life: u64,
    pub(super) state: State,
    pub(super) restarts: u64,
    pub(super) last_exit: Option<Exit>,
}

/// A child that was removed and has yet to end.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) child: Child,
    pub(super) killed: bool,
    asked: Instant,
    reply: oneshot::Sender<Result<(), RemoveError>>,
}

impl Leaving {
    pub(super) fn new(child: Child, reply: oneshot::Sender<Result<(), RemoveError>>) -> Self {
        Self {
            child,
            killed: false,
            asked: Instant::now(),
            reply,
        }
    }

    /// How long it may still take.
    pub(super) fn patience(&self) -> Duration {
        let patience = self.child.spec.shutdown.patience();
        patience.saturating_sub(self.asked.elapsed())
    }

    pub(super) fn kill(&mut self) {
        self.killed = true;
        if let Some(leash) = &self.child.leash {
            leash.kill();
        }
    }

    /// Tells who asked for it; they may have gone.
    pub(super) fn gone(self) {
        let _ = self.reply.send(Ok(()));
    }
}

/// A node, and where to ask for what is below it.
pub(super) struct Row {
    node: Node,
    below: Option<View>,
}

impl Table {
    pub(super) fn new(specs: Vec<ChildSpec>) -> Self {
        Self {
            children: specs.into_iter().map(Child::new).collect(),
            leaving: Vec::new(),
        }
    }

    pub(super) fn position(&self, id: &str) -> Option<usize> {
        self.children.iter().position(|child| &*child.spec.id == id)
    }

    pub(super) fn leaving_position(&self, life: u64) -> Option<usize> {
        let is_it = |leaving: &Leaving| leaving.child.life == life;
        self.leaving.iter().position(is_it)
    }

    /// The first name that two children have.
    pub(super) fn duplicate(&self) -> Option<Arc<str>> {
        let ids = self.children.iter().map(|child| &child.spec.id);
        let mut twice = ids
            .enumerate()
            .filter(|(at, id)| self.position(id) != Some(*at));
        twice.next().map(|(_, id)| id.clone())
    }

    pub(super) fn rows(&self) -> Vec<Row> {
        let leaving = self.leaving.iter().map(|leaving| &leaving.child);
        let children = self.children.iter().chain(leaving);
        children.map(Child::row).collect()
    }
}

impl Child {
    pub(super) fn new(spec: ChildSpec) -> Self {
        Self {
            spec,
            leash: None,
            life: 0,
            state: State::Starting,
            restarts: 0,
            last_exit: None,
        }
    }

    /// The child has ended like this.
    pub(super) fn ended(&mut self, exit: Exit) {
        self.leash = None;
        self.state = State::Ended;
        self.last_exit = Some(exit);
    }

    fn row(&self) -> Row {
        let runs = matches!(self.state, State::Running | State::Stopping);
        let subtree = self.spec.subtree.as_ref();
        Row {
            node: Node {
                id: self.spec.id.to_string(),
                kind: subtree.map_or(Kind::Worker, |_| Kind::Supervisor),
                state: self.state,
                restarts: self.restarts,
                last_exit: self.last_exit.as_ref().map(Exit::to_string),
                children: Vec::new(),
            },
            below: subtree.filter(|_| runs).and_then(|slot| slot.get()),
        }
    }
}

/// The supervisor `name` with these children, each asked for its own within the deadline.
pub(super) async fn describe(name: &str, rows: Vec<Row>, within: Duration) -> Node {
    let children = rows.into_iter().map(|Row { mut node, below }| async move {
        if let Some(below) = below {
            match below.tree_within(within).await {
                Ok(answer) => node.children = answer.children,
                Err(_) => node.state = State::NoAnswer,
            }
        }
        node
    });
    Node {
        id: name.to_owned(),
        kind: Kind::Supervisor,
        state: State::Running,
        restarts: 0,
        last_exit: None,
        children: join_all(children).await,
    }
}
