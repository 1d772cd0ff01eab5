//! The edge of Comity: what connects the pure replica of `comity-protocol` to disk, network and people.

pub mod api;
pub mod client;
pub mod config;
pub mod logging;

pub mod blame;
pub mod store;
pub mod home;
pub mod transport;
