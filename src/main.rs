//! The daemon on one screen.

use std::process::ExitCode;

use banyan::cli::arguments::Command;
use banyan::cli::{self, Exit};

fn main() -> ExitCode {
    let exit: Exit = match cli::parse(std::env::args_os()) {
        Ok(Command::Start(start)) => cli::start(&start),
        Ok(Command::Stop(stop)) => cli::stop(&stop),
        Ok(Command::Upgrade(upgrade)) => cli::upgrade(&upgrade),
        Ok(Command::Launch(launch)) => cli::launch(&launch),
        Ok(Command::Reload(reload)) => cli::reload(&reload.place, &reload.terms),
        Ok(Command::Status(status)) => cli::status(&status.place, status.json),
        Ok(Command::Explain(explain)) => cli::explain(&explain),
        Ok(Command::Change(change)) => cli::change(&change),
        Ok(Command::History(place)) => cli::history(&place),
        Ok(Command::Rollback(back)) => cli::rollback(back.version, &back.place, &back.terms),
        Ok(Command::Confirm(confirm)) => cli::confirm(&confirm),
        Ok(Command::Drift(place)) => cli::drift(&place),
        Ok(Command::Check(check)) => cli::check(&check),
        Ok(Command::Schema) => cli::schema(),
        Ok(Command::Load(load)) => cli::load(&load),
        Ok(Command::Origin(origin)) => cli::origin(&origin),
        Ok(Command::Demo(demo)) => cli::demo(&demo),
        Ok(Command::Version(version)) => cli::version(&version),
        Ok(Command::Completions { shell }) => cli::completions(shell),
        Err(exit) => exit,
    };
    exit.into()
}
