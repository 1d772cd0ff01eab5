//! Structured log lines on standard error.
//!
//! Text of strangers stands in fields and is written with `?`, which escapes control characters; it never stands in the
//! message part (spec 4.18). No line carries a payload or a key that is not public.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::config::{Config, LogFormat};

/// Starts logging for the process as `config` says.
///
/// # Errors
/// [`TryInitError`] if logging was started before; that logging then stays.
pub fn start(config: &Config) -> Result<(), TryInitError> {
    // The filter was parsed when the configuration was loaded, so the lossy reading drops nothing.
    let filter = EnvFilter::builder().parse_lossy(&config.log.value);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log_format.value {
        LogFormat::Text => builder.with_ansi(false).finish().try_init(),
        LogFormat::Json => builder.json().finish().try_init(),
    }
}
