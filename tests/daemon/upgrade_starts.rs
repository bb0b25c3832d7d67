//! What the running process starts to take over, and what becomes of that.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, geteuid};

use crate::home::{Home, Process, until};
use crate::peers::Client;
use crate::upgrade::{Orphan, SHORT, home, inode, pid_in, program, running, starting};

/// Two upgrades are asked for at once: a process that is started is waited for.
fn asked(home: &Home, flags: &str) -> Child {
    let mut command = home.command(&format!("upgrade --wait {flags}"));
    command.spawn().expect("it starts")
}

/// How a command has ended, and what it has said.
fn ended(command: Child) -> (Option<i32>, String) {
    let output = command.wait_with_output().expect("it is our child");
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told).into_owned();
    (output.status.code(), told)
}

fn pid(text: &str) -> Pid {
    Pid::from_raw(text.trim().parse().expect("it is a pid"))
}

/// Does nothing, and says in the file `started` which process it is.
fn silent(home: &Home) -> String {
    let told = home.path("started").display().to_string();
    program(
        home,
        &format!("echo $$ > {told}.tmp; mv {told}.tmp {told}; exec sleep 600"),
    )
}

#[test]
fn one_that_was_started_and_is_silent_keeps_further_ones_away_until_it_is_killed() {
    let (home, to) = home();
    let _orphan = Orphan(&home);
    let mut old = running(&home);
    let first = asked(&home, &format!("--binary {}", silent(&home)));
    until("it runs", || home.path("started").exists());
    let started = fs::read_to_string(home.path("started")).expect("it is there");
    let started = started.trim();

    let (code, told) = ended(asked(&home, ""));

    assert_eq!(code, Some(75), "{told}");
    let why = format!("process {started} is busy: it was started to take over");
    assert!(told.contains(&why), "{told}");
    let (code, told) = ended(first);
    assert_eq!(code, Some(76), "{told}");
    assert!(
        told.contains("was not ready within 5s, and was killed"),
        "{told}"
    );
    until("it is gone", || kill(pid(started), None).is_err());
    assert_eq!(pid_in(&home), Some(old.id()));
    let (code, told) = ended(asked(&home, ""));
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(old.code(), Some(0));
    let served = Client::served(to).and_then(Client::finish);
    served.expect("it serves");
}

#[test]
fn one_that_is_silent_is_killed_when_another_has_taken_over_and_the_outcome_is_its_own() {
    let (home, _) = home();
    let mut old = running(&home);
    let asked = asked(&home, &format!("--binary {}", silent(&home)));
    until("it runs", || home.path("started").exists());
    let started = fs::read_to_string(home.path("started")).expect("it is there");

    let new = running(&home);

    let (code, told) = ended(asked);
    assert_eq!(code, Some(76), "{told}");
    let why = format!(
        "process {} has taken over; process {}",
        new.id(),
        started.trim()
    );
    assert!(told.contains(&why), "{told}");
    assert_eq!(old.code(), Some(0));
    assert_eq!(pid_in(&home), Some(new.id()));
    until("it is gone", || kill(pid(&started), None).is_err());
}

#[test]
fn of_many_commands_at_once_one_upgrades_and_the_others_are_busy() {
    let (home, _) = home();
    let _orphan = Orphan(&home);
    let mut old = running(&home);
    let all: Vec<_> = (0..6).map(|_| asked(&home, "")).collect();
    let mut codes: Vec<_> = all.into_iter().map(|one| ended(one).0).collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, 75, 75, 75, 75, 75].map(Some));
    assert_eq!(old.code(), Some(0));
}

#[test]
fn a_script_that_starts_the_program_is_waited_for() {
    let (home, _) = home();
    let _orphan = Orphan(&home);
    let mut old = running(&home);
    let binary = env!("CARGO_BIN_EXE_banyan");
    let script = program(&home, &format!("{binary} \"$@\"\nexit $?"));
    let (code, told) = ended(asked(&home, &format!("--binary {script}")));
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(old.code(), Some(0));
}

#[test]
fn a_program_that_is_gone_is_named_and_one_that_was_called_otherwise_is_found() {
    let (home, _) = home();
    let _orphan = Orphan(&home);
    let copy = home.path("copy");
    fs::copy(env!("CARGO_BIN_EXE_banyan"), &copy).expect("there is room");
    let mut command = Command::new(&copy);
    // Who called it so has looked it up himself.
    command.arg0("banyan-edge").env_clear().envs(SHORT);
    command.args(["start", "--log-output", "stderr", "-c"]);
    command.arg(home.path("conf/mosn.json"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut old = Process::of(&mut command);
    old.says("/logs/mosn.pid");
    let before = (inode(&home), pid_in(&home));
    let away = home.path("away");
    fs::rename(&copy, &away).expect("it is ours");

    let (code, told) = ended(asked(&home, ""));

    assert_eq!(code, Some(76), "{told}");
    let missing = format!("{}: No such file", copy.display());
    assert!(told.contains(&missing), "{told}");
    assert_eq!((inode(&home), pid_in(&home)), before);
    fs::rename(&away, &copy).expect("it is ours");
    let (code, told) = ended(asked(&home, ""));
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(old.code(), Some(0));
}

#[test]
fn where_nothing_runs_that_is_said() {
    let (home, _) = home();
    let (code, told) = ended(asked(&home, ""));
    assert_eq!(code, Some(76), "{told}");
    assert!(
        told.contains("no process that can be upgraded runs here"),
        "{told}"
    );
}

/// A process that is the first of its container.
fn contained(home: &Home) -> Process {
    let inside = home.command("start --log-output stderr");
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child"]);
    command.arg(inside.get_program()).args(inside.get_args());
    command.env_clear().envs(SHORT);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process::of(&mut command);
    process.says("/logs/mosn.pid");
    process
}

fn may_contain() -> bool {
    let mut probe = Command::new("unshare");
    let probe = probe.args(["--pid", "--fork", "true"]).status();
    geteuid() == Uid::from_raw(0) && probe.is_ok_and(|status| status.success())
}

#[test]
fn two_containers_hand_over_though_both_processes_have_the_same_number() {
    if !may_contain() {
        println!("no namespaces can be made here");
        return;
    }
    let (home, to) = home();
    let mut old = contained(&home);
    assert_eq!(pid_in(&home), Some(1));

    let _new = contained(&home);

    assert_eq!(old.code(), Some(0));
    assert_eq!(pid_in(&home), Some(1), "the pid file is the successor's");
    let served = Client::served(to).and_then(Client::finish);
    served.expect("it serves");
}

#[test]
fn the_first_process_of_a_container_starts_no_successor_that_would_end_with_it() {
    if !may_contain() {
        println!("no namespaces can be made here");
        return;
    }
    let (home, to) = home();
    let _process = contained(&home);
    let before = inode(&home);
    let (code, told) = ended(asked(&home, ""));
    assert_eq!(code, Some(76), "{told}");
    assert!(told.contains("process 1 of its container"), "{told}");
    assert_eq!(inode(&home), before);
    let served = Client::served(to).and_then(Client::finish);
    served.expect("it serves");
}

/// A process, and the successor that it has started, which accepts and has not proved itself.
fn on_probation(home: &Home) -> (Process, Pid) {
    let mut old = starting(home, &[("BANYAN_UPGRADE_PROBATION_S", "600")]);
    old.says("/logs/mosn.pid");
    let output = home.command("upgrade").output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let new = said.split(' ').nth(1).unwrap_or_default();
    // Its lines go to the same output.
    old.says_part("[stagemanager] state changed to 6");
    (old, pid(new))
}

#[test]
fn a_predecessor_that_is_told_to_end_ends_the_upgrade_and_the_service() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (home, _) = home();
        let (mut old, new) = on_probation(&home);

        old.signal(signal);

        let why = format!("process {} was told to end", old.id());
        old.says_part(&format!("the upgrade failed: {why}"));
        assert_eq!(old.code(), Some(0));
        until("the new one is gone", || kill(new, None).is_err());
        assert_eq!(pid_in(&home), None);
        assert!(!home.path("conf/reconfig.sock").exists());
    }
}

#[test]
fn a_process_that_was_started_and_has_not_called_ends_with_its_starter() {
    let (home, _) = home();
    let mut old = running(&home);
    let asked = asked(&home, &format!("--binary {}", silent(&home)));
    until("it runs", || home.path("started").exists());
    let started = fs::read_to_string(home.path("started")).expect("it is there");

    old.signal(Signal::SIGINT);

    assert_eq!(old.code(), Some(0));
    until("it is gone", || kill(pid(&started), None).is_err());
    assert_eq!(ended(asked).0, Some(76));
}

#[test]
fn a_successor_goes_on_alone_at_once_also_when_it_is_not_whole_yet() {
    // Ten times, as it is whole within milliseconds.
    for _ in 0..10 {
        let (home, to) = home();
        let mut old = running(&home);
        let mut new = starting(&home, &[("BANYAN_UPGRADE_TIMEOUT_S", "600")]);
        new.says_part("active reconfiguring");

        old.signal(Signal::SIGKILL);

        assert_eq!(old.code(), None);
        new.says("/logs/mosn.pid");
        let served = Client::served(to).and_then(Client::finish);
        served.expect("it serves");
    }
}

#[test]
fn a_successor_that_is_told_to_end_says_so_and_the_predecessor_goes_on() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (home, to) = home();
        let (mut old, new) = on_probation(&home);

        kill(new, signal).expect("it runs");

        old.says_part(&format!(
            "the upgrade failed: process {new} was told to end"
        ));
        until("the new one is gone", || kill(new, None).is_err());
        assert_eq!(pid_in(&home), Some(old.id()));
        let served = Client::served(to).and_then(Client::finish);
        served.expect("it serves");
    }
}

#[test]
fn a_successor_that_wants_no_upgrade_says_so() {
    let (home, _) = home();
    let old = running(&home);
    let good = fs::read_to_string(home.path("conf/mosn.json")).expect("it is ours");
    let other = home.path("conf/other.json");
    let document = good.replacen('{', "{\"disable_upgrade\":true,", 1);
    fs::write(&other, document).expect("it is ours");
    let (code, told) = ended(asked(&home, &format!("--config {}", other.display())));
    assert_eq!(code, Some(76), "{told}");
    assert!(told.contains("`disable_upgrade`"), "{told}");
    assert_eq!(pid_in(&home), Some(old.id()));
}

#[test]
fn a_file_that_may_not_be_executed_is_named() {
    let (home, _) = home();
    let old = running(&home);
    let path = home.path("text");
    fs::write(&path, "#!/bin/sh\n").expect("it is ours");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("it is ours");
    let (code, told) = ended(asked(&home, &format!("--binary {}", path.display())));
    assert_eq!(code, Some(76), "{told}");
    let denied = format!("{}: Permission denied", path.display());
    assert!(told.contains(&denied), "{told}");
    assert_eq!(pid_in(&home), Some(old.id()));
}
