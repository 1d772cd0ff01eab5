//! The charter: who belongs, how it came to be so, and what is proposed. Each answer is a function of the state alone, so the
//! offline tool gives the same from a charter file.

mod export;
mod motions;
mod state;

pub use export::{export, held_whole, record_hex};
pub use motions::{frozen, keys_not_named, motions, named_roster, row};
pub use state::{charter, last_heard, removed_by};
