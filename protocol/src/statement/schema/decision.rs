//! The kinds of the silence procedure (DOMAIN 2.8).

use super::{
    FieldType, KindSpec, LINE, LIVE_OR_WITHDRAWN, NAME, Need, PARAGRAPH, PARTICIPANTS_MAX, Pin, Role, TEXTS_MAX, field,
};
use crate::statement::Kind;

const LIVE: &[&str] = &["live"];
const PROPOSAL: FieldType = FieldType::Reference(&[Kind::Propose], Pin::Pinned);

pub(super) const PROPOSE: KindSpec = KindSpec {
    kind: Kind::Propose,
    writer: Role::Participant,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "A question that the nations it names decide by silence; each version is a proposal of its own.",
    fields: &[
        field("title", LINE, Need::Required, "What is to be decided."),
        field(
            "text_hash",
            FieldType::Hash,
            Need::Filled,
            "SHA-256 of the text; that of `text` when left out at entry.",
        ),
        field("text", PARAGRAPH, Need::Optional, "The text itself, where it fits; `text_hash` is its hash."),
        field(
            "participants",
            FieldType::List(&FieldType::Nation, PARTICIPANTS_MAX),
            Need::Required,
            "The nations that decide, the proposer among them; the list stands as it was signed.",
        ),
        field("opens_at", FieldType::Moment, Need::Required, "When it opens."),
        field(
            "closes_at",
            FieldType::Moment,
            Need::Required,
            "When it closes: less than 24 hours after it opens, only the assent of all adopts it.",
        ),
        field("subject_key", NAME, Need::Optional, "Of proposals with one key one stands (C25)."),
        field(
            "effect",
            FieldType::Map(&LINE, TEXTS_MAX),
            Need::Optional,
            "Shared parameters it changes; shown, without any power of its own.",
        ),
    ],
};

pub(super) const SEEN: KindSpec = KindSpec {
    kind: Kind::Seen,
    writer: Role::Participant,
    statuses: LIVE,
    doc: "A participant has seen a proposal; it decides nothing.",
    fields: &[field("proposal", PROPOSAL, Need::Required, "The version of the proposal.")],
};

pub(super) const ASSENT: KindSpec = KindSpec {
    kind: Kind::Assent,
    writer: Role::Participant,
    statuses: LIVE,
    doc: "A participant agrees; its silence need not be proved, and nothing it says later takes it back.",
    fields: &[
        field("proposal", PROPOSAL, Need::Required, "The version of the proposal."),
        field("text", PARAGRAPH, Need::Optional, "An interpretative statement."),
    ],
};

pub(super) const OBJECT: KindSpec = KindSpec {
    kind: Kind::Object,
    writer: Role::Participant,
    statuses: LIVE,
    doc: "A participant objects; one objection in time breaks the silence.",
    fields: &[
        field("proposal", PROPOSAL, Need::Required, "The version of the proposal."),
        field("reason", PARAGRAPH, Need::Optional, "Why."),
    ],
};

pub(super) const RESERVE: KindSpec = KindSpec {
    kind: Kind::Reserve,
    writer: Role::Participant,
    statuses: LIVE,
    doc: "A participant attaches a reservation; it is recorded and stops nothing.",
    fields: &[
        field("proposal", PROPOSAL, Need::Required, "The version of the proposal."),
        field("text", PARAGRAPH, Need::Required, "The reservation."),
    ],
};

pub(super) const REQUEST_EXTENSION: KindSpec = KindSpec {
    kind: Kind::RequestExtension,
    writer: Role::Participant,
    statuses: LIVE,
    doc: "A participant asks for more time: 24 hours, once for each participant.",
    fields: &[
        field("proposal", PROPOSAL, Need::Required, "The version of the proposal."),
        field("reason", PARAGRAPH, Need::Optional, "Why."),
    ],
};
