//! The bodies of the fuzz targets: each takes any bytes, and panics where something is wrong with the product.
//!
//! They are ordinary functions, so `tests/tests/corpus.rs` replays the committed corpus on every test run; the targets in
//! `fuzz/` do nothing but call them. Most read a first byte that says how the rest is meant, so that one corpus reaches
//! what stands behind a checksum, a signature or a compression too.

pub mod bundle;
pub mod codec;
pub mod frames;
pub mod guard;
pub mod import;
pub mod replica;
mod tape;

/// A target: its name, which is also that of its corpus, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 6] = [
    ("bundle", bundle::run),
    ("codec", codec::run),
    ("frames", frames::run),
    ("guard", guard::run),
    ("import", import::run),
    ("replica", replica::run),
];
