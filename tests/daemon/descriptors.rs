//! A process that runs out of descriptors.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::home::{Home, Process, configuration, until};
use crate::peers::{Client, echo};

/// A process that may open so many descriptors and does not spare any.
fn limited(home: &Home, descriptors: u32) -> Process {
    let daemon = home.command("start --log-output stderr --max-connections 10000");
    let mut command = Command::new("/bin/sh");
    let script = format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"");
    command.env_clear().arg("-c").arg(script);
    command.arg(daemon.get_program()).args(daemon.get_args());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Process::of(&mut command)
}

/// Clients that come faster than they can be served, and stay.
struct Crowd {
    going: Arc<AtomicBool>,
    coming: JoinHandle<Vec<io::Result<TcpStream>>>,
}

impl Crowd {
    fn coming(to: SocketAddr) -> Self {
        let going = Arc::new(AtomicBool::new(true));
        let goes_on = Arc::clone(&going);
        let coming = thread::spawn(move || {
            let mut crowd: Vec<_> = (0..150).map(|_| TcpStream::connect(to)).collect();
            while goes_on.load(Relaxed) {
                crowd.push(TcpStream::connect(to));
                thread::sleep(Duration::from_millis(10));
            }
            crowd
        });
        Self { going, coming }
    }

    fn leave(self) {
        self.going.store(false, Relaxed);
        self.coming.join().expect("it does not panic");
    }
}

#[test]
fn a_lack_of_descriptors_spares_connections_cpu_and_log() {
    // With an odd one left, a client is accepted for whom there is no upstream socket.
    for descriptors in [150, 151] {
        lack(descriptors);
    }
}

fn lack(descriptors: u32) {
    let home = Home::of(&configuration("127.0.0.1:0", &echo().to_string()));
    let mut process = limited(&home, descriptors);
    process.is_running();
    let to = process.address();
    let client = |_| Client::served(to).expect("it accepts");
    let mut live: Vec<_> = (0..10).map(client).collect();

    let crowd = Crowd::coming(to);

    // Said of sockets that cannot be accepted and of those that cannot be opened alike.
    let shortage = "Too many open files (os error 24)";
    process.says_part(shortage);
    let (begun, cpu) = (Instant::now(), process.cpu());
    // They are a second apart, though clients come all the time.
    let said = process.says_part(shortage) + &process.says_part(shortage);
    for client in &mut live {
        client.exchange().expect("it goes on");
    }
    let (elapsed, cpu) = (begun.elapsed(), process.cpu() - cpu);
    assert_eq!(said.lines().count(), 2, "once a second at most: {said}");
    assert!(
        elapsed > Duration::from_millis(1_500),
        "{elapsed:?}: {said}"
    );
    assert!(cpu < elapsed / 5, "{cpu:?} in {elapsed:?}");
    crowd.leave();
    until("a new client is served", || Client::served(to).is_ok());
    for client in live {
        client.finish().expect("it goes on");
    }
    process.signal(Signal::SIGTERM);
    assert_eq!(process.code(), Some(0));
}
