//! Asking for the addresses of a name.

use crate::cluster::Answer;
use crate::config::Dns;

/// Asks for the addresses of a name once, as `dns` says. Whoever asks sets the deadline.
///
/// # Errors
///
/// In words, when there is no address.
///
/// # Cancel safety
///
/// Dropping the future gives the question up.
pub async fn look_up(name: &str, dns: &Dns) -> Result<Answer, String> {
    means::look_up(name, dns).await
}

/// By a resolver of its own: the system's hides for how long an answer holds.
#[cfg(feature = "dns")]
mod means {
    use std::net::IpAddr;
    use std::time::Duration;

    use hickory_resolver::Resolver;
    use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
    use hickory_resolver::net::runtime::TokioRuntimeProvider;
    use hickory_resolver::net::{DnsError, NetError};
    use hickory_resolver::proto::op::ResponseCode;
    use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
    use hickory_resolver::system_conf::parse_resolv_conf;
    use tokio::task::spawn_blocking;

    use super::{Answer, Dns};
    use crate::config::{DnsServers, Family};

    /// What an answer over UDP may measure (MOSN).
    const UDP_BYTES: u16 = 4096;

    /// Asks the servers in order, as often as they are to be asked.
    ///
    /// A resolver that is given all of them has one deadline for them together: behind a silent
    /// server the next one would have no time left. So each server is given one of its own.
    pub(super) async fn look_up(name: &str, dns: &Dns) -> Result<Answer, String> {
        let (config, options) = servers(&dns.servers).await?;
        let kind = match dns.family {
            Family::V4 => RecordType::A,
            Family::V6 => RecordType::AAAA,
        };
        let (domain, search, servers) = config.into_parts();
        let mut last = "no server is configured".to_owned();
        for _ in 0..options.attempts.max(1) {
            for server in &servers {
                let server = vec![server.clone()];
                let config = ResolverConfig::from_parts(domain.clone(), search.clone(), server);
                match ask(config, &options, name, kind).await {
                    Ok(found) => return found.ok_or_else(|| format!("it has no {kind} record")),
                    // Who knows that there is none speaks for all.
                    Err(error) if error.is_no_records_found() => return Err(words(&error, kind)),
                    Err(error) => last = words(&error, kind),
                }
            }
        }
        Err(last)
    }

    async fn ask(
        config: ResolverConfig,
        options: &ResolverOpts,
        name: &str,
        kind: RecordType,
    ) -> Result<Option<Answer>, NetError> {
        let mut options = options.clone();
        options.attempts = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.cache_size = 0;
        options.edns_payload_len = UDP_BYTES;
        let builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
        let resolver = builder.with_options(options).build()?;
        let found = resolver.lookup(name, kind).await?;
        Ok(answer(found.answers()))
    }

    fn answer(records: &[Record]) -> Option<Answer> {
        let address = |record: &Record| match &record.data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        };
        let addresses: Vec<_> = records.iter().filter_map(address).collect();
        // Aliases on the way hold for no longer than they say, either.
        let ttl = records.iter().map(|record| record.ttl).min()?;
        (!addresses.is_empty()).then(|| Answer {
            addresses,
            ttl: Some(Duration::from_secs(ttl.into())),
        })
    }

    async fn servers(servers: &DnsServers) -> Result<(ResolverConfig, ResolverOpts), String> {
        let DnsServers::File { path, port } = servers else {
            return listed(servers);
        };
        let (file, name) = (path.clone(), path.display().to_string());
        let read = spawn_blocking(move || std::fs::read(file)).await;
        let read = read.map_err(|error| format!("{name}: {error}"))?;
        let text = read.map_err(|error| format!("{name}: {error}"))?;
        let parsed = parse_resolv_conf(text).map_err(|error| format!("{name}: {error}"))?;
        Ok((on_port(parsed.0, *port), parsed.1))
    }

    fn listed(servers: &DnsServers) -> Result<(ResolverConfig, ResolverOpts), String> {
        let mut options = ResolverOpts::default();
        let DnsServers::Listed {
            servers,
            port,
            search,
            ndots,
            timeout,
            attempts,
        } = servers
        else {
            return Err("no servers are listed".to_owned());
        };
        let search: Result<Vec<_>, _> = search.iter().map(Name::from_str_relaxed).collect();
        let search = search.map_err(|error| format!("`search`: {error}"))?;
        let servers = servers.iter().copied().map(NameServerConfig::udp_and_tcp);
        options.ndots = *ndots;
        options.timeout = *timeout;
        options.attempts = *attempts;
        let config = ResolverConfig::from_parts(None, search, servers.collect());
        Ok((on_port(config, *port), options))
    }

    fn on_port(config: ResolverConfig, port: u16) -> ResolverConfig {
        let (domain, search, mut servers) = config.into_parts();
        let connections = servers
            .iter_mut()
            .flat_map(|server| &mut server.connections);
        connections.for_each(|connection| connection.port = port);
        ResolverConfig::from_parts(domain, search, servers)
    }

    fn words(error: &NetError, kind: RecordType) -> String {
        match error {
            NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
                ResponseCode::NXDomain => "no such name".to_owned(),
                ResponseCode::NoError => format!("it has no {kind} record"),
                code => format!("the server says: {code}"),
            },
            NetError::Dns(DnsError::ResponseCode(code)) => format!("the server says: {code}"),
            NetError::Timeout => "no answer in time".to_owned(),
            other => other.to_string(),
        }
    }
}

/// As the system resolves names: without the feature `dns` there is no other way.
#[cfg(not(feature = "dns"))]
mod means {
    use std::net::IpAddr;

    use super::{Answer, Dns};
    use crate::config::Family;

    pub(super) async fn look_up(name: &str, dns: &Dns) -> Result<Answer, String> {
        let found = tokio::net::lookup_host((name, 0)).await;
        let found = found.map_err(|error| error.to_string())?;
        let wanted = |ip: &IpAddr| match dns.family {
            Family::V4 => ip.is_ipv4(),
            Family::V6 => ip.is_ipv6(),
        };
        let addresses: Vec<_> = found.map(|address| address.ip()).filter(wanted).collect();
        match addresses.is_empty() {
            true => Err("it has no address of the wanted family".to_owned()),
            false => Ok(Answer {
                addresses,
                ttl: None,
            }),
        }
    }
}
