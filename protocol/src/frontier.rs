//! Frontiers (spec 4.13): what a node holds of every chain, as two nodes compare it.

use crate::chain::Head;
use crate::ids::AuthorId;

/// What a node holds of one author's chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrontierEntry {
    /// The author.
    pub author: AuthorId,
    /// The heads of all kept branches, ascending; one unless the author forked.
    pub heads: Vec<Head>,
    /// The lowest sequence number at which two envelopes are held.
    pub fork: Option<u64>,
    /// Whether the author's key may speak no more.
    pub closed: bool,
}
