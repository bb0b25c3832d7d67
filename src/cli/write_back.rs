//! MOSN's gate `auto_config`: what is changed at run time is written back to the file.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use slog::{Logger, error};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::ProxyHandle;
use crate::actor::root::write_whole;

/// How often it is looked whether something has changed.
const LOOKS_EVERY: Duration = Duration::from_secs(3);

/// Whether anything is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// Changes are written back.
    Open,
    /// Nothing is written.
    Shut,
}

/// Writes what runs back to the file, each time it is another version.
pub(super) struct WriteBack {
    proxy: ProxyHandle,
    file: PathBuf,
    gate: Gate,
    written: u64,
    log: Logger,
}

impl WriteBack {
    pub(super) fn new(proxy: ProxyHandle, file: PathBuf, gate: Gate, log: Logger) -> Self {
        let written = proxy.running().version;
        Self {
            proxy,
            file,
            gate,
            written,
            log,
        }
    }

    /// Looks every three seconds, for ever.
    pub(super) async fn run(&mut self) -> Infallible {
        loop {
            sleep(LOOKS_EVERY).await;
            self.write().await;
        }
    }

    /// Writes what runs, unless it has been written. What waits to be confirmed is not.
    pub(super) async fn write(&mut self) {
        let running = self.proxy.running();
        if self.gate == Gate::Shut
            || running.version == self.written
            || running.confirm_until.is_some()
        {
            return;
        }
        let Some(document) = running.configuration.document().cloned() else {
            return;
        };
        let file = self.file.clone();
        let written = spawn_blocking(move || {
            // Two blanks, as MOSN writes it; of YAML too it is the strict part.
            let text = format!("{:#}\n", document.to_json());
            write_whole(&file, text.as_bytes(), mode(&file)?)
        });
        match written
            .await
            .unwrap_or_else(|_| Err(io::Error::other("it panicked")))
        {
            Ok(()) => self.written = running.version,
            Err(error) => {
                error!(self.log, "dump config failed, caused by: {}", error;
                    "tag" => "mosn.common.config_dump_failed");
            }
        }
    }
}

/// What others may do with the file stays as it is: secrets may be in it.
fn mode(file: &Path) -> io::Result<u32> {
    match fs::metadata(file) {
        Ok(found) => Ok(found.permissions().mode() & 0o777),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0o644),
        Err(error) => Err(error),
    }
}
