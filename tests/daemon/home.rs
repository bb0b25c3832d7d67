//! A directory with a configuration, and the daemon started in it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// How long a test waits for an event before it says which one never came.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Looks again and again until something is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A configuration with one listener, `app`, at `address` before one host.
pub(crate) fn configuration(address: &str, host: &str) -> Value {
    let cluster = json!({ "name": "c", "type": "SIMPLE", "lb_type": "LB_RANDOM",
                          "hosts": [{ "address": host }] });
    json!({
        "servers": [{ "listeners": [listener("app", address)] }],
        "cluster_manager": { "clusters": [cluster] },
    })
}

/// A listener before the cluster of [`configuration`].
pub(crate) fn listener(name: &str, address: &str) -> Value {
    let proxy = json!({ "type": "tcp_proxy", "config": { "cluster": "c" } });
    json!({ "name": name, "address": address, "bind_port": true,
            "filter_chains": [{ "filters": [proxy] }] })
}

/// A directory as MOSN's are: `conf/mosn.json`, and `logs` beside `conf`.
pub(crate) struct Home(tempfile::TempDir);

impl Home {
    /// Its configuration listens on any port, before a host that is not there.
    pub(crate) fn new() -> Self {
        Self::of(&configuration("127.0.0.1:0", "127.0.0.1:9"))
    }

    pub(crate) fn of(configuration: &Value) -> Self {
        Self::written(&configuration.to_string())
    }

    pub(crate) fn written(configuration: &str) -> Self {
        let home = Self(tempfile::tempdir().expect("a temporary directory"));
        fs::create_dir(home.path("conf")).expect("it is ours");
        fs::write(home.path("conf/mosn.json"), configuration).expect("it is ours");
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The binary with these arguments and this configuration, and no variables.
    pub(crate) fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_banyan"));
        command.env_clear().args(words.split_whitespace());
        command.arg("-c").arg(self.path("conf/mosn.json"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A process that runs and logs to stderr.
    pub(crate) fn started(&self) -> Process {
        self.started_with("")
    }

    /// A process that runs with these flags and logs to stderr, and where its first listener is.
    pub(crate) fn started_with(&self, flags: &str) -> Process {
        let words = format!("start --log-output stderr {flags}");
        let mut process = self.starting(&words);
        process.is_running();
        process
    }

    pub(crate) fn starting(&self, words: &str) -> Process {
        Process::of(&mut self.command(words))
    }

    /// Every file below it, and what is in it.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(self.0.path(), &mut files);
        files
    }
}

fn collect(directory: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(directory).expect("it is ours") {
        let path = entry.expect("it is ours").path();
        if path.is_dir() {
            collect(&path, files);
        }
        // A directory or a socket has nothing to read, and counts all the same.
        let content = fs::read(&path).unwrap_or_default();
        files.insert(path, content);
    }
}

/// The daemon, and what it says on stdout and stderr.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    listens: Option<String>,
}

impl Process {
    pub(crate) fn of(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("it starts");
        let (sender, lines) = channel();
        if let Some(stdout) = child.stdout.take() {
            pump(stdout, sender.clone());
        }
        pump(child.stderr.take().expect("it is piped"), sender);
        Self {
            child,
            lines,
            listens: None,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it accepts and has written its pid file.
    pub(crate) fn is_running(&mut self) {
        let said = self.says("/logs/mosn.pid");
        let mut places = said
            .lines()
            .filter_map(|line| line.split_once(" listens on "));
        self.listens = places.next().map(|(_, place)| place.to_owned());
        assert!(said.contains("[stagemanager] state changed to 6"), "{said}");
    }

    /// Where its first listener accepts.
    pub(crate) fn address(&self) -> SocketAddr {
        let place = self.listens.as_deref().expect("it said where it listens");
        place.parse().expect("it listens on TCP")
    }

    /// Reads on until a line ends so, and returns what was read.
    pub(crate) fn says(&mut self, end: &str) -> String {
        self.reads(end, |line| line.trim_end().ends_with(end))
    }

    /// Reads on until a line has this in it, and returns what was read.
    pub(crate) fn says_part(&mut self, part: &str) -> String {
        self.reads(part, |line| line.contains(part))
    }

    fn reads(&mut self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut read = String::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("it never said {what:?} but:\n{read}");
            };
            read += &line;
            if is_it(&line) {
                return read;
            }
        }
    }

    /// Waits for its end, and returns the rest of what it says.
    pub(crate) fn ends(&mut self) -> (Option<i32>, String) {
        let code = self.code();
        (code, self.lines.iter().collect())
    }

    /// Looks until something is so, or the process has ended.
    pub(crate) fn makes(&mut self, what: &str, is_so: impl Fn() -> bool) {
        until(what, || {
            let ended = self.has_ended();
            let so = is_so();
            assert!(so || !ended, "it has ended before {what}");
            so
        });
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        let status = self.child.try_wait().expect("it is our child");
        status.is_some()
    }

    /// Sockets that it has open, those that listen included.
    pub(crate) fn sockets(&self) -> usize {
        let directory = format!("/proc/{}/fd", self.id());
        let links = fs::read_dir(directory)
            .expect("it runs")
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        links
            .filter(|link| link.to_string_lossy().starts_with("socket:"))
            .count()
    }

    /// CPU time that it has used, in the kernel too.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = format!("/proc/{}/stat", self.id());
        let stat = fs::read_to_string(stat).expect("it runs");
        // Its name, in brackets, may hold blanks.
        let (_, fields) = stat.rsplit_once(") ").expect("it is proc(5)'s");
        let ticks = fields.split(' ').skip(11).take(2);
        let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
        // USER_HZ is 100 wherever Linux runs.
        Duration::from_millis(ticks * 10)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.id()).expect("a pid is an i32");
        kill(Pid::from_raw(pid), signal).expect("it runs");
    }

    /// Waits for its end; `None` when a signal killed it.
    pub(crate) fn code(&mut self) -> Option<i32> {
        until("the end of the process", || self.has_ended());
        self.child.wait().expect("it is our child").code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Of a test that failed; otherwise it has ended.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Reads lines as they come, so that the process never waits for its reader.
fn pump(from: impl Read + Send + 'static, to: Sender<String>) {
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        loop {
            let mut line = String::new();
            match from.read_line(&mut line) {
                Ok(length) if length > 0 && to.send(line).is_ok() => {}
                _ => return,
            }
        }
    });
}
