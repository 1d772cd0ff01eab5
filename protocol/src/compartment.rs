//! Compartments above 0 (spec 4.14): carried and counted; what they say is for their readers.

/// The compartment everybody reads, and the only one whose document is evaluated here.
pub const PUBLIC: u32 = 0;
