//! How the names of a cluster's hosts are resolved.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Who says which addresses the hosts of a cluster have (`type`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Discovery {
    /// The plan: a host is one address, and a name is looked up when it is connected to.
    #[default]
    Fixed,
    /// A name stands for all addresses that it resolves to, each a host of its own (`STRICT_DNS`).
    StrictDns(Box<Dns>),
}

/// How and when the names of a cluster are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// How long after an answer a name is asked for again (default 5 s).
    pub refresh: Duration,
    /// Whether the answer says so instead.
    pub ttl: Ttl,
    /// Which addresses are asked for.
    pub family: Family,
    /// Who is asked.
    pub servers: DnsServers,
}

impl Dns {
    /// How long after an answer a name is asked for again unless it is said.
    pub const REFRESH: Duration = Duration::from_secs(5);
}

/// As a configuration that says nothing of it.
impl Default for Dns {
    fn default() -> Self {
        Self {
            refresh: Self::REFRESH,
            ttl: Ttl::default(),
            family: Family::default(),
            servers: DnsServers::default(),
        }
    }
}

/// What the time to live of an answer counts for (`respect_dns_ttl`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ttl {
    /// Nothing.
    #[default]
    Ignored,
    /// A second after it has passed, the name is asked for again.
    Respected,
}

/// Which addresses are asked for (`dns_lookup_family`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// IPv4 (`A`).
    #[default]
    V4,
    /// IPv6 (`AAAA`).
    V6,
}

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsServers {
    /// Those of a file in the form of `resolv.conf`, with its options; read before each lookup.
    File {
        /// The file (default `/etc/resolv.conf`).
        path: PathBuf,
        /// The servers' port (default 53).
        port: u16,
    },
    /// These, in order: the next one is asked where one does not answer.
    Listed {
        /// Their addresses.
        servers: Vec<IpAddr>,
        /// Their port (default 53).
        port: u16,
        /// Domains that are tried after a name of few dots.
        search: Vec<String>,
        /// Dots from which on a name is first tried as it is (default 1).
        ndots: usize,
        /// How long one server may take (default 5 s).
        timeout: Duration,
        /// How often all servers are asked in turn (default 2).
        attempts: usize,
    },
}

impl DnsServers {
    /// The port of a server unless it is said.
    pub const PORT: u16 = 53;

    /// Where they stand unless it is said.
    pub const FILE: &str = "/etc/resolv.conf";
}

impl Default for DnsServers {
    fn default() -> Self {
        Self::File {
            path: PathBuf::from(Self::FILE),
            port: Self::PORT,
        }
    }
}
