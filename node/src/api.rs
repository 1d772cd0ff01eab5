//! The local API: HTTP and JSON over a Unix socket, and over loopback TCP where configured (DESIGN section 5).

pub mod model;
