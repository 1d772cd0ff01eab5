//! The guard against honest histories and hostile corpora (spec Appendix A).
//!
//! Every random test prints its seed; `COMITY_SEED` replays it and `COMITY_CASES` multiplies the number of cases, which is
//! how a nightly run uses the same generators (docs/simulation.md).

mod bombs;
mod honest;
mod hostile;
mod reasons;
