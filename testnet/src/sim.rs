//! Whole alliances in one process, every choice from one seed.

pub mod liar;
pub mod operator;
