//! What a person reads when a command fails, and the exit code that says whose move it is.

use std::fmt;
use std::io;
use std::path::Path;

/// Exit codes of the one binary (DESIGN section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The record or the node said no; an exercise did not converge or lost something.
    Refused = 1,
    /// The input is wrong.
    Usage = 2,
    /// The node cannot be reached.
    Unreachable = 3,
    /// Disk, network or permissions.
    Environment = 4,
}

/// A failed command: what failed, why, and what to do.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What failed.
    pub error: String,
    /// Why.
    pub cause: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// Whose move it is.
    pub exit: Exit,
}

impl Failure {
    /// The input is wrong.
    pub fn usage(error: impl Into<String>) -> Self {
        Self { error: error.into(), cause: None, hint: None, exit: Exit::Usage }
    }

    /// The record, a rule or the node said no.
    pub fn refused(error: impl Into<String>) -> Self {
        Self { exit: Exit::Refused, ..Self::usage(error) }
    }

    /// Disk, network or permissions.
    pub fn environment(error: impl Into<String>) -> Self {
        Self { exit: Exit::Environment, ..Self::usage(error) }
    }

    /// A file could not be read or written.
    pub fn file(doing: &str, path: &Path, error: &io::Error) -> Self {
        let failure = Self::environment(format!("cannot {doing} {}", path.display())).because(error.to_string());
        match error.kind() {
            io::ErrorKind::AlreadyExists => failure.hint("choose another path; nothing is overwritten"),
            io::ErrorKind::NotFound => failure.hint("check the path"),
            _ => failure,
        }
    }

    /// Adds why.
    #[must_use]
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.error)?;
        if let Some(cause) = &self.cause {
            write!(f, "\ncause: {cause}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}
