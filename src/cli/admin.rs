//! The admin door of a process: its sockets, its tokens, and what it may ask of the process.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use slog::{FilterLevel, Logger, info, warn};

use super::gates::Gates;
use super::levels::Levels;
use super::logging;
use super::paths::ControlPaths;
use super::remote::SOCKET;
use super::settings::Settings;
use crate::actor::admin::{Access, Logging, Options, Process, Reach, Role};
use crate::config::{Address, Plan};
use crate::net::{BindError, Legacy};
use crate::protocol::handover::{ListenerOffer, Place};
use crate::telemetry::access_log::AccessLogs;

/// The largest file of tokens.
const LARGEST_TOKENS: u64 = 64 << 10;

/// What of the environment may be shown, read once.
pub(super) fn shown_variables(settings: &Settings) -> BTreeMap<String, String> {
    let named = settings.admin_env.iter();
    let found = named.filter_map(|name| Some((name.clone(), std::env::var(name).ok()?)));
    found.collect()
}

/// When an address is bound for which no socket is there yet: at once, or there is no start; but
/// where a predecessor listens, or was to, as soon as that lets go of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Binding {
    /// Ports of the predecessor.
    taken: Vec<u16>,
}

impl Binding {
    /// With a predecessor that has these listeners.
    pub(super) fn after(listeners: &[ListenerOffer]) -> Self {
        let places = listeners
            .iter()
            .flat_map(|one| [&one.place, &one.configured]);
        let ports = places.filter_map(|place| match place {
            Place::Tcp(address) => Some(address.port()),
            Place::Unix(_) => None,
        });
        Self {
            taken: ports.collect(),
        }
    }

    fn waits_for(&self, wanted: &Address) -> bool {
        matches!(wanted, Address::Tcp(address) if self.taken.contains(&address.port()))
    }
}

/// By what the sockets of the door are found.
pub(super) struct Places<'a> {
    pub(super) plan: &'a Plan,
    pub(super) paths: &'a ControlPaths,
    pub(super) binding: Binding,
    /// Sockets that are there already.
    pub(super) given: &'a mut Legacy,
}

impl Places<'_> {
    /// Has the door listen at this address, on a socket that is there already if one is for it.
    fn listen(
        &mut self,
        options: &mut Options,
        reach: Reach,
        wanted: Address,
    ) -> Result<Address, BindError> {
        let name = reach.name();
        let mut listeners = self.plan.listeners.iter();
        // A name is a listener's first.
        let is_free = listeners.all(|listener| listener.name.as_str() != name);
        let called = is_free.then_some(name);
        if let Some(found) = options.listen_on_given(reach, &wanted, called, self.given) {
            return Ok(found);
        }
        if self.binding.waits_for(&wanted) {
            options.listen_when_free(reach, wanted.clone());
            return Ok(wanted);
        }
        options.listen(reach, &wanted)
    }
}

/// Opens the door: on the control socket always, and on the address that is configured.
///
/// # Errors
///
/// In words, when the tokens cannot be read or the address cannot be bound. Without a control socket
/// the process runs all the same.
pub(super) fn open(
    settings: &Settings,
    mut places: Places<'_>,
    around: Around,
    log: &Logger,
) -> Result<Options, String> {
    let access = Access {
        loopback: settings.admin_loopback,
        beyond: settings.admin_remote,
        tokens: match &settings.admin_token_file {
            Some(file) => tokens(file)?,
            None => Vec::new(),
        },
        hosts: hosts(settings),
    };
    let mut options = Options::new(access).process(Arc::new(around));
    // As MOSN makes it; what is wrong with it is said by the socket.
    let _made = fs::create_dir_all(&places.paths.sockets);
    let socket = Address::Unix(places.paths.sockets.join(SOCKET));
    if let Err(error) = places.listen(&mut options, Reach::Private, socket) {
        warn!(log, "no control socket: {}", error; "tag" => "admin");
    }
    match &places.plan.server.admin {
        None => warn!(log, "no admin config, no admin api served"),
        Some(address) => {
            let resolved = resolved(address)?;
            let bound = places
                .listen(&mut options, Reach::Network, Address::Tcp(resolved))
                .map_err(|error| format!("start service failed: `admin`: {error}, exit"))?;
            info!(log, "[start service] start service Mosn Admin Server on {}", bound; "tag" => "admin store");
            if !resolved.ip().to_canonical().is_loopback() && settings.admin_remote.is_some() {
                warn!(log, "everyone who reaches {} may look at the configuration: \
                    the setting `admin_remote` is `read`", bound; "tag" => "admin");
            }
        }
    }
    if let Some(sink) = &places.plan.server.metrics.prometheus {
        // On every address.
        let wanted = Address::Tcp((Ipv6Addr::UNSPECIFIED, sink.port).into());
        let bound = places
            .listen(&mut options, Reach::Scrape, wanted)
            .map_err(|error| format!("metrics sink: {error}, exit"))?;
        info!(log, "metrics are at {}{}", bound, sink.endpoint; "tag" => "metrics");
    }
    Ok(options)
}

/// `host:port`, where no host is every one.
fn resolved(address: &str) -> Result<SocketAddr, String> {
    let wrong = |why: &str| format!("admin address `{address}`: {why}");
    let all = address.strip_prefix(':').map(|port| format!("[::]:{port}"));
    let mut found = all.as_deref().unwrap_or(address).to_socket_addrs();
    let found = found.as_mut().map_err(|error| wrong(&error.to_string()))?;
    found.next().ok_or_else(|| wrong("it has no address"))
}

/// The names of this machine, and those that are set.
fn hosts(settings: &Settings) -> Vec<String> {
    let own = nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok());
    settings.admin_hosts.iter().cloned().chain(own).collect()
}

/// Lines of `read TOKEN` and `write TOKEN`; empty ones and those with a `#` before them say nothing.
fn tokens(file: &Path) -> Result<Vec<(Role, Arc<str>)>, String> {
    let wrong = |why: String| format!("admin_token_file {}: {why}", file.display());
    let found = fs::metadata(file).map_err(|error| wrong(error.to_string()))?;
    if found.permissions().mode() & 0o077 != 0 {
        return Err(wrong("others may read it: `chmod 600` it".to_owned()));
    }
    if found.len() > LARGEST_TOKENS {
        return Err(wrong("it is too large".to_owned()));
    }
    let text = fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    let mut tokens = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (role, token) = match line.split_once(char::is_whitespace) {
            Some(("read", token)) => (Role::Read, token.trim()),
            Some(("write", token)) => (Role::Write, token.trim()),
            _ => {
                return Err(wrong(format!(
                    "line {}: a line is `read TOKEN` or `write TOKEN`",
                    number + 1
                )));
            }
        };
        if token.len() < 16 {
            return Err(wrong(format!(
                "line {}: a token has at least 16 characters",
                number + 1
            )));
        }
        tokens.push((role, token.into()));
    }
    Ok(tokens)
}

/// What the admin door may ask of this process.
pub(super) struct Around {
    pub(super) gates: Gates,
    pub(super) variables: BTreeMap<String, String>,
    /// The log's output, as it was configured.
    pub(super) output: String,
    pub(super) levels: Arc<Levels>,
    pub(super) access: AccessLogs,
}

const LEVELS: [(&str, FilterLevel); 6] = [
    ("FATAL", FilterLevel::Critical),
    ("ERROR", FilterLevel::Error),
    ("WARN", FilterLevel::Warning),
    ("INFO", FilterLevel::Info),
    ("DEBUG", FilterLevel::Debug),
    ("TRACE", FilterLevel::Trace),
];

impl Process for Around {
    fn version(&self) -> String {
        format!("v{}", env!("CARGO_PKG_VERSION"))
    }

    fn features(&self) -> Vec<(String, bool)> {
        self.gates
            .all()
            .map(|(name, open)| (name.to_owned(), open))
            .collect()
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn log_levels(&self) -> Vec<(String, &'static str)> {
        let level = self.levels.level();
        let named = LEVELS.iter().find(|(_, known)| *known == level);
        vec![(self.output.clone(), named.map_or("FATAL", |(name, _)| name))]
    }

    fn set_log_level(&self, output: &str, level: &str) -> bool {
        let level = LEVELS.iter().find(|(name, _)| *name == level);
        let Some((_, level)) = level.filter(|_| output == self.output) else {
            return false;
        };
        self.levels.set(*level);
        true
    }

    /// The log of the process, the access logs and those of health checks: all that have this output.
    fn set_log_enabled(&self, output: &str, logging: Logging) -> bool {
        let is_own = output == self.output;
        if is_own {
            self.levels.toggle(logging);
        }
        // An access log without a name has the name of its file.
        let named = (!output.is_empty()).then(|| logging::output(output));
        let is_access = named.is_some_and(|output| match logging {
            Logging::Disabled => self.access.mute(&output),
            Logging::Enabled => self.access.unmute(&output),
        });
        is_own || is_access
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_from_a_private_file() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("tokens");
        let read = |text: &str, mode| {
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            tokens(&file).map_err(|why| why.rsplit(": ").next().unwrap_or_default().to_owned())
        };
        let text = "# ours\n\nread 0123456789abcdef\n write  fedcba9876543210 \n";
        let expected: Vec<(Role, Arc<str>)> = vec![
            (Role::Read, "0123456789abcdef".into()),
            (Role::Write, "fedcba9876543210".into()),
        ];
        assert_eq!(read(text, 0o600), Ok(expected));
        for (text, mode, why) in [
            (text, 0o644, "`chmod 600` it"),
            ("write short", 0o600, "a token has at least 16 characters"),
            (
                "0123456789abcdef",
                0o600,
                "a line is `read TOKEN` or `write TOKEN`",
            ),
        ] {
            assert_eq!(read(text, mode), Err(why.to_owned()));
        }
        assert!(tokens(&home.path().join("none")).is_err());
    }

    #[test]
    fn an_admin_address_may_leave_the_host_out() {
        assert_eq!(resolved(":7").unwrap(), "[::]:7".parse().unwrap());
        assert_eq!(
            resolved("127.0.0.1:7").unwrap(),
            "127.0.0.1:7".parse().unwrap()
        );
        assert!(resolved("127.0.0.1").is_err());
    }
}
