//! The binary, from outside: command line, exit codes, signals, logs, and the report's run.

mod admin;
mod check;
mod cli;
mod counts;
mod descriptors;
mod drain;
#[cfg(feature = "fault-injection")]
mod faults;
mod health;
mod home;
mod http;
mod life;
mod load;
mod logs;
mod moves;
mod moves_auto;
mod moves_crowd;
#[cfg(feature = "fault-injection")]
mod moves_faults;
mod moves_idle;
mod moves_rpc;
mod moves_trunks;
mod package;
mod peers;
mod protocols;
mod refused;
mod report;
mod rpc;
mod stale;
mod systemd;
mod systemd_doors;
mod upgrade;
mod upgrade_doors;
#[cfg(feature = "fault-injection")]
mod upgrade_faults;
#[cfg(feature = "fault-injection")]
mod upgrade_means;
mod upgrade_starts;
