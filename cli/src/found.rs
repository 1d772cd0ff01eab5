//! Founding and governing an alliance offline: files in, files out, and in words what a root key signs. Nothing that a root
//! key signs needs a node.

pub mod charter;
pub mod file;
pub mod genesis;
pub mod log;
pub mod motion;
pub mod root;
pub mod roster;
pub mod vote;
