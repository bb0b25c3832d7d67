//! Stream filters: what may look at, change or answer a request.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::FieldMatch;
use crate::name::ClusterName;

/// One stream filter of a listener, in its place in the chain.
#[derive(Clone, Debug, PartialEq)]
pub enum StreamFilter {
    /// Delays or aborts a share of the requests (`fault`).
    Fault(Fault),
    /// Refuses bodies beyond a length (`payload_limit`).
    PayloadLimit(PayloadLimit),
    /// Refuses clients by address (`ip_access`).
    IpAccess(IpAccess),
    /// Makes metadata for host choice out of header fields (`header_to_metadata`).
    HeaderToMetadata(Vec<MetadataRule>),
    /// One that the program around the proxy brings, with its configuration as JSON text.
    Custom(String, String),
}

/// Settings of stream filters that hold for a route or a virtual host (`per_filter_config`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteFilters {
    /// In place of the listener's `fault`.
    pub fault: Option<Fault>,
    /// In place of the listener's `payload_limit`.
    pub payload_limit: Option<PayloadLimit>,
    /// Of custom filters: name and configuration as JSON text.
    pub custom: Vec<(String, String)>,
}

/// Delays, then aborts, a share of the requests that match.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fault {
    /// How long, and for how many of a hundred.
    pub delay: Option<(Duration, u8)>,
    /// With which status, and how many of a hundred.
    pub abort: Option<(u16, u8)>,
    /// Only requests to this cluster.
    pub cluster: Option<ClusterName>,
    /// Only requests with all of these.
    pub fields: Vec<FieldMatch>,
}

/// Refuses bodies beyond a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadLimit {
    /// 0 is any length.
    pub bytes: u64,
    /// What it is answered with.
    pub status: u16,
}

/// Refuses clients by address: the first list that has the address decides.
#[derive(Clone, Debug, PartialEq)]
pub struct IpAccess {
    /// What holds for an address in no list.
    pub default: Access,
    /// The field that has the client's address, in lower case; else the peer's is taken.
    pub field: Option<String>,
    /// In order.
    pub lists: Vec<(Access, Vec<IpNet>)>,
}

impl IpAccess {
    /// Whether a client may in; of one whose address is unknown only the default is asked.
    #[must_use]
    pub fn of(&self, client: Option<IpAddr>) -> Access {
        let listed = client.map(|ip| ip.to_canonical()).and_then(|ip| {
            let mut lists = self.lists.iter();
            lists.find(|(_, networks)| networks.iter().any(|network| network.contains(&ip)))
        });
        listed.map_or(self.default, |(access, _)| *access)
    }
}

/// Whether a client may in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Yes.
    Allow,
    /// 403.
    Deny,
}

/// Makes one pair of metadata out of a header field.
#[derive(Clone, Debug, PartialEq)]
pub struct MetadataRule {
    /// In lower case.
    pub field: String,
    /// What is made.
    pub when: MetadataWhen,
    /// Whether the field goes on to the upstream.
    pub field_after: FieldAfter,
}

/// When a pair is made, and which.
#[derive(Clone, Debug, PartialEq)]
pub enum MetadataWhen {
    /// Key and value; an empty value stands for the field's.
    Present(String, String),
    /// Key and value.
    Missing(String, String),
}

/// What becomes of a field that made metadata.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldAfter {
    /// It stays.
    #[default]
    Kept,
    /// It is removed.
    Removed,
}
