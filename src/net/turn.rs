//! Turns of those who share a thread.

use std::future::Future;
use std::pin::pin;
use std::task::Context;

/// Has the caller's task come back once the others have had their turn, and those too of whom the
/// reactor has not told yet. A task that only woke itself would come again before the reactor is
/// asked, some sixty times in a row.
pub fn give_way(cx: &mut Context<'_>) {
    let others = pin!(tokio::task::yield_now());
    let _comes_back = others.poll(cx);
}
