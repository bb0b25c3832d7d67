//! How much of the machine the process takes: threads and descriptors.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use slog::{Logger, warn};

use crate::config::Workers;

/// Descriptors that are not connections: listeners, logs, event loops, pipes, control sockets.
const RESERVED_DESCRIPTORS: u64 = 128;

/// A connection that is relayed has a downstream and an upstream socket.
const DESCRIPTORS_PER_CONNECTION: u64 = 2;

/// Worker threads, `Auto` being the CPUs that this process may use, cgroup limits counted.
pub(super) fn workers(configured: Workers) -> usize {
    match configured {
        Workers::Fixed(workers) => workers,
        Workers::Auto => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

/// Connections to take at once: `wanted`, or for 0 as many as descriptors allow. Asks the system
/// for all the descriptors that it may give.
pub(super) fn connections(wanted: usize, log: &Logger) -> usize {
    let allowed = connections_of(descriptors(log));
    if wanted > allowed {
        warn!(log, "more connections are allowed than descriptors";
            "max_connections" => wanted, "connections_by_descriptors" => allowed);
    }
    if wanted == 0 { allowed } else { wanted }
}

fn descriptors(log: &Logger) -> u64 {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if soft == hard {
            return Ok(soft);
        }
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
            .map(|()| hard)
            .or(Ok(soft))
    });
    raised.unwrap_or_else(|error| {
        warn!(log, "cannot read the limit of descriptors: {}", error);
        1024
    })
}

fn connections_of(descriptors: u64) -> usize {
    let connections = descriptors.saturating_sub(RESERVED_DESCRIPTORS) / DESCRIPTORS_PER_CONNECTION;
    usize::try_from(connections).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_needs_two_descriptors_and_the_process_some() {
        for (descriptors, connections) in [(20_000, 9_936), (1024, 448), (128, 1), (0, 1)] {
            assert_eq!(connections_of(descriptors), connections);
        }
    }
}
