//! The daemon on one screen.

use std::process::ExitCode;

use banyan::cli::arguments::Command;
use banyan::cli::{self, Exit};

fn main() -> ExitCode {
    let exit: Exit = match cli::parse(std::env::args_os()) {
        Ok(Command::Start(start)) => cli::start(&start),
        Ok(Command::Stop(stop)) => cli::stop(&stop),
        Ok(Command::Upgrade(upgrade)) => cli::upgrade(&upgrade),
        Ok(Command::Reload) => cli::reload(),
        Ok(Command::Check(check)) => cli::check(&check),
        Ok(Command::Schema) => cli::schema(),
        Ok(Command::Demo(demo)) => cli::demo(&demo),
        Ok(Command::Version(version)) => cli::version(&version),
        Ok(Command::Completions { shell }) => cli::completions(shell),
        Err(exit) => exit,
    };
    exit.into()
}
