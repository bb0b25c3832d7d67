//! Trace ids, made where no tracer makes one: they find the lines of one request in many logs.

use std::cell::Cell;
use std::net::Ipv4Addr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::net::host_address;

/// Numbers that a thread takes from the process at once, so that threads seldom meet there.
const BLOCK: u64 = 100;

/// The counter has four digits: it runs from here …
const FIRST: u64 = 1000;

/// … through so many numbers, and begins anew (MOSN 1.4).
const NUMBERS: u64 = 8001;

/// An id for a request that began so many milliseconds after the epoch: this machine's address in
/// hexadecimal digits, the milliseconds, a counter, and the process (MOSN 1.4).
pub(super) fn trace_id(millis: u128) -> String {
    static ADDRESS: OnceLock<Option<Ipv4Addr>> = OnceLock::new();
    let address = ADDRESS.get_or_init(host_address);
    text(*address, millis, next(), std::process::id())
}

fn text(address: Option<Ipv4Addr>, millis: u128, number: u64, process: u32) -> String {
    let counter = FIRST + number % NUMBERS;
    match address {
        Some(address) => format!("{:08x}{millis}{counter}{process}", u32::from(address)),
        None => format!("00{millis}{counter}{process}"),
    }
}

/// A number that no other request of this process has.
fn next() -> u64 {
    static TAKEN: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static NEXT: Cell<u64> = const { Cell::new(0) };
    }
    let mut next = NEXT.get();
    if next.is_multiple_of(BLOCK) {
        next = TAKEN.fetch_add(BLOCK, Relaxed);
    }
    NEXT.set(next + 1);
    next
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn an_id_is_mosn_s() {
        let address = Some(Ipv4Addr::new(10, 0, 0, 1));
        for (address, number, expected) in [
            (address, 0, "0a0000011767225600000100042"),
            (address, 8000, "0a0000011767225600000900042"),
            (address, 8001, "0a0000011767225600000100042"),
            (None, 5, "001767225600000100542"),
        ] {
            assert_eq!(text(address, 1_767_225_600_000, number, 42), expected);
        }
    }

    #[test]
    fn threads_share_no_number() {
        let threads = (0..4).map(|_| std::thread::spawn(|| (0..450).map(|_| next()).collect()));
        let threads: Vec<_> = threads.collect();
        let numbers = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(|_| Vec::<u64>::new()));
        assert_eq!(numbers.collect::<HashSet<_>>().len(), 4 * 450);
    }
}
