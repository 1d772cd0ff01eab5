//! The guard in front of the change library (spec Appendix A): what may enter a nation's document.
//!
//! A change reaches Automerge only after [`prescan()`] has checked its bytes and [`Guard::admit`] its operations against
//! an index of our own. The library trusts its peers: a change it accepts can make it panic, run out of memory or save a
//! document that never loads again. What the guard admits does none of this. The writes it returns are all a reader
//! needs: no document is consulted to read them, nor to write new ones ([`compose()`]).
//!
//! The dialect is small. A change writes whole record versions: each is one new map at a root key `kind/id` whose
//! predecessors are the versions it replaces, with every field in the same change (DOMAIN R1). Nothing is deleted,
//! nothing is edited inside an older map, and there are no sequences, counters, marks or floats.

mod compose;
mod dialect;
mod index;
mod prescan;
mod reason;

pub use compose::{Draft, DraftWrite, compose};
pub use index::Guard;
pub use prescan::{Prescan, prescan};
pub use reason::VoidReason;

/// Returns what a change writes, looked at alone: whether its document admits it is not asked.
///
/// # Errors
/// The first check of Appendix A that fails without an index.
pub fn writes(author: &crate::ids::AuthorKey, bytes: &[u8]) -> Result<Vec<crate::value::Write>, VoidReason> {
    dialect::read(&prescan(author, bytes)?, bytes)
}
