//! Configurations from files: those an operator copies, and those that must be refused.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod arbitrary;
mod bad;
mod docs;
mod documents;
mod examples;
mod health;
mod http;
mod metrics;
mod plans;
mod routes;
mod schema;
