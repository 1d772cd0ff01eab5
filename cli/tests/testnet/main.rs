//! `comity testnet` with real processes: testnets that stay, and exercises from scenario to report.

mod bad_input;
mod exercise;
mod run;
#[path = "../schema/mod.rs"]
mod schema;
mod sim;
mod trust;
mod up;
