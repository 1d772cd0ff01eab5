//! Invariants (spec 7 and DOMAIN 2.11): one function and one paragraph each.

pub(in crate::sim) mod always;
pub mod domain;
pub(in crate::sim) mod eventually;

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: &'static str,
    /// What was found.
    pub text: String,
}

impl Violation {
    /// Says which invariant does not hold, and how.
    pub fn new(invariant: &'static str, text: String) -> Self {
        Self { invariant, text }
    }
}
