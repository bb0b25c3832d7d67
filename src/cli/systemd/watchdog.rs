//! When the watchdog of the service manager is fed: only when every thread answers.

use std::time::Duration;

use slog::{Logger, error, info};

use crate::ProxyHandle;

/// Waits until the threads of all workers give a sign of life; the log says which keep silent for
/// longer than `patience`.
pub(super) async fn all_answer(proxy: &ProxyHandle, patience: Duration, log: &Logger) {
    let mut silent = Vec::new();
    loop {
        // A proxy that has ended is not judged any more.
        let now = proxy.silent_workers(patience).await.unwrap_or_default();
        if now != silent {
            match said(&now) {
                Some(workers) => {
                    error!(log, "{} gives no sign of life: the watchdog is not fed", workers;
                        "tag" => "process.watchdog");
                }
                None => info!(log, "every worker answers again"; "tag" => "process.watchdog"),
            }
        }
        if now.is_empty() {
            return;
        }
        silent = now;
    }
}

fn said(workers: &[usize]) -> Option<String> {
    let list: Vec<_> = workers
        .iter()
        .map(|worker| format!("worker {worker}"))
        .collect();
    (!list.is_empty()).then(|| list.join(", "))
}
