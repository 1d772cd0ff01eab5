//! Whose move it is after an error.

/// Whose move it is after an error; every error of this crate answers `blame()` with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// A peer sent what it may not: a strike.
    Peer,
    /// The input or the configuration must be put right.
    Operator,
    /// Disk, network or operating system.
    Environment,
}

impl Blame {
    /// Returns the exit code of a command that ends with such an error (DESIGN 3).
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Peer => 1,
            Self::Operator => 2,
            Self::Environment => 4,
        }
    }
}
