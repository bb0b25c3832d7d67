//! Makes the load: threads, each with a runtime and a crew of its own.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{MissedTickBehavior, interval};

use super::crew::{Crew, keep};
use super::plan::{Pace, Plan};
use super::progress::{Live, Progress};
use super::speech::Speech;
use super::tally::Tally;
use super::timer::Timer;
use super::turns::Turns;

/// How often a thread looks what has waited too long.
const SWEEP: Duration = Duration::from_millis(100);

/// From when all lines have tried to connect to the first turn that has a time, so that the timer
/// can be set before.
const LEAD: Duration = Duration::from_millis(1);

/// What a line can read at once. Threads share nothing, lines of one thread take turns.
const SCRATCH: usize = 64 << 10;

/// Why no load was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// What is to be asked cannot be.
    #[error("{0}")]
    Ask(String),
    /// The system gave no thread, runtime or timer.
    #[error("cannot start a thread of load: {0}")]
    System(#[from] io::Error),
    /// A thread of load panicked.
    #[error("a thread of load failed")]
    Thread,
}

/// Makes the load of `plan`, at most until `stop` is true; meanwhile `progress` is told how it goes.
/// What is under way then came to nothing, and counts as neither done nor failed.
///
/// # Errors
///
/// [`Failed`], before a request was sent. What goes wrong with requests is counted.
pub(crate) fn run(
    plan: Plan,
    stop: &watch::Receiver<bool>,
    mut progress: impl FnMut(&Progress),
) -> Result<Tally, Failed> {
    Speech::new(&plan.target, &plan.ask).map_err(Failed::Ask)?;
    let plan = Arc::new(plan);
    let live = Arc::new(Live::default());
    let mut threads = Vec::with_capacity(plan.threads);
    for thread in 0..plan.threads {
        let (plan, live, stop) = (Arc::clone(&plan), Arc::clone(&live), stop.clone());
        let name = format!("load {thread}");
        threads.push(
            thread::Builder::new()
                .name(name)
                .spawn(move || drive(plan, live, stop, thread))?,
        );
    }
    let begin = Instant::now();
    let mut seconds = 0;
    while threads.iter().any(|thread| !thread.is_finished()) {
        thread::sleep(Duration::from_millis(20));
        if begin.elapsed().as_secs() > seconds {
            seconds = begin.elapsed().as_secs();
            progress(&live.progress(begin.elapsed()));
        }
    }
    let mut tally = Tally::default();
    for thread in threads {
        tally.merge(thread.join().map_err(|_| Failed::Thread)??);
    }
    Ok(tally)
}

/// One thread, from its first connect to its last answer.
fn drive(
    plan: Arc<Plan>,
    live: Arc<Live>,
    mut stop: watch::Receiver<bool>,
    thread: usize,
) -> Result<Tally, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let here =
        plan.connections / plan.threads + usize::from(thread < plan.connections % plan.threads);
    let speech = Speech::new(&plan.target, &plan.ask).map_err(Failed::Ask)?;
    let crew = Crew::new(Arc::clone(&plan), live, speech, here);
    let crew = Rc::new(RefCell::new(crew));
    let scratch = Rc::new(RefCell::new(vec![0; SCRATCH]));
    LocalSet::new().block_on(&runtime, async {
        let mut lines = JoinSet::new();
        for place in 0..here {
            lines.spawn_local(keep(Rc::clone(&crew), place, Rc::clone(&scratch)));
        }
        tokio::select! {
            paced = pace(&crew, &plan, thread) => paced?,
            Ok(_) = stop.wait_for(|stop| *stop) => {}
        }
        // A line that panicked has stopped: what it counted cannot be trusted.
        match lines.try_join_next() {
            None => Ok(()),
            Some(_) => Err(Failed::Thread),
        }
    })?;
    let tally = crew.borrow_mut().tally();
    Ok(tally)
}

/// Gives turns as they fall due, until all is over.
async fn pace(crew: &RefCell<Crew>, plan: &Plan, thread: usize) -> io::Result<()> {
    let turned = crew.borrow().turned();
    while !crew.borrow().have_tried() {
        turned.notified().await;
    }
    let start = match plan.pace {
        Pace::Open { .. } => Instant::now() + LEAD,
        Pace::Closed { .. } => Instant::now(),
    };
    let turns = Turns::new(&plan.pace, thread, plan.threads, start);
    let timer = match turns.ticks() {
        Some((first, period)) => Some(Timer::new(LEAD + first, period)?),
        None => None,
    };
    crew.borrow_mut().begin(turns, start);
    let due = async || match &timer {
        Some(timer) => timer.expired().await,
        None => std::future::pending().await,
    };
    let mut sweep = interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !crew.borrow().is_over() {
        tokio::select! {
            expired = due() => {
                expired?;
                crew.borrow_mut().give();
            }
            _ = sweep.tick() => crew.borrow_mut().sweep(),
            () = turned.notified() => {}
        }
    }
    Ok(())
}
