//! What a killed process leaves behind does not keep the next one from starting.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;

use crate::home::{Home, configuration, listener};
use crate::peers::echo;

fn exchange(socket: &Path) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(b"hello")?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// A home with a listener on TCP and one on a unix socket, `app.sock`.
fn home() -> Home {
    let home = Home::new();
    let mut document = configuration("127.0.0.1:0", &echo().to_string());
    let mut local = listener("local", &home.path("app.sock").to_string_lossy());
    local["network"] = "unix".into();
    let listeners = document["servers"][0]["listeners"].as_array_mut();
    listeners.expect("it is a list").push(local);
    fs::write(home.path("conf/mosn.json"), document.to_string()).expect("it is ours");
    home
}

#[test]
fn a_killed_process_can_be_started_again() {
    let home = home();
    let (socket, pid_file) = (home.path("app.sock"), home.path("logs/mosn.pid"));
    let mut killed = home.started();
    assert_eq!(exchange(&socket).expect("it accepts"), "hello");
    killed.signal(Signal::SIGKILL);
    assert_eq!(killed.code(), None);
    assert!(socket.exists() && pid_file.exists());
    assert!(exchange(&socket).is_err(), "it is dead");

    let mut process = home.started();

    assert_eq!(exchange(&socket).expect("it accepts"), "hello");
    let pid = fs::read_to_string(&pid_file).expect("it runs");
    assert_eq!(pid, format!("{}\n", process.id()));
    process.signal(Signal::SIGTERM);
    assert_eq!(process.code(), Some(0));
    assert!(!socket.exists() && !pid_file.exists());
}

#[test]
fn stop_sees_the_end_of_a_process_whose_parent_does_not_ask_how_it_ended() {
    let home = home();
    let process = home.started();

    let output = home.command("stop").output().expect("it runs");

    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let pid = process.id();
    assert!(
        told.contains(&format!("stopped mosn process({pid}) successfully.")),
        "{told}"
    );
}

#[test]
fn stop_leaves_a_process_alone_that_has_begun_after_the_pid_file_was_written() {
    let home = home();
    let mut other = std::process::Command::new("sleep")
        .arg("600")
        .spawn()
        .expect("it starts");
    fs::create_dir(home.path("logs")).expect("it is ours");
    let path = home.path("logs/mosn.pid");
    fs::write(&path, other.id().to_string()).expect("it is ours");
    let file = fs::File::options()
        .write(true)
        .open(&path)
        .expect("it is ours");
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    file.set_modified(long_ago).expect("it is ours");

    let output = home.command("stop").output().expect("it runs");

    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let ended = other.try_wait().expect("it is our child");
    other.kill().expect("it is our child");
    other.wait().expect("it is our child");
    assert_eq!(ended, None);
    assert!(told.contains("is left alone"), "{told}");
}

#[test]
fn stop_finds_that_a_killed_process_is_gone() {
    let home = home();
    let mut killed = home.started();
    killed.signal(Signal::SIGKILL);
    killed.code();

    let output = home.command("stop").output().expect("it runs");

    assert_eq!(output.status.code(), Some(0));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let pid = killed.id();
    assert!(
        told.contains(&format!("process({pid}) is not existing")),
        "{told}"
    );
}
