//! The workers' threads. They belong to the root: a worker that restarts goes on where it was, and
//! finds its [`Hall`] there. Only a thread that has died is replaced, and its connections died with
//! it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use actix_rt::{Arbiter, ArbiterHandle};
use futures::future::join_all;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::actor::hall::Hall;
use crate::actor::supervisor::{Life, run_on};
use crate::supervise::Exit;

/// How long a thread may take to end all that is on it; one that is blocked is left behind.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// The threads, one a worker. What lives on them ends with them, and they with the last clone.
#[derive(Clone)]
pub(super) struct Threads(Rc<[RefCell<Option<Thread>>]>);

impl Threads {
    /// So many threads, none of which is started yet.
    #[must_use]
    pub(super) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| RefCell::default()).collect())
    }

    /// Starts a child on the thread of this worker, and the thread too if it does not run.
    ///
    /// # Errors
    ///
    /// As [`run_on`].
    pub(super) async fn run<H: Send + 'static>(
        &self,
        worker: usize,
        start: impl FnOnce(Hall) -> (H, Life) + Clone + Send + 'static,
    ) -> Result<(H, Life), Exit> {
        let running = self.0[worker].borrow().as_ref().map(Thread::handle);
        let on_it = start.clone();
        if let Some(thread) = running {
            match run_on(&thread, move || on_it(Hall::here())).await {
                Err(Exit::Abort(_)) => {}
                answer => return answer,
            }
        }
        let thread = Thread::start();
        let handle = thread.handle();
        self.0[worker].replace(Some(thread));
        run_on(&handle, move || start(Hall::here())).await
    }

    /// Asks every thread for a sign of life, and returns those that gave none in time.
    pub(super) async fn silent(&self, within: Duration) -> Vec<usize> {
        let handles = self.0.iter().map(|thread| {
            let thread = thread.borrow();
            thread.as_ref().map(Thread::handle)
        });
        let asked = handles.enumerate().map(async |(index, handle)| {
            let (sender, sign) = oneshot::channel::<()>();
            let sign_of_life = move || {
                // Who asked may have given up.
                let _ = sender.send(());
            };
            let asked = handle.is_some_and(|handle| handle.spawn_fn(sign_of_life));
            let answered = asked && matches!(timeout(within, sign).await, Ok(Ok(())));
            (!answered).then_some(index)
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    /// Ends them all, and what is on them.
    pub(super) async fn end(&self) {
        let threads = self.0.iter().filter_map(RefCell::take);
        join_all(threads.map(Thread::end)).await;
    }
}

thread_local! {
    /// Dropped when all that was on the thread has been.
    static GONE: Cell<Option<oneshot::Sender<()>>> = const { Cell::new(None) };
}

/// An arbiter that ends with its owner.
struct Thread {
    arbiter: Arbiter,
    gone: oneshot::Receiver<()>,
}

impl Thread {
    fn start() -> Self {
        let (sender, gone) = oneshot::channel();
        let arbiter = Arbiter::new();
        arbiter.spawn_fn(move || GONE.set(Some(sender)));
        Self { arbiter, gone }
    }

    fn handle(&self) -> ArbiterHandle {
        self.arbiter.handle()
    }

    async fn end(mut self) {
        self.arbiter.stop();
        // Nothing is ever sent: it is over when the sender has gone.
        let _ = timeout(ENDS_WITHIN, &mut self.gone).await;
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.arbiter.stop();
    }
}

#[cfg(test)]
mod tests {
    use std::thread::ThreadId;

    use actix::prelude::*;

    use super::*;
    use crate::actor::supervisor::run;

    struct Tenant;

    impl Actor for Tenant {
        type Context = Context<Self>;
    }

    async fn tenant(threads: &Threads) -> (ThreadId, Life) {
        let start = |_| (std::thread::current().id(), run(|_| Tenant).1);
        threads.run(0, start).await.unwrap()
    }

    #[actix::test]
    async fn a_worker_comes_back_to_its_thread_while_that_lives() {
        let threads = Threads::new(1);
        let (first, mut life) = tenant(&threads).await;
        life.kill();
        life.ended().await;
        let (second, mut life) = tenant(&threads).await;

        threads.0[0].borrow().as_ref().unwrap().arbiter.stop();
        life.ended().await;
        let (third, _life) = tenant(&threads).await;

        assert_eq!(first, second);
        assert_ne!(second, third);
    }

    #[actix::test]
    async fn a_thread_that_is_held_up_gives_no_sign_of_life() {
        let threads = Threads::new(2);
        let start = |_| ((), run(|_| Tenant).1);
        let _first = threads.run(0, start).await.unwrap();
        let _second = threads.run(1, start).await.unwrap();
        assert!(threads.silent(Duration::from_secs(5)).await.is_empty());
        let (release, held) = std::sync::mpsc::channel::<()>();
        let handle = threads.0[1].borrow().as_ref().unwrap().handle();
        handle.spawn_fn(move || {
            let _ = held.recv();
        });

        let silent = threads.silent(Duration::from_millis(20)).await;
        drop(release);

        assert_eq!(silent, [1]);
        assert!(threads.silent(Duration::from_secs(5)).await.is_empty());
    }

    #[actix::test]
    async fn what_is_on_a_thread_has_ended_when_the_threads_have() {
        struct Witness(std::sync::mpsc::Sender<()>);
        impl Drop for Witness {
            fn drop(&mut self) {
                // Slow enough to be missed by whoever does not wait.
                std::thread::sleep(Duration::from_millis(50));
                let _ = self.0.send(());
            }
        }
        impl Actor for Witness {
            type Context = Context<Self>;
        }
        let threads = Threads::new(1);
        let (sender, dropped) = std::sync::mpsc::channel();
        let start = move |_| ((), run(|_| Witness(sender)).1);
        let ((), _life) = threads.run(0, start).await.unwrap();

        threads.end().await;

        assert_eq!(dropped.try_recv(), Ok(()));
    }
}
