//! The laboratory of Comity: alliances of real node processes on one machine, the links between them, and exercises
//! that break both on purpose.
//!
//! A testnet runs the product's own binary and talks to each node over its own socket, as an operator would. What it
//! adds is what an operator does not have: every ordered pair of nodes is joined through a [`relay`] port that can be
//! cut, a [`scenario`] that says who writes and what breaks when, and a [`report`] of what was lost and what is covered.

pub mod countries;
pub mod draft;
pub mod exercise;
pub mod files;
pub mod formats;
pub mod kiel;
pub mod processes;
pub mod relay;
pub mod report;
pub mod scenario;
pub mod sim;
pub mod vfs;
pub mod wire;
