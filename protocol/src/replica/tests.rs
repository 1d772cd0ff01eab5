//! The replica, by stories: several of them over a network that delays, loses, repeats and reorders, with crashes.

mod charter;
mod confirm;
mod carried;
mod limbo;
mod lone;
mod receipt;
mod replay;
mod rules;
mod silence;
mod stories;
mod sync;
mod versions;
mod wake;
mod witness;
mod world;
mod write;
