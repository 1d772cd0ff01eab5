//! Real node processes on loopback: founding, replication, crashes, late joiners, and bad input.

mod bad_input;
mod conflict;
mod courier;
mod crash;
mod decision;
mod explain;
mod forks;
mod founding;
mod guards;
mod governance;
mod harness;
mod joining;
mod json;
mod refounding;
mod replication;
mod roster_fork;
mod rosters;
#[path = "../schema/mod.rs"]
mod schema;
mod transcripts;
