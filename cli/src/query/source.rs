//! Where a reading command reads: a running node, or an archive that no node serves.

use comity_node::answers;
use comity_node::answers::export::Form;
use comity_node::api::model::{Board, Explanation, Flags, Gaps, Listing, Log, Nations, Resilience, Shown};

use super::AsOf;
use crate::api::Api;
use crate::archive::Opened;
use crate::failure::Failure;

/// What is read.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// The record of the running node.
    Node(&'a Api),
    /// The record of an alliance that was re-founded.
    Archive(&'a Opened),
}

impl Source<'_> {
    /// Puts in front of a text which archive it is from, so that nobody takes it for the live record.
    pub fn headed(&self, text: String) -> String {
        match self {
            Self::Node(_) => text,
            Self::Archive(opened) => format!("{}\n{text}", opened.heading()),
        }
    }

    /// Every nation with its nodes.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn nations(&self) -> Result<Nations, Failure> {
        match self {
            Self::Node(api) => api.run(|client| async move { client.get("/v1/nations", &[]).await }),
            Self::Archive(opened) => Ok(answers::node::nations(opened.state(), opened.created())),
        }
    }

    /// The newest envelopes.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn log(&self, nation: Option<&str>, standing: Option<&str>, limit: u32) -> Result<Log, Failure> {
        match self {
            Self::Node(api) => {
                let limit = limit.to_string();
                let mut query = vec![("limit", limit.as_str())];
                query.extend(nation.map(|code| ("nation", code)));
                query.extend(standing.map(|standing| ("standing", standing)));
                api.run(|client| async move { client.get("/v1/log", &query).await })
            }
            Self::Archive(opened) => {
                let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                Ok(answers::node::log(opened.state(), nation, standing, limit)?)
            }
        }
    }

    /// One record with its versions.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn show(&self, reference: &str, as_of: &AsOf) -> Result<Shown, Failure> {
        match self {
            Self::Node(api) => {
                let mut query = as_of.query();
                query.push(("ref", reference));
                api.run(|client| async move { client.get("/v1/show", &query).await })
            }
            Self::Archive(opened) => Ok(answers::aid::show(&opened.outlook(as_of)?, reference)?),
        }
    }

    /// Why a record or an envelope counts, or does not.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn explain(&self, reference: &str, as_of: &AsOf) -> Result<Explanation, Failure> {
        match self {
            Self::Node(api) => {
                let mut query = as_of.query();
                query.push(("ref", reference));
                api.run(|client| async move { client.get("/v1/explain", &query).await })
            }
            Self::Archive(opened) => {
                let explained = answers::explain::explain(opened.state(), |_| Vec::new(), reference)?;
                Ok(answers::explain::flagged(&opened.outlook(as_of)?, explained))
            }
        }
    }

    /// Requirements with what was pledged for each.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn board(&self, as_of: &AsOf) -> Result<Board, Failure> {
        match self {
            Self::Node(api) => api.run(|client| async move { client.get("/v1/board", &as_of.query()).await }),
            Self::Archive(opened) => Ok(answers::aid::board(&opened.outlook(as_of)?)),
        }
    }

    /// Open need.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn gaps(&self, as_of: &AsOf) -> Result<Gaps, Failure> {
        match self {
            Self::Node(api) => api.run(|client| async move { client.get("/v1/gaps", &as_of.query()).await }),
            Self::Archive(opened) => Ok(answers::aid::gaps(&opened.outlook(as_of)?)),
        }
    }

    /// What breaks if somebody drops out.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn resilience(&self, as_of: &AsOf) -> Result<Resilience, Failure> {
        match self {
            Self::Node(api) => api.run(|client| async move { client.get("/v1/resilience", &as_of.query()).await }),
            Self::Archive(opened) => Ok(answers::resilience::resilience(&opened.outlook(as_of)?)),
        }
    }

    /// Conflicts and doubts.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn flags(&self, as_of: &AsOf) -> Result<Flags, Failure> {
        match self {
            Self::Node(api) => api.run(|client| async move { client.get("/v1/flags", &as_of.query()).await }),
            Self::Archive(opened) => Ok(answers::aid::flags(&opened.outlook(as_of)?)),
        }
    }

    /// The records of one kind.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn list(&self, kind: &str, as_of: &AsOf) -> Result<Listing, Failure> {
        match self {
            Self::Node(api) => {
                let mut query = as_of.query();
                query.push(("kind", kind));
                api.run(|client| async move { client.get("/v1/list", &query).await })
            }
            Self::Archive(opened) => Ok(answers::aid::list(&opened.outlook(as_of)?, kind)?),
        }
    }

    /// Every version of every statement.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn export(&self, form: Form, as_of: &AsOf) -> Result<String, Failure> {
        match self {
            Self::Node(api) => {
                let mut query = as_of.query();
                query.push((
                    "format",
                    match form {
                        Form::JsonLines => "jsonl",
                        Form::Csv => "csv",
                    },
                ));
                api.run(|client| async move { client.get_text("/v1/export", &query).await })
            }
            Self::Archive(opened) => Ok(answers::export::export(&opened.outlook(as_of)?, form)),
        }
    }
}
