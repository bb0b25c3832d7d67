//! The actors, one a file: mailboxes and ownership; decisions are made on lower floors.
//!
//! Who sends what to whom is one table, in `ARCHITECTURE.md`.

mod acceptor;
mod accounts;
pub mod admin;
mod arrivals;
mod aside;
mod checks;
mod cluster;
mod clusters;
mod connection;
mod connections;
mod emigration;
pub mod explain;
#[cfg(any(test, feature = "fault-injection"))]
pub mod fault;
mod findings;
mod hall;
mod health_checker;
mod lane;
mod listeners;
mod logger;
pub mod metrics;
mod mover;
mod parking;
mod resolver;
mod resolvers;
pub mod root;
mod routers;
mod setting;
mod slot;
mod spoken;
pub mod subscribers;
pub mod supervisor;
mod threads;
pub mod upgrade;
pub mod view;
mod worker;
mod workers;
