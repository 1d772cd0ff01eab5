//! The pure core of Comity: records, evaluation, aid ledger and the sans-IO replica.
//!
//! Nothing here has a clock, a file, a socket, a thread or randomness of its own. The modules stand in one order and a
//! module uses only what stands above it; a test of the workspace checks that (`tests/tests/layering.rs`).

// words
pub mod ids;
pub mod limits;
pub mod time;
pub mod codec;
pub mod keys;
pub mod envelope;
pub mod body;
pub mod control;
pub mod value;
pub mod rules;
// strata
pub mod charter;
pub mod roster;
pub mod chain;
pub mod witness;
pub mod guard;
pub mod table;
pub mod compartment;
pub mod section;
pub mod evaluate;
pub mod dossier;
// meaning
pub mod statement;
pub mod view;
pub mod resilience;
// machine
pub mod frontier;
pub mod message;
pub mod bundle;
pub mod effect;
pub mod replica;
// for the tests of every crate
#[doc(hidden)]
pub mod testing;
