//! Where a process keeps what others find it by: log, pid file, control sockets.

use std::path::{Path, PathBuf};

use crate::config::Server;

/// Where a process keeps what others find it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlPaths {
    /// The log file of a configuration that names none.
    pub log: PathBuf,
    /// The pid file that the configuration names, or the default one.
    pub pid: PathBuf,
    /// The default pid file, for when the other cannot be written.
    pub default_pid: PathBuf,
    /// Where control sockets are.
    pub sockets: PathBuf,
}

impl ControlPaths {
    /// Decides by the absolute path of the configuration and what it says itself.
    ///
    /// The base is the directory above that of the configuration, as `/srv/mosn` for
    /// `/srv/mosn/conf/mosn.json`; a configuration in a first-level directory has that one as its
    /// base. `socket_directory`, when relative, is taken from the current directory.
    #[must_use]
    pub fn of(config: &Path, server: &Server) -> Self {
        let directory = config.parent().unwrap_or_else(|| Path::new("/"));
        // The root and one name.
        let first_level = directory.components().count() <= 2;
        let base = directory
            .parent()
            .filter(|_| !first_level)
            .unwrap_or(directory);
        let logs = base.join("logs");
        let default_pid = logs.join("mosn.pid");
        Self {
            log: logs.join("mosn.log"),
            pid: server
                .pid_file
                .clone()
                .unwrap_or_else(|| default_pid.clone()),
            default_pid,
            sockets: server
                .socket_directory
                .clone()
                .unwrap_or_else(|| directory.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(config: &str) -> ControlPaths {
        ControlPaths::of(Path::new(config), &Server::default())
    }

    #[test]
    fn the_base_is_above_the_configurations_directory() {
        let paths = of("/srv/mosn/conf/mosn.json");
        assert_eq!(paths.log, Path::new("/srv/mosn/logs/mosn.log"));
        assert_eq!(paths.pid, Path::new("/srv/mosn/logs/mosn.pid"));
        assert_eq!(paths.sockets, Path::new("/srv/mosn/conf"));
    }

    #[test]
    fn a_first_level_directory_is_its_own_base() {
        assert_eq!(of("/etc/mosn.json").log, Path::new("/etc/logs/mosn.log"));
        assert_eq!(of("/mosn.json").log, Path::new("/logs/mosn.log"));
        assert_eq!(of("/etc/mosn/a.json").log, Path::new("/etc/logs/mosn.log"));
    }

    #[test]
    fn the_configuration_may_name_them() {
        let server = Server {
            pid_file: Some("/run/banyan.pid".into()),
            socket_directory: Some("/run/banyan".into()),
            ..Server::default()
        };
        let paths = ControlPaths::of(Path::new("/a/b/c.json"), &server);
        assert_eq!(paths.pid, Path::new("/run/banyan.pid"));
        assert_eq!(paths.default_pid, Path::new("/a/logs/mosn.pid"));
        assert_eq!(paths.sockets, Path::new("/run/banyan"));
    }
}
