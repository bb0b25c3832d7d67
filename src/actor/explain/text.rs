//! An explanation as a person reads it.

use std::fmt::{self, Display, Formatter};

use super::{ClusterSeen, Explanation, HostSeen, SubsetSeen};
use crate::cluster::{Missed, Taker};
use crate::config::Metadata;
use crate::proxy::http::{Explained, Outcome, RouteSeen};

impl Display for Explanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "listener {} at {}", self.listener, self.address)?;
        match &self.request {
            Some(request) => of_request(request, f)?,
            None if self.clusters.is_empty() => writeln!(f, "  the connection is closed")?,
            None => writeln!(f, "  its bytes are relayed")?,
        }
        for cluster in &self.clusters {
            of_cluster(cluster, f)?;
        }
        Ok(())
    }
}

fn of_request(request: &Explained, f: &mut Formatter<'_>) -> fmt::Result {
    if let Some(router) = &request.router {
        writeln!(f, "  router {router}")?;
    }
    if let Some(host) = &request.virtual_host {
        writeln!(
            f,
            "  virtual host {} ({})",
            host.name,
            host.domains.join(", ")
        )?;
    }
    let why = |route: &RouteSeen| route.why_not.clone().unwrap_or_default();
    for route in &request.passed_over {
        writeln!(
            f,
            "    not route {}, {}: {}",
            route.index,
            route.matches,
            why(route)
        )?;
    }
    if let Some(route) = &request.route {
        writeln!(f, "    route {}, {}", route.index, route.matches)?;
    }
    for filter in &request.filters {
        writeln!(f, "  stream filter {} {}", filter.name, filter.does)?;
    }
    match &request.outcome {
        Outcome::Unknown => Ok(()),
        Outcome::Reply { status, cause } => writeln!(f, "  is answered {status}: {cause}"),
        Outcome::Forward(forwarded) => {
            writeln!(f, "  is forwarded as")?;
            for line in &forwarded.head {
                writeln!(f, "    {line}")?;
            }
            match forwarded.timeout_ms {
                Some(millis) => writeln!(f, "  may take {millis} ms")?,
                None => writeln!(f, "  may take for ever")?,
            }
            writeln!(f, "  is tried again {}", forwarded.retries)?;
            match &forwarded.mirror {
                Some((cluster, percent)) => writeln!(f, "  is copied to {cluster}: {percent} %"),
                None => Ok(()),
            }
        }
    }
}

fn of_cluster(cluster: &ClusterSeen, f: &mut Formatter<'_>) -> fmt::Result {
    let ClusterSeen {
        name,
        percent,
        balancer,
        ..
    } = cluster;
    if !cluster.exists {
        return writeln!(f, "cluster {name}: there is none");
    }
    writeln!(
        f,
        "cluster {name}: {percent:.0} % of the requests, by {balancer}"
    )?;
    if let Some(subset) = &cluster.subset {
        of_subset(subset, &cluster.metadata, f)?;
    }
    if cluster.panicking {
        writeln!(f, "  so few hosts are healthy that all are used")?;
    }
    for host in &cluster.hosts {
        let HostSeen {
            address,
            weight,
            connections_active,
            requests_active,
            ..
        } = host;
        let stands = match host.why_not.is_empty() {
            true => "may be chosen".to_owned(),
            false => format!("is not chosen: {}", host.why_not.join(", ")),
        };
        writeln!(
            f,
            "  host {address} {stands} (weight {weight}, {connections_active} connections, \
             {requests_active} requests)"
        )?;
    }
    Ok(())
}

fn of_subset(subset: &SubsetSeen, wanted: &Metadata, f: &mut Formatter<'_>) -> fmt::Result {
    write!(f, "  is asked for hosts with {}", pairs(wanted))?;
    let missed = match subset.missed {
        None => return writeln!(f, ", of which there are some that may be chosen"),
        Some(Missed::NoSelector) => "no selector has exactly these names",
        Some(Missed::NoHost) => "no host has that",
        Some(Missed::NoneFit) => "none of them may be chosen",
    };
    writeln!(f, ": {missed}")?;
    match (subset.taken_by, &subset.default_subset) {
        (Taker::Nobody, _) => writeln!(f, "  so nobody takes it: 502"),
        (_, Some(default)) if default.is_empty() => writeln!(f, "  so any host takes it"),
        (_, Some(default)) => {
            writeln!(
                f,
                "  so the default subset takes it: hosts with {}",
                pairs(default)
            )
        }
        (_, None) => writeln!(f, "  so any host takes it"),
    }
}

fn pairs(metadata: &Metadata) -> String {
    let pairs = metadata.iter();
    let pairs = pairs.map(|(name, value)| format!("{name} = {value}"));
    pairs.collect::<Vec<_>>().join(", ")
}
