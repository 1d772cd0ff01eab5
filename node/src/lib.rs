//! The edge of Comity: what connects the pure replica of `comity-protocol` to disk, network and people.

pub mod answers;
pub mod api;
pub mod client;
pub mod config;
pub mod driver;
pub mod logging;
pub mod metrics;
pub mod run;

pub mod blame;
pub mod store;
pub mod home;
pub mod transport;
