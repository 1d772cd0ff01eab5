//! Writing: where an author's next envelope stands, and what its next change builds on.

use super::State;
use crate::body::{Body, ChangeBody};
use crate::chain::{AuthorStatus, Link};
use crate::compartment::PUBLIC;
use crate::envelope::{Header, body_hash};
use crate::guard::{DraftWrite, VoidReason, compose};
use crate::ids::{AuthorId, Timestamp, Tip};
use crate::limits::BODY_BYTES_MAX;

/// Why an author can write nothing now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorError {
    /// Its key is not Active in the nation's evaluated roster.
    #[error("the key is not active in the nation's roster")]
    NotActive(AuthorStatus),
    /// Its own chain is forked: the nation's root retires the key.
    #[error("the own chain is forked at {seq}")]
    Forked {
        /// Where.
        seq: u64,
    },
    /// A body of its own chain is not held.
    #[error("the own chain is held up to {linked_to}, its bodies up to {bodies_to} only")]
    Incomplete {
        /// How far headers are held.
        linked_to: u64,
        /// How far bodies are held.
        bodies_to: u64,
    },
    /// The envelope would exceed the chain's quota.
    #[error("the chain's quota is used up")]
    Quota,
    /// The body is longer than 65,536 bytes.
    #[error("the body has {bytes} bytes, at most {BODY_BYTES_MAX} are allowed")]
    BodyTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The guard would not let the change in.
    #[error("the change would be void: {0}")]
    Void(#[from] VoidReason),
}

impl State {
    /// Returns where an author's next envelope stands: its accepted tip, and the time it may claim at the earliest.
    ///
    /// # Errors
    /// [`AuthorError`] where the author must not write.
    pub fn author_tip(&self, author: &AuthorId) -> Result<(Tip, Timestamp), AuthorError> {
        match self.author_status(author) {
            AuthorStatus::Active => {}
            other => return Err(AuthorError::NotActive(other)),
        }
        let Some(chain) = self.chain(author) else { return Ok((Tip::NONE, Timestamp(0))) };
        if let Some(seq) = chain.fork() {
            return Err(AuthorError::Forked { seq });
        }
        let (linked_to, bodies_to) = (chain.linked_to(), chain.bodies_to());
        if bodies_to < linked_to {
            return Err(AuthorError::Incomplete { linked_to, bodies_to });
        }
        let time = chain.accepted(linked_to).map_or(0, |held| held.time_ms());
        Ok((chain.tip(), Timestamp(time)))
    }

    /// Returns the header of an author's next envelope around `body`; it claims `now`, or its predecessor's time if the
    /// clock went back.
    ///
    /// # Errors
    /// [`AuthorError`] where the author must not write, or the body does not fit.
    pub fn next_header(
        &self,
        author: &AuthorId,
        now: Timestamp,
        body: &Body,
    ) -> Result<(Header, Vec<u8>), AuthorError> {
        let (tip, earliest) = self.author_tip(author)?;
        let bytes = body.encode();
        let too_long = AuthorError::BodyTooLong { bytes: bytes.len() };
        let body_len = u32::try_from(bytes.len()).ok().filter(|_| bytes.len() <= BODY_BYTES_MAX).ok_or(too_long)?;
        let header = Header {
            alliance: self.anchor.alliance,
            nation: author.nation,
            author: author.key,
            seq: tip.seq + 1,
            prev: tip.id,
            time_ms: now.max(earliest).0,
            kind: body.kind(),
            body_len,
            body_hash: body_hash(&bytes),
        };
        match self.chain(author).map(|chain| chain.link(&header)) {
            Some(Link::OverQuota) => Err(AuthorError::Quota),
            Some(Link::Links { .. } | Link::ParentMissing | Link::TimeDecreases) | None => Ok((header, bytes)),
        }
    }

    /// Returns header and body of an envelope that writes these record versions into the author's nation's public document,
    /// building on all of it. Nothing is signed and the state is unchanged.
    ///
    /// # Errors
    /// [`AuthorError`] where the author must not write, or the guard would not admit the change.
    pub fn next_change(
        &self,
        author: &AuthorId,
        now: Timestamp,
        writes: Vec<DraftWrite>,
    ) -> Result<(Header, Vec<u8>), AuthorError> {
        let (_, earliest) = self.author_tip(author)?;
        let section = self.section(&author.nation);
        for write in &writes {
            let record = section.table().record(&write.kind, &write.id);
            if write.replaces.iter().any(|op| record.is_none_or(|record| !record.versions.contains_key(op))) {
                return Err(VoidReason::PredUnknown.into());
            }
        }
        let draft = section.draft(&author.key, now.max(earliest).0, writes);
        let change = compose(&draft)?;
        self.next_header(author, now, &Body::Change(ChangeBody::Clear { compartment: PUBLIC, change }))
    }
}
