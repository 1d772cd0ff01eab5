//! The charter: who belongs, how it came to be so, and what is proposed. Each answer is a function of the state alone, so the
//! offline tool gives the same from a charter file.

mod export;

pub use export::{export, held_whole, record_hex};
