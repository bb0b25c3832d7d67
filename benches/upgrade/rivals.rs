//! How each proxy is started, and how it is replaced as its manual says.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::json;
use tempfile::TempDir;

use crate::load::{Front, Origins};
use crate::running;

/// A row of the comparison.
pub(crate) struct Rival {
    pub(crate) name: &'static str,
    /// How it is replaced.
    pub(crate) how: &'static str,
    pub(crate) start: fn(&Path, Origins) -> Box<dyn Proxy>,
}

pub(crate) const RIVALS: [Rival; 4] = [
    Rival {
        name: "banyan",
        how: "a second process, which takes over",
        start: |_, origins| Box::new(Banyan::start(origins)),
    },
    Rival {
        name: "haproxy",
        how: "SIGUSR2 to the master; old workers may live as long as their connections",
        start: |program, origins| Box::new(Running::haproxy(program, origins)),
    },
    Rival {
        name: "nginx",
        how: "SIGUSR2, then SIGQUIT to the old master; worker_shutdown_timeout 2s, since an old master forbids the next upgrade",
        start: |program, origins| Box::new(Running::nginx(program, origins)),
    },
    Rival {
        name: "envoy",
        how: "the next restart epoch; drain 1 s, parent shut down after 2 s",
        start: |program, origins| Box::new(Running::envoy(program, origins)),
    },
];

/// A proxy that runs.
pub(crate) trait Proxy {
    fn front(&self) -> Front;
    /// Returns when the new one serves.
    fn replace(&mut self);
    /// Processes that live.
    fn processes(&mut self) -> usize;
}

/// Its program; a variable of its name in capitals comes first.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    if name == "banyan" {
        return Some(PathBuf::new());
    }
    if let Some(program) = std::env::var_os(name.to_uppercase()) {
        return Some(program.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    all.map(|at| at.join(name)).find(|at| at.is_file())
}

struct Banyan {
    home: running::Home,
    process: Option<running::Process>,
    old: Vec<running::Process>,
}

impl Banyan {
    fn start(origins: Origins) -> Self {
        let home = running::Home::new(origins);
        let process = Some(home.started());
        let old = vec![];
        Self { home, process, old }
    }
}

impl Proxy for Banyan {
    fn front(&self) -> Front {
        self.home.front()
    }

    fn replace(&mut self) {
        let successor = self.home.started();
        self.old.extend(self.process.replace(successor));
    }

    fn processes(&mut self) -> usize {
        self.old.retain_mut(|old| !old.has_ended());
        1 + self.old.len()
    }
}

/// A rival, all of whose processes are one group.
struct Running {
    directory: TempDir,
    front: Front,
    first: Child,
    /// The group of all its processes.
    group: i32,
    /// Others that were started.
    others: Vec<Child>,
    replace: fn(&mut Self),
    program: PathBuf,
}

fn free() -> SocketAddr {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    free.expect("a port is free")
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        sleep(Duration::from_millis(10));
    }
}

fn accepts(to: SocketAddr) -> bool {
    TcpStream::connect(to).is_ok()
}

fn signal(pid: u32, signal: Signal) {
    // It may have ended.
    let _ = kill(Pid::from_raw(pid.try_into().expect("it is a pid")), signal);
}

impl Running {
    fn start(
        program: &Path,
        text: impl FnOnce(&Path, Front) -> String,
        arguments: impl FnOnce(&Path) -> Vec<String>,
        replace: fn(&mut Self),
    ) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (http, tcp) = (free(), free());
        let admin = None;
        let front = Front { http, tcp, admin };
        let file = directory.path().join("conf");
        fs::write(&file, text(directory.path(), front)).expect("it is ours");
        let mut command = Command::new(program);
        command.args(arguments(&file)).process_group(0);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let first = command.spawn().expect("it starts");
        let running = Self {
            directory,
            front,
            group: i32::try_from(first.id()).expect("a pid is an i32"),
            first,
            others: vec![],
            replace,
            program: program.to_owned(),
        };
        until("it accepts", || accepts(http) && accepts(tcp));
        running
    }

    fn haproxy(program: &Path, origins: Origins) -> Self {
        let text = |place: &Path, front: Front| {
            let (http, tcp, place) = (front.http, front.tcp, place.display());
            let (pages, numbers) = (origins.http, origins.numbers);
            format!(
                "global\n nbthread 2\n stats socket {place}/stats mode 600 level admin expose-fd listeners\n\
                 defaults\n timeout connect 5s\n timeout client 1h\n timeout server 1h\n timeout http-keep-alive 1h\n\
                 listen http\n mode http\n bind {http}\n server origin {pages}\n\
                 listen tcp\n mode tcp\n bind {tcp}\n server origin {numbers}\n"
            )
        };
        let arguments = |file: &Path| {
            ["-W", "-db", "-f"]
                .map(str::to_owned)
                .into_iter()
                .chain([shown(file)])
                .collect()
        };
        Self::start(program, text, arguments, |running| {
            signal(running.first.id(), Signal::SIGUSR2);
        })
    }

    fn nginx(program: &Path, origins: Origins) -> Self {
        let text = |place: &Path, front: Front| {
            let (http, tcp, place) = (front.http, front.tcp, place.display());
            let (pages, numbers) = (origins.http, origins.numbers);
            format!(
                "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n\
                 pid {place}/pid; error_log /dev/null; worker_processes 2; worker_shutdown_timeout 2s;\n\
                 events {{ worker_connections 1024; }}\n\
                 http {{ access_log off; keepalive_timeout 1h; keepalive_requests 1000000000; client_body_temp_path {place}/b;\n\
                  proxy_temp_path {place}/p; fastcgi_temp_path {place}/f; uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;\n\
                  upstream pages {{ server {pages}; keepalive 16; }}\n\
                  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}\n\
                  server {{ listen {http}; location / {{ proxy_pass http://pages; proxy_http_version 1.1;\n\
                   proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; }} }} }}\n\
                 stream {{ server {{ listen {tcp}; proxy_pass {numbers}; proxy_timeout 1h; }} }}\n"
            )
        };
        let arguments = |file: &Path| {
            vec![
                "-e".to_owned(),
                "/dev/null".to_owned(),
                "-c".to_owned(),
                shown(file),
            ]
        };
        let mut nginx = Self::start(program, text, arguments, |running| {
            let file = running.directory.path().join("pid");
            let pid = || fs::read_to_string(&file).ok()?.trim().parse::<u32>().ok();
            let old = pid().expect("it runs");
            // Ignored for as long as an older master lives.
            until("another master", || {
                signal(old, Signal::SIGUSR2);
                sleep(Duration::from_millis(200));
                pid().is_some_and(|pid| pid != old)
            });
            signal(old, Signal::SIGQUIT);
        });
        // In the foreground it knows no upgrades, and so it has a session of its own.
        let file = nginx.directory.path().join("pid");
        let pid = || fs::read_to_string(&file).ok()?.trim().parse().ok();
        until("its pid file", || pid().is_some());
        nginx.group = pid().expect("it is there");
        nginx
    }

    fn envoy(program: &Path, origins: Origins) -> Self {
        let text = |_: &Path, front: Front| envoy(front, origins);
        let arguments = |file: &Path| epoch(file, 0);
        Self::start(program, text, arguments, |running| {
            let next = running.others.len() + 1;
            let file = running.directory.path().join("conf");
            let mut command = Command::new(&running.program);
            command
                .args(epoch(&file, next))
                .process_group(running.group);
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            running.others.push(command.spawn().expect("it starts"));
            // An epoch that comes before the parent has gone is refused.
            sleep(Duration::from_millis(3_500));
            let last = running.others.last_mut().expect("it was started");
            let ended = last.try_wait().expect("it is our child");
            assert!(ended.is_none(), "epoch {next} has ended: {ended:?}");
        })
    }
}

fn shown(file: &Path) -> String {
    file.display().to_string()
}

fn epoch(file: &Path, epoch: usize) -> Vec<String> {
    let base = std::process::id() % 30_000;
    let text = format!(
        "--base-id {base} --restart-epoch {epoch} --concurrency 2 --log-level off --drain-time-s 1 \
         --parent-shutdown-time-s 2 --config-path {}",
        file.display()
    );
    text.split_whitespace().map(str::to_owned).collect()
}

fn envoy(front: Front, origins: Origins) -> String {
    let place = |address: SocketAddr| {
        json!({ "socket_address": {
            "address": address.ip().to_string(), "port_value": address.port() } })
    };
    let cluster = |name: &str, host: SocketAddr| {
        let endpoint = json!({ "endpoint": { "address": place(host) } });
        json!({ "name": name, "type": "STATIC", "connect_timeout": "5s",
                "load_assignment": { "cluster_name": name,
                    "endpoints": [{ "lb_endpoints": [endpoint] }] } })
    };
    let typed = |name: &str| format!("type.googleapis.com/envoy.extensions.filters.{name}");
    let manager = json!({ "name": "http", "typed_config": {
        "@type": typed("network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "http", "upgrade_configs": [{ "upgrade_type": "websocket" }],
        "http_filters": [{ "name": "router", "typed_config": { "@type": typed("http.router.v3.Router") } }],
        "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"],
            "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "http", "timeout": "0s" } }] }] } } });
    let relay = json!({ "name": "tcp", "typed_config": {
        "@type": typed("network.tcp_proxy.v3.TcpProxy"), "stat_prefix": "tcp", "cluster": "numbers" } });
    let listener = |name: &str, address: SocketAddr, filter| json!({ "name": name, "address": place(address), "filter_chains": [{ "filters": [filter] }] });
    let document = json!({ "static_resources": {
        "listeners": [listener("http", front.http, manager), listener("tcp", front.tcp, relay)],
        "clusters": [cluster("http", origins.http), cluster("numbers", origins.numbers)] } });
    document.to_string()
}

impl Proxy for Running {
    fn front(&self) -> Front {
        self.front
    }

    fn replace(&mut self) {
        (self.replace)(self);
    }

    fn processes(&mut self) -> usize {
        let group = self.group.to_string();
        let is_of_it = |entry: std::io::Result<fs::DirEntry>| {
            let stat = fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
            // Its name, in brackets, may hold blanks; a zombie is none.
            let (_, rest) = stat.rsplit_once(") ")?;
            let mut fields = rest.split(' ');
            let (state, of) = (fields.next()?, fields.nth(1)?);
            (state != "Z" && of == group).then_some(())
        };
        let all = fs::read_dir("/proc").expect("it is there");
        all.filter_map(is_of_it).count()
    }
}

/// However the comparison ends, also by a panic.
impl Drop for Running {
    fn drop(&mut self) {
        // All of them are ours.
        let _ = killpg(Pid::from_raw(self.group), Signal::SIGKILL);
        for child in self.others.iter_mut().chain([&mut self.first]) {
            let _reaped = child.wait();
        }
    }
}
