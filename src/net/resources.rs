//! What the process may use.

use std::io;
use std::net::Ipv4Addr;

use nix::ifaddrs::getifaddrs;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the limit of open descriptors as far as the process may, and returns it.
///
/// # Errors
///
/// When the system refuses; the limit is then as it was.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

/// The first IPv4 address of this machine that others may reach; `None` when it has none.
#[must_use]
pub fn host_address() -> Option<Ipv4Addr> {
    let addresses = getifaddrs().ok()?.filter_map(|interface| interface.address);
    let mut addresses = addresses.filter_map(|address| Some(address.as_sockaddr_in()?.ip()));
    addresses.find(|address| !address.is_loopback())
}

/// Bytes of this process' memory that it holds and does not use: freed, and not given back to the
/// system. 0 where that cannot be told.
#[must_use]
pub fn slack_bytes() -> u64 {
    let in_use = allocated_bytes();
    let held = in_use.and_then(|_| held_bytes());
    in_use
        .zip(held)
        .map_or(0, |(in_use, held)| held.saturating_sub(in_use))
}

/// Resident memory that belongs to this process alone.
fn held_bytes() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = pages
        .split(' ')
        .skip(1)
        .map_while(|text| text.parse::<u64>().ok());
    let (resident, shared) = (pages.next()?, pages.next()?);
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok()??;
    Some(resident.checked_sub(shared)? * u64::try_from(page).ok()?)
}

/// What the allocator has given out.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "nix has no call for it")]
fn allocated_bytes() -> Option<u64> {
    // SAFETY: it takes the allocator's own locks, and returns numbers.
    let told = unsafe { libc::mallinfo2() };
    u64::try_from(told.uordblks + told.hblkhd).ok()
}

#[cfg(not(target_env = "gnu"))]
fn allocated_bytes() -> Option<u64> {
    None
}

/// Gives memory back to the system that was freed. The allocator does so by itself only at the end
/// of its heaps, where after a crowd some small thing always lives.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "nix has no call for it")]
pub fn give_back_memory() {
    // SAFETY: it takes the allocator's own locks, and touches only what is free.
    unsafe { libc::malloc_trim(0) };
}

/// Does nothing: only glibc needs to be told.
#[cfg(not(target_env = "gnu"))]
pub fn give_back_memory() {}
