//! Upgrades for which the machine has not the means, or which another user wants; and both processes
//! killed at once.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use nix::unistd::{Uid, geteuid};

use crate::home::{Home, Process};
use crate::peers::Client;
use crate::upgrade::{Load, home, inode, pid_in, running, starting};
use crate::upgrade_faults::{NEW, OLD};

/// Both die at the same message, and a process is started on what they leave behind.
fn both_killed(message: &str, sender_is_old: bool) {
    let (home, to) = home();
    let (send, receive) = (
        format!("send:{message}:die"),
        format!("receive:{message}:kill"),
    );
    let (of_old, of_new) = match sender_is_old {
        true => (send, receive),
        false => (receive, send),
    };
    let mut old = starting(&home, &[("BANYAN_UPGRADE_FAULT", &of_old)]);
    old.says("/logs/mosn.pid");
    let mut new = starting(&home, &[("BANYAN_UPGRADE_FAULT", &of_new)]);
    assert_eq!((old.code(), new.code()), (None, None), "{message}");

    let next = running(&home);

    assert_eq!(pid_in(&home), Some(next.id()), "{message}");
    let served = Client::served(to).and_then(Client::finish);
    served.expect("it serves");
    let after = running(&home);
    assert_eq!(pid_in(&home), Some(after.id()), "{message}");
}

#[test]
fn both_may_be_killed_at_any_step_and_the_next_starts() {
    OLD.iter().for_each(|message| both_killed(message, true));
    NEW.iter().for_each(|message| both_killed(message, false));
}

/// One upgrade that fails and says this, and one that does not, whose process is returned.
fn fails(home: &Home, old: &mut Process, mut new: Process, said: &str) -> Process {
    let before = (inode(home), pid_in(home));
    let (code, all) = new.ends();
    assert_eq!(code, Some(76), "{all}");
    assert!(all.contains(said), "{said}: {all}");
    assert_eq!((inode(home), pid_in(home)), before);
    assert!(!old.has_ended());
    let next = running(home);
    assert_eq!(pid_in(home), Some(next.id()));
    assert_eq!(old.code(), Some(0));
    next
}

#[test]
fn a_full_disk_fails_an_upgrade_and_changes_nothing() {
    let (home, to) = home();
    let mut old = running(&home);
    let load = Load::on(to);
    let new = starting(&home, &[("BANYAN_UPGRADE_FAULT", "receive:offer:full")]);

    let _next = fails(&home, &mut old, new, "No space left on device");

    let (_, wrong) = load.ends();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn a_disk_that_is_full_at_the_commit_costs_the_pid_file_alone() {
    let (home, to) = home();
    let mut old = running(&home);
    let before = inode(&home);
    let load = Load::on(to);
    let mut new = starting(&home, &[("BANYAN_UPGRADE_FAULT", "send:accepting:full")]);

    new.says_part("write pid file error: No space left on device");

    assert_eq!(old.code(), Some(0));
    assert_ne!(inode(&home), before);
    assert_eq!(pid_in(&home), None);
    let next = running(&home);
    assert_eq!(pid_in(&home), Some(next.id()));
    assert_eq!(new.code(), Some(0));
    let (_, wrong) = load.ends();
    assert_eq!(wrong, Vec::<String>::new());
}

/// A process of another user, which has a copy of the program where it may read it.
fn of_nobody(home: &Home) -> Process {
    let program: PathBuf = home.path("banyan");
    fs::copy(env!("CARGO_BIN_EXE_banyan"), &program).expect("there is room");
    let all = fs::Permissions::from_mode(0o755);
    for name in ["", "conf"] {
        fs::set_permissions(home.path(name), all.clone()).expect("it is ours");
    }
    let mut command = std::process::Command::new(program);
    command
        .env_clear()
        .arg("start")
        .arg("-c")
        .arg(home.path("conf/mosn.json"));
    command.args(["--log-output", "stderr"]).uid(65_534);
    command.stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    Process::of(&mut command)
}

#[test]
fn another_user_can_neither_take_over_nor_harm() {
    if geteuid() != Uid::from_raw(0) {
        println!("only root can be two users");
        return;
    }
    let (home, _) = home();
    let mut old = running(&home);
    let socket = home.path("conf/reconfig.sock");

    // As it is, it may not even be connected to.
    let denied = of_nobody(&home);
    let mut old = fails(&home, &mut old, denied, "Permission denied");

    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).expect("it is ours");
    let refused = of_nobody(&home);
    old.says_part("a process of user 65534 called");
    let _next = fails(&home, &mut old, refused, "upgrade failed");
}
