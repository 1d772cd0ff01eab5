//! Founding an alliance offline: files in, files out, and in words what a root key signs. Nothing here needs a node.

pub mod charter;
pub mod file;
pub mod genesis;
pub mod log;
pub mod root;
pub mod roster;
