//! The command line as types.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

/// An L4/L7 proxy that is one supervision tree of actors and reads MOSN configuration.
#[derive(Debug, Parser)]
#[command(
    name = "banyan",
    version = concat!("version ", env!("CARGO_PKG_VERSION")),
    disable_version_flag = true,
    after_help = "Flags without a command are those of `start`: `banyan -c FILE`."
)]
pub struct Program {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Print the version
    #[arg(short = 'v', long, visible_short_alias = 'V', action = ArgAction::Version)]
    version: Option<bool>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the proxy in the foreground
    Start(Box<Start>),
    /// Stop a running proxy at once, by the pid file that its configuration leads to
    Stop(super::stop::Stop),
    /// Make the running process read its configuration again, and say what changes
    Reload(Reload),
    /// Say what runs: listeners, clusters and their hosts
    Status(Status),
    /// Say what would become of a request, without sending it
    Explain(Explain),
    /// Edit the running configuration
    Change(Change),
    /// List the versions that can be rolled back to
    History(Place),
    /// Make an earlier version run again
    Rollback(Rollback),
    /// Keep a change that waits to be confirmed
    Confirm(Version<Place>),
    /// Say how the configuration file differs from what runs; exits 1 if it does
    Drift(Place),
    /// Have a running proxy start a new process that takes over from it
    Upgrade(Upgrade),
    /// Start a program and say how it ends, to who has started this; for upgrades
    #[command(hide = true)]
    Launch(super::launch::Launch),
    /// Say everything that is wrong or doubtful in a configuration
    Check(Check),
    /// Print the JSON Schema of configurations, for editors
    Schema,
    /// Make load and report latencies, as sofaload and h2load do
    Load(Box<super::load::Load>),
    /// Answer load: the far end of a proxy that is tried out
    Origin(super::origin::Origin),
    /// Run a proxy before three origins of its own, no file needed
    Demo(Demo),
    /// Print the version
    Version(Show),
    /// Print a completion script for a shell
    Completions {
        /// The shell that is to read it
        shell: clap_complete::Shell,
    },
}

/// The configuration that is read when none is named (MOSN).
const DEFAULT_FILE: &str = "configs/mosn_config.json";

/// The configuration, as every command that reads it is told.
#[derive(Args, Debug)]
pub struct Config {
    /// MOSN configuration file
    #[arg(
        short = 'c',
        long = "config",
        value_name = "FILE",
        env = "MOSN_CONFIG",
        default_value = DEFAULT_FILE
    )]
    pub file: PathBuf,
}

impl Config {
    /// What helps whoever named no file, where the default one is not there.
    pub(super) fn help(&self) -> &'static str {
        match self.file.as_os_str() == DEFAULT_FILE && !self.file.exists() {
            true => "name a configuration by `-c FILE`; `banyan demo` needs none\n",
            false => "",
        }
    }
}

/// `start`
#[derive(Args, Debug)]
pub struct Start {
    /// Which configuration to run.
    #[command(flatten)]
    pub config: Config,
    /// Settings that go before variables and the settings file.
    #[command(flatten)]
    pub settings: SettingsFlags,
    /// Gates of MOSN; `auto_config=true` writes changes at run time back to the configuration file
    #[arg(short = 'f', long, value_name = "NAME=BOOL,…", env = "FEATURE_GATES")]
    pub feature_gates: Option<String>,
    /// Print each setting, its value and where it came from, and exit
    #[arg(long)]
    pub print_settings: bool,
    /// What MOSN accepts and nothing here needs yet.
    #[command(flatten)]
    pub mosn: MosnFlags,
}

/// Flags that set what `settings` has.
#[derive(Args, Debug, Default)]
pub struct SettingsFlags {
    /// File with settings of the daemon (JSON)
    #[arg(
        id = "settings_file",
        long = "settings",
        value_name = "FILE",
        env = "BANYAN_SETTINGS"
    )]
    pub file: Option<PathBuf>,
    /// Directory of the control sockets
    #[arg(long, value_name = "DIR")]
    pub control_dir: Option<String>,
    /// Seconds that SIGTERM waits for connections to end [default: 600]
    #[arg(long, value_name = "SECONDS")]
    pub drain_time_s: Option<String>,
    /// Most verbose level written, whatever the configuration allows: trace, debug, info,
    /// warning, error, critical or off
    #[arg(short = 'l', long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Where log lines go instead of `default_log_path`
    #[arg(long, value_name = "OUTPUT")]
    pub log_output: Option<String>,
    /// Connections taken at once; 0 is as many as descriptors allow
    #[arg(long, value_name = "COUNT")]
    pub max_connections: Option<String>,
    /// Whether SIGHUP starts a process that takes over, as in MOSN, instead of a reload
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub mosn_sighup: Option<String>,
    /// Pid file, instead of the configuration's
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<String>,
    /// Worker threads, or `auto`
    #[arg(long, value_name = "COUNT")]
    pub workers: Option<String>,
}

/// Flags of MOSN that are accepted and have no effect.
#[derive(Args, Debug)]
#[command(next_help_heading = "Accepted without effect")]
pub struct MosnFlags {
    #[arg(short = 's', long, value_name = "NAME", env = "SERVICE_CLUSTER")]
    service_cluster: Option<String>,
    #[arg(short = 'n', long, value_name = "NAME", env = "SERVICE_NODE")]
    service_node: Option<String>,
    #[arg(short = 'p', long, value_name = "TYPE", env = "SERVICE_TYPE")]
    service_type: Option<String>,
    #[arg(long, alias = "sm", value_name = "KEY:VALUE", env = "SERVICE_META")]
    service_meta: Vec<String>,
    #[arg(long, alias = "sl", value_name = "KEY:VALUE", env = "SERVICE_LAB")]
    service_lables: Vec<String>,
    #[arg(long, alias = "domain", value_name = "NAME", env = "CLUSTER_DOMAIN")]
    cluster_domain: Vec<String>,
    #[arg(long, alias = "pns", value_name = "NAME", env = "POD_NAMESPACE")]
    pod_namespace: Option<String>,
    #[arg(long, alias = "pn", value_name = "NAME", env = "POD_NAME")]
    pod_name: Option<String>,
    #[arg(long, alias = "pi", value_name = "ADDRESS", env = "POD_IP")]
    pod_ip: Option<String>,
    #[arg(long, alias = "lf", value_name = "FORMAT")]
    log_format: Option<String>,
    #[arg(long, alias = "lc", value_name = "LEVELS")]
    component_log_level: Option<String>,
    #[arg(long, value_name = "VERSION")]
    local_address_ip_version: Option<String>,
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    restart_epoch: Option<i64>,
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    parent_shutdown_time_s: Option<i64>,
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    max_obj_name_len: Option<i64>,
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    concurrency: Option<i64>,
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    log_format_prefix_with_location: Option<i64>,
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    bootstrap_version: Option<i64>,
    #[arg(long, value_name = "STRATEGY")]
    drain_strategy: Option<String>,
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = go_bool
    )]
    disable_hot_restart: Option<bool>,
}

impl MosnFlags {
    /// The flags that were given, by flag or variable.
    #[must_use]
    pub fn given(&self) -> Vec<&'static str> {
        let texts = [
            ("service-cluster", self.service_cluster.is_some()),
            ("service-node", self.service_node.is_some()),
            ("service-type", self.service_type.is_some()),
            ("service-meta", !self.service_meta.is_empty()),
            ("service-lables", !self.service_lables.is_empty()),
            ("cluster-domain", !self.cluster_domain.is_empty()),
            ("pod-namespace", self.pod_namespace.is_some()),
            ("pod-name", self.pod_name.is_some()),
            ("pod-ip", self.pod_ip.is_some()),
            ("log-format", self.log_format.is_some()),
            ("component-log-level", self.component_log_level.is_some()),
            (
                "local-address-ip-version",
                self.local_address_ip_version.is_some(),
            ),
            ("drain-strategy", self.drain_strategy.is_some()),
            ("disable-hot-restart", self.disable_hot_restart.is_some()),
        ];
        let numbers = [
            ("restart-epoch", self.restart_epoch),
            ("parent-shutdown-time-s", self.parent_shutdown_time_s),
            ("max-obj-name-len", self.max_obj_name_len),
            ("concurrency", self.concurrency),
            (
                "log-format-prefix-with-location",
                self.log_format_prefix_with_location,
            ),
            ("bootstrap-version", self.bootstrap_version),
        ];
        let numbers = numbers.map(|(name, number)| (name, number.is_some()));
        let given = texts.into_iter().chain(numbers).filter(|(_, given)| *given);
        given.map(|(name, _)| name).collect()
    }
}

/// What Go's `strconv.ParseBool` takes.
pub(super) fn go_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("neither true nor false".to_owned()),
    }
}

/// `upgrade`
#[derive(Args, Debug)]
pub struct Upgrade {
    /// The configuration by which the running process is found
    #[arg(
        short = 'c',
        long = "running",
        value_name = "FILE",
        env = "MOSN_CONFIG",
        default_value = DEFAULT_FILE
    )]
    pub running: PathBuf,
    /// Directory of the control sockets, if it is not the one that the configuration leads to
    #[arg(long, value_name = "DIR")]
    pub control_dir: Option<PathBuf>,
    /// Program of the new process, instead of the running one's
    #[arg(long, value_name = "FILE")]
    pub binary: Option<PathBuf>,
    /// Configuration of the new process, instead of the running one's
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Wait for the outcome, and say why it failed
    #[arg(long)]
    pub wait: bool,
}

/// Which running process is asked.
#[derive(Args, Debug)]
pub struct Place {
    /// By the configuration that it runs.
    #[command(flatten)]
    pub config: Config,
    /// Directory of its control socket, instead of the configuration's
    #[arg(long, value_name = "DIR", env = "BANYAN_CONTROL_DIR")]
    pub control_dir: Option<String>,
}

/// On which terms a change is made.
#[derive(Args, Debug)]
pub struct Terms {
    /// Only say what it would change
    #[arg(long)]
    pub dry_run: bool,
    /// Only if this version runs
    #[arg(long, value_name = "VERSION")]
    pub require_version: Option<u64>,
    /// Roll back by itself unless confirmed within this time, as 30s
    #[arg(long, value_name = "DURATION")]
    pub confirm_within: Option<String>,
}

/// `reload`
#[derive(Args, Debug)]
pub struct Reload {
    /// Of which process.
    #[command(flatten)]
    pub place: Place,
    /// On which terms.
    #[command(flatten)]
    pub terms: Terms,
}

/// `status`
#[derive(Args, Debug)]
pub struct Status {
    /// Of which process.
    #[command(flatten)]
    pub place: Place,
    /// Print a JSON object
    #[arg(long)]
    pub json: bool,
}

/// `explain`
#[derive(Args, Debug)]
pub struct Explain {
    /// Listener that it comes to; may be left out where there is one
    #[arg(long, value_name = "NAME")]
    pub listener: Option<String>,
    /// What it speaks, where the listener takes several protocols: Http1, unless it is said
    #[arg(long, value_name = "NAME")]
    pub protocol: Option<String>,
    /// Its method
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    pub method: String,
    /// Its `Host`
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// Its path and query
    #[arg(long, value_name = "PATH", default_value = "/")]
    pub path: String,
    /// One of its header fields; may be given again
    #[arg(long, value_name = "NAME:VALUE")]
    pub header: Vec<String>,
    /// Of which process.
    #[command(flatten)]
    pub place: Place,
    /// How the answer is printed
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `change`
#[derive(Args, Debug)]
pub struct Change {
    /// File with `{"edits": [...]}`; `-` is stdin
    #[arg(value_name = "FILE")]
    pub edits: PathBuf,
    /// Of which process.
    #[command(flatten)]
    pub place: Place,
    /// On which terms.
    #[command(flatten)]
    pub terms: Terms,
}

/// `rollback`
#[derive(Args, Debug)]
pub struct Rollback {
    /// The version, as `history` lists it
    pub version: u64,
    /// Of which process.
    #[command(flatten)]
    pub place: Place,
    /// On which terms.
    #[command(flatten)]
    pub terms: Terms,
}

/// A version of a process.
#[derive(Args, Debug)]
pub struct Version<P: Args> {
    /// The version
    pub version: u64,
    /// Of which process.
    #[command(flatten)]
    pub place: P,
}

/// `check`
#[derive(Args, Debug)]
pub struct Check {
    /// What to check.
    #[command(flatten)]
    pub config: Config,
    /// Refuse warnings too
    #[arg(long)]
    pub strict: bool,
    /// How findings are printed
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// One JSON document
    Json,
}

/// `demo`
#[derive(Args, Debug)]
pub struct Demo {
    /// Drive some thousand connections through it, print where they went, and exit
    #[arg(long)]
    pub once: bool,
}

/// `version`
#[derive(Args, Debug)]
pub struct Show {
    /// Print a JSON object
    #[arg(long)]
    pub json: bool,
}
