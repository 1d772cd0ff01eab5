//! Whole alliances in one process, every choice from one seed.

pub mod disk;
pub mod liar;
pub mod operator;
