//! What only a process does: commands, signals, pid file, exit codes.

mod admin;
pub mod arguments;
mod check;
mod client;
pub mod demo;
mod exit;
mod explain;
#[cfg(feature = "fault-injection")]
mod fault;
mod gates;
mod go_flags;
pub mod launch;
mod levels;
mod life;
mod limits;
pub mod load;
mod logging;
mod memory;
pub mod origin;
pub mod paths;
pub mod pid_file;
mod print;
mod remote;
pub mod settings;
pub mod signals;
mod source;
mod start;
mod stop;
mod systemd;
mod tree;
mod upgrade;
mod write_back;

use std::ffi::OsString;
use std::io;

use clap::{CommandFactory, Parser};

use self::arguments::{Command, Demo, Program, Show};
pub use self::check::check;
pub use self::exit::Exit;
pub use self::explain::explain;
pub use self::launch::launch;
pub use self::load::load;
pub use self::origin::origin;
pub use self::remote::{change, confirm, drift, history, reload, rollback, status};
pub use self::start::start;
pub use self::stop::stop;
pub use self::upgrade::upgrade;

/// What the command line asks for.
///
/// # Errors
///
/// How the process ends instead: help and version have been printed, or what is wrong.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, Exit> {
    let mut program = Program::command();
    program.build();
    let arguments = go_flags::canonical(&program, "start", arguments);
    if arguments.len() < 2 {
        return Err(print::say(&program.render_help()));
    }
    Program::try_parse_from(arguments)
        .map(|program| program.command)
        .map_err(|error| {
            // Who cannot be told is told by the exit status.
            let _untold = error.print();
            match error.use_stderr() {
                true => Exit::Usage,
                false => Exit::Normal,
            }
        })
}

/// The arguments of this process in the form that [`parse`] reads.
fn canonical_arguments() -> Vec<OsString> {
    let mut program = Program::command();
    program.build();
    go_flags::canonical(&program, "start", std::env::args_os())
}

/// `banyan demo`
#[must_use]
pub fn demo(arguments: &Demo) -> Exit {
    let mode = match arguments.once {
        true => demo::Mode::Once,
        false => demo::Mode::Serve,
    };
    let mut out = io::stdout();
    let run = demo::run(mode, &mut out);
    match actix_rt::System::new().block_on(run) {
        Ok(()) => Exit::Normal,
        Err(error) => print::refuse(&format_args!("demo: {error}"), Exit::Failed),
    }
}

/// `banyan version`
#[must_use]
pub fn version(arguments: &Show) -> Exit {
    let version = env!("CARGO_PKG_VERSION");
    if !arguments.json {
        return print::say(&format_args!("banyan version {version}\n"));
    }
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let object = serde_json::json!({
        "name": "banyan", "version": version, "os": os, "arch": arch,
    });
    print::say(&format_args!("{object}\n"))
}

/// `banyan schema`
#[must_use]
pub fn schema() -> Exit {
    print::say(&format_args!("{:#}\n", crate::config::schema()))
}

/// `banyan completions`
#[must_use]
pub fn completions(shell: clap_complete::Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Program::command(), "banyan", &mut script);
    print::say(&String::from_utf8_lossy(&script))
}
