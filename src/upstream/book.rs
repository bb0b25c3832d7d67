//! Where the names of plain hosts lead, known to the whole process at once.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use crate::cluster::{Recall, Remembered};

/// Names that are remembered. Those of configurations are few; those that requests bring
/// (`use_header` of `original_dst_lb_config`) are as many as someone likes.
const MOST_NAMES: usize = if cfg!(test) { 4 } else { 4096 };

/// Lookups that may be under way at once, each on a thread: servers that keep silent must not take
/// all threads for what blocks.
const MOST_LOOKUPS: usize = 32;

/// Finds the addresses of a name. It may block.
pub type LookUp = Arc<dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// Where names lead. A clone is the same book.
///
/// An answer is used by all workers until it is old; then one lookup renews it, on a thread of its
/// own, while the old one goes on being used. Where that fails, the last good answer stays.
#[derive(Clone)]
pub struct Book(Arc<Inner>);

struct Inner {
    names: ArcSwap<HashMap<Arc<str>, Arc<Entry>>>,
    look_up: LookUp,
    lookups: Arc<Semaphore>,
    log: slog::Logger,
}

#[derive(Default)]
struct Entry {
    known: ArcSwapOption<Remembered>,
    is_asked: AtomicBool,
    /// Told whenever a lookup has ended.
    told: Notify,
}

impl fmt::Debug for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Book").finish()
    }
}

/// Names lead where the system says, and nothing is logged.
impl Default for Book {
    fn default() -> Self {
        Self::new(
            by_the_system(),
            slog::Logger::root(slog::Discard, slog::o!()),
        )
    }
}

/// As the system resolves names: its `hosts` file, its servers.
#[must_use]
pub fn by_the_system() -> LookUp {
    Arc::new(|name| Ok((name, 0).to_socket_addrs()?.collect()))
}

impl Book {
    /// An empty one.
    #[must_use]
    pub fn new(look_up: LookUp, log: slog::Logger) -> Self {
        Self(Arc::new(Inner {
            names: ArcSwap::default(),
            look_up,
            lookups: Arc::new(Semaphore::new(MOST_LOOKUPS)),
            log,
        }))
    }

    /// Where a name leads; their port means nothing. Whoever asks sets the deadline.
    ///
    /// # Errors
    ///
    /// In words, when it leads nowhere.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives nothing up: a lookup that is under way tells all who ask.
    pub async fn addresses(&self, name: &str) -> Result<Arc<[SocketAddr]>, Arc<str>> {
        let (name, entry) = self.entry(name);
        loop {
            let mut told = std::pin::pin!(entry.told.notified());
            // What is told from here on is heard.
            told.as_mut().enable();
            let known = entry.known.load_full();
            match Remembered::recall(known.as_deref(), Instant::now()) {
                Recall::Use(addresses) => return Ok(addresses),
                Recall::Refuse(why) => return Err(why),
                Recall::Refresh(addresses) => {
                    let lookups = Arc::clone(&self.0.lookups);
                    if let Some(asking) = Asking::begin(&entry)
                        && let Ok(permit) = lookups.try_acquire_owned()
                    {
                        self.ask(name, asking, permit);
                    }
                    return Ok(addresses);
                }
                Recall::LookUp => {
                    if let Some(asking) = Asking::begin(&entry)
                        && let Ok(permit) = Arc::clone(&self.0.lookups).acquire_owned().await
                    {
                        self.ask(Arc::clone(&name), asking, permit);
                    }
                    told.await;
                }
            }
        }
    }

    fn ask(&self, name: Arc<str>, asking: Asking, permit: OwnedSemaphorePermit) {
        let book = self.clone();
        // It may block for long. Who waits for it waits for what it tells, not for its end.
        drop(spawn_blocking(move || {
            let found = (book.0.look_up)(&name).map_err(|error| error.to_string());
            let before = asking.0.known.load_full();
            let after = Remembered::after(before.as_deref(), found, Instant::now());
            let failed = before.as_deref().and_then(Remembered::failure);
            match (failed, after.failure()) {
                (None, Some(why)) => {
                    slog::warn!(book.0.log, "name `{name}` does not resolve: {why}"; "tag" => "upstream.dns");
                }
                (Some(_), None) => {
                    slog::info!(book.0.log, "name `{name}` resolves again"; "tag" => "upstream.dns");
                }
                _ => {}
            }
            asking.0.known.store(Some(Arc::new(after)));
            drop((asking, permit));
        }));
    }

    fn entry(&self, name: &str) -> (Arc<str>, Arc<Entry>) {
        if let Some((name, entry)) = self.0.names.load().get_key_value(name) {
            return (Arc::clone(name), Arc::clone(entry));
        }
        let (name, new) = (Arc::from(name), Arc::new(Entry::default()));
        self.0.names.rcu(|names| {
            let mut names = HashMap::clone(names);
            if !names.contains_key(&name) {
                make_room(&mut names);
                names.insert(Arc::clone(&name), Arc::clone(&new));
            }
            names
        });
        // Somebody else may have been first.
        let names = self.0.names.load();
        let entry = names.get(&name).map_or(new, Arc::clone);
        (name, entry)
    }
}

/// Forgets the name whose answer is the oldest. Where it is asked for meanwhile, whoever asks holds
/// its entry.
fn make_room(names: &mut HashMap<Arc<str>, Arc<Entry>>) {
    if names.len() < MOST_NAMES {
        return;
    }
    let until = |entry: &Entry| entry.known.load().as_ref().map(|known| known.until());
    let oldest = names.iter().min_by_key(|(_, entry)| until(entry));
    if let Some(oldest) = oldest.map(|(name, _)| Arc::clone(name)) {
        names.remove(&oldest);
    }
}

/// The one who looks a name up; when it has gone, however that is, the others hear of it.
struct Asking(Arc<Entry>);

impl Asking {
    fn begin(entry: &Arc<Entry>) -> Option<Self> {
        let is_first = !entry.is_asked.swap(true, Ordering::AcqRel);
        is_first.then(|| Self(Arc::clone(entry)))
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.is_asked.store(false, Ordering::Release);
        self.0.told.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;

    use futures::future::join_all;

    use super::*;

    fn there(last: u8) -> Vec<SocketAddr> {
        vec![([127, 0, 0, last], 0).into()]
    }

    fn book(look_up: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static) -> Book {
        let log = slog::Logger::root(slog::Discard, slog::o!());
        Book::new(Arc::new(look_up), log)
    }

    #[tokio::test]
    async fn many_who_ask_at_once_and_later_make_one_lookup() {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let book = book(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(there(1))
        });

        let all = join_all((0..100).map(|_| book.addresses("origin.test"))).await;
        let later = book.clone().addresses("origin.test").await;

        assert!(all.iter().all(|one| one.as_deref() == Ok(&*there(1))));
        assert_eq!(later.as_deref(), Ok(&*there(1)));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn who_asks_does_not_wait_for_a_lookup_that_renews_an_answer() {
        let (answer, answers) = mpsc::channel::<io::Result<Vec<SocketAddr>>>();
        let answers = tokio::sync::Mutex::new(answers);
        let book = book(move |_| answers.blocking_lock().recv().unwrap());
        answer.send(Ok(there(1))).unwrap();
        book.addresses("origin.test").await.unwrap();
        let (_, entry) = book.entry("origin.test");
        let grow_old = || {
            let known = entry.known.load_full().unwrap();
            let old = Instant::now()
                .checked_sub(std::time::Duration::from_secs(60))
                .unwrap();
            let old = Remembered::after(None, book_of(&known), old);
            entry.known.store(Some(Arc::new(old)));
        };

        grow_old();
        // The lookup has no answer yet.
        assert_eq!(
            book.addresses("origin.test").await.as_deref(),
            Ok(&*there(1))
        );
        let told = entry.told.notified();
        answer.send(Err(io::Error::other("silent"))).unwrap();
        told.await;
        assert_eq!(
            book.addresses("origin.test").await.as_deref(),
            Ok(&*there(1))
        );
        grow_old();
        let told = entry.told.notified();
        book.addresses("origin.test").await.unwrap();
        answer.send(Ok(there(2))).unwrap();
        told.await;
        assert_eq!(
            book.addresses("origin.test").await.as_deref(),
            Ok(&*there(2))
        );
    }

    fn book_of(known: &Remembered) -> Result<Vec<SocketAddr>, String> {
        match Remembered::recall(Some(known), known.until()) {
            Recall::Refresh(addresses) => Ok(addresses.to_vec()),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_failure_is_told_to_all_who_wait() {
        let book = book(|_| Err(io::Error::other("no such name")));
        let all = join_all((0..10).map(|_| book.addresses("nowhere.test"))).await;
        let failed =
            |one: &Result<_, Arc<str>>| one.as_ref().is_err_and(|why| &**why == "no such name");
        assert!(all.iter().all(failed));
    }

    #[tokio::test]
    async fn a_lookup_that_panics_leaves_the_name_to_the_next_who_asks() {
        let first = AtomicBool::new(true);
        let book = book(move |_| match first.swap(false, Ordering::Relaxed) {
            true => panic!("on purpose"),
            false => Ok(there(1)),
        });
        assert_eq!(
            book.addresses("origin.test").await.as_deref(),
            Ok(&*there(1))
        );
    }

    #[tokio::test]
    async fn no_more_names_are_remembered_than_there_is_room_for() {
        let book = book(|_| Ok(there(1)));
        for n in 0..10 {
            book.addresses(&format!("n{n}.test")).await.unwrap();
        }
        let names = book.0.names.load();
        assert_eq!(names.len(), MOST_NAMES);
        assert!(names.contains_key("n9.test"), "the newest stay");
    }
}
