//! Asking the node over its socket, and its refusals as failures.

use std::future::Future;

use comity_node::api::Refusal;
use comity_node::client::{Client, ClientError};
use comity_node::home::Home;

use crate::failure::{Exit, Failure};

/// A runtime for one command and a client for one home.
pub struct Api {
    runtime: tokio::runtime::Runtime,
    client: Client,
}

impl Api {
    /// Prepares to speak to the node of `home`; nothing is opened yet.
    ///
    /// # Errors
    /// [`Failure`] with exit code 4 where the system gives no runtime.
    pub fn of(home: &Home) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::environment("cannot start").because(error.to_string()))?;
        let socket = home.socket().map_err(|error| Failure::environment(error.to_string()))?;
        Ok(Self { runtime, client: Client::new(&socket) })
    }

    /// Runs one exchange to its end.
    ///
    /// # Errors
    /// [`Failure`] with the exit code of the refusal, or 3 where no node answers.
    pub fn run<T, F: Future<Output = Result<T, ClientError>>>(
        &self,
        exchange: impl FnOnce(Client) -> F,
    ) -> Result<T, Failure> {
        self.runtime.block_on(exchange(self.client.clone())).map_err(Failure::from)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        ClientError::Refused(refusal.problem().clone()).into()
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit = match error.exit() {
            1 => Exit::Refused,
            2 => Exit::Usage,
            3 => Exit::Unreachable,
            _ => Exit::Environment,
        };
        match error {
            ClientError::Refused(problem) => {
                Self { error: problem.error, cause: problem.cause, hint: problem.hint, exit }
            }
            other => {
                let cause = std::error::Error::source(&other).map(ToString::to_string);
                let hint = (exit == Exit::Unreachable).then(|| {
                    "is the node running? start it with `comity node run`, or name its home with --home".to_owned()
                });
                Self { error: other.to_string(), cause, hint, exit }
            }
        }
    }
}
