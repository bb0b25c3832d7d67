//! Every setting: its key, and how it is named elsewhere.

/// One setting: its key, and how it is named elsewhere.
pub(super) struct Setting {
    /// Its key in the file; `BANYAN_` and it in capitals is its variable.
    pub(super) key: &'static str,
    /// Its flag, if it has one.
    pub(super) flag: Option<&'static str>,
    /// A variable that MOSN or Go have for it. `BANYAN_…` goes before it.
    pub(super) foreign_variable: Option<&'static str>,
    /// Whether only flags and foreign variables set it.
    pub(super) foreign: Foreign,
    /// Its default as text; empty is what the configuration says.
    pub(super) default: &'static str,
    /// What it accepts, for errors.
    pub(super) accepts: &'static str,
}

/// Whether a setting is one of ours.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Foreign {
    /// It has a key in the file and a `BANYAN_` variable.
    No,
    /// It is a MOSN flag that works otherwise than our setting of that name.
    Yes,
}

const fn setting(key: &'static str, default: &'static str, accepts: &'static str) -> Setting {
    Setting {
        key,
        flag: None,
        foreign_variable: None,
        foreign: Foreign::No,
        default,
        accepts,
    }
}

pub(super) const LEVELS: &str = "trace, debug, info, warning, error, critical or off";

/// Every setting, in the order in which they are printed.
pub(super) const SETTINGS: [Setting; 20] = [
    setting(
        "admin_env",
        "",
        "names of variables, with commas between them",
    ),
    setting(
        "admin_hosts",
        "",
        "names of hosts, with commas between them",
    ),
    setting("admin_loopback", "write", "none, read or write"),
    setting("admin_remote", "read", "none or read"),
    setting("admin_token_file", "", "a file"),
    Setting {
        flag: Some("control-dir"),
        ..setting("control_dir", "", "a directory")
    },
    Setting {
        flag: Some("drain-time-s"),
        ..setting("drain_time_s", "600", "seconds as a whole number")
    },
    setting("keep_changes", "no", "no, history or restart"),
    setting("log_format", "mosn", "mosn, json or journald"),
    setting("log_level", "", LEVELS),
    Setting {
        flag: Some("log-level"),
        foreign_variable: Some("LOG_LEVEL"),
        foreign: Foreign::Yes,
        ..setting("log_level_limit", "", LEVELS)
    },
    Setting {
        flag: Some("log-output"),
        ..setting(
            "log_output",
            "",
            "stderr, stdout, syslog, syslog+tcp://host:port or a file",
        )
    },
    Setting {
        flag: Some("max-connections"),
        ..setting(
            "max_connections",
            "0",
            "a whole number; 0 is as many as descriptors allow",
        )
    },
    Setting {
        flag: Some("mosn-sighup"),
        ..setting("mosn_sighup", "false", "true or false")
    },
    Setting {
        flag: Some("pid-file"),
        ..setting("pid_file", "", "a file")
    },
    setting("pre_drain_wait_s", "0", "seconds as a whole number"),
    setting("upgrade_probation_s", "3", "seconds as a whole number"),
    setting("upgrade_timeout_s", "30", "seconds as a whole number"),
    setting("watch_config", "false", "true or false"),
    Setting {
        flag: Some("workers"),
        foreign_variable: Some("GOMAXPROCS"),
        ..setting("workers", "", "auto, or a whole number from 1 to 1024")
    },
];
