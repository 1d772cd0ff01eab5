//! Why a change is void.

/// Why a body counts for nothing (spec 4.5.5, Appendix A).
///
/// A void body never breaks its chain and nobody is struck for it. The reason is a function of the body and of what the
/// chain and the document held before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum VoidReason {
    // The body and its place in the chain (raised by the section).
    /// The body does not decode, or its compartment may not hold this form (spec 4.4).
    #[error("the body does not decode")]
    Malformed,
    /// The change's actor is not the envelope's author and a generation (D12).
    #[error("the actor is not the author of the envelope")]
    WrongActor,
    /// The generation is lower than that of an earlier change of the chain (F17).
    #[error("the generation is lower than before")]
    GenerationDecreases,
    /// The sequence number does not follow the last one of this compartment and generation (F17).
    #[error("the sequence number does not follow the last one")]
    SeqNotConsecutive,

    // The bytes before any parser sees them (A.1).
    /// More than 65,000 bytes.
    #[error("the change is too long")]
    TooLong,
    /// The first four bytes are not those of the format.
    #[error("the bytes do not start as a change does")]
    BadMagic,
    /// A chunk of another type: document, compressed change, bundle.
    #[error("the chunk is not an uncompressed change")]
    WrongChunkType,
    /// The length field does not name exactly the bytes that follow.
    #[error("the length field is wrong")]
    BadLength,
    /// The checksum does not match.
    #[error("the checksum is wrong")]
    BadChecksum,
    /// A number is not the shortest LEB128 form of 64 bits, or the bytes end inside one.
    #[error("a number is not in its shortest form")]
    BadNumber,
    /// The bytes end inside a field.
    #[error("the change ends inside a field")]
    Truncated,
    /// Bytes follow the last column.
    #[error("bytes follow the last column")]
    TrailingBytes,
    /// More than 64 dependencies.
    #[error("too many dependencies")]
    TooManyDeps,
    /// The dependencies are not strictly ascending.
    #[error("the dependencies are not ascending")]
    DepsUnsorted,
    /// The operation counter is not in 1 to 2^30 − 1.
    #[error("the first operation counter is out of range")]
    StartOpRange,
    /// The claimed time is negative or after the year 9999.
    #[error("the claimed time is out of range")]
    TimeRange,
    /// The message is longer than 256 bytes.
    #[error("the message is too long")]
    MessageTooLong,
    /// The message is not UTF-8.
    #[error("the message is not text")]
    MessageNotText,
    /// More than 64 other actors.
    #[error("too many other actors")]
    TooManyActors,
    /// Another actor is not 36 bytes, or they are not strictly ascending, or one is the author itself.
    #[error("the list of other actors is not in order")]
    BadActors,
    /// A column nobody knows, an empty one, or columns out of order.
    #[error("the columns are not those of a change")]
    BadColumns,
    /// A compressed column.
    #[error("a column is compressed")]
    ColumnCompressed,
    /// A column announces more than 2,048 rows.
    #[error("too many rows in a column")]
    TooManyRows,
    /// No operation.
    #[error("the change does nothing")]
    NoOps,
    /// More than 2,048 predecessors.
    #[error("too many predecessors")]
    TooManyPreds,
    /// A map key is empty or longer than 128 bytes.
    #[error("the length of a key is out of range")]
    KeyLength,
    /// A value is longer than 16 KiB.
    #[error("a value is too long")]
    ValueTooLong,
    /// The value lengths do not add up to the value bytes.
    #[error("the value lengths do not match the value bytes")]
    ValueLengths,
    /// An operation id names an actor the change does not list, or a counter out of range.
    #[error("an operation id is out of range")]
    OpIdRange,

    // The parsed change alone (A.2).
    /// The change library refuses it.
    #[error("the change does not parse")]
    Unparsable,
    /// The change library panicked on it; nothing was kept.
    #[error("the change breaks its parser")]
    ParserPanicked,
    /// Decoding and encoding again gives other bytes.
    #[error("the change is not in canonical form")]
    NotCanonical,
    /// An insertion into a sequence.
    #[error("an operation inserts into a sequence")]
    Insert,
    /// A key that is a position in a sequence.
    #[error("an operation has a sequence position for a key")]
    KeyNotText,
    /// A deletion; nothing is ever deleted (DOMAIN R6).
    #[error("an operation deletes")]
    Delete,
    /// A counter increment.
    #[error("an operation increments a counter")]
    Increment,
    /// A mark.
    #[error("an operation marks text")]
    Mark,
    /// A list, text or table object.
    #[error("an operation makes something else than a map")]
    NotAMap,
    /// A float, counter, timestamp or unknown scalar.
    #[error("a value is of a type outside the dialect")]
    ValueType,
    /// Something else than a new map at a root key.
    #[error("a root key holds something else than a record")]
    RootNotRecord,
    /// A root key that is not `kind/id`.
    #[error("a root key is not a kind and an id")]
    RecordKey,
    /// One change writes a record more than once.
    #[error("the change writes a record twice")]
    RecordTwice,
    /// An operation in a map that this change did not make before it.
    #[error("an operation writes outside the records of its change")]
    ForeignObject,
    /// Maps nested deeper than 8.
    #[error("maps are nested too deep")]
    TooDeep,
    /// A field written twice.
    #[error("the change writes a field twice")]
    FieldTwice,
    /// A field that names predecessors.
    #[error("a field has predecessors")]
    FieldPred,
    /// The predecessors of a record are not strictly ascending.
    #[error("the predecessors are not ascending")]
    PredsUnsorted,

    // The change in its document (A.2).
    /// A dependency was not admitted. The section shows such a change as waiting and does not ask the guard.
    #[error("a dependency is not in the document")]
    DepMissing,
    /// The first counter is not one above the highest of the dependencies.
    #[error("the first operation counter does not follow the dependencies")]
    StartOp,
    /// The sequence number does not follow the actor's last change in the dependencies.
    #[error("the sequence number does not follow the dependencies")]
    Seq,
    /// The actor's sequence number is taken by another change.
    #[error("the sequence number is taken")]
    SeqTaken,
    /// More than 512 actors in the ancestry.
    #[error("too many actors in the ancestry")]
    AncestryTooWide,
    /// A predecessor is not a version of the same record in this document.
    #[error("a predecessor is not a version of the record")]
    PredUnknown,
    /// A predecessor is not in the ancestry of the change.
    #[error("a predecessor is not in the ancestry of the change")]
    PredNotAncestor,
}

impl VoidReason {
    /// Every reason, in the order of the checks.
    pub const ALL: &[Self] = &[
        Self::Malformed,
        Self::WrongActor,
        Self::GenerationDecreases,
        Self::SeqNotConsecutive,
        Self::TooLong,
        Self::BadMagic,
        Self::WrongChunkType,
        Self::BadLength,
        Self::BadChecksum,
        Self::BadNumber,
        Self::Truncated,
        Self::TrailingBytes,
        Self::TooManyDeps,
        Self::DepsUnsorted,
        Self::StartOpRange,
        Self::TimeRange,
        Self::MessageTooLong,
        Self::MessageNotText,
        Self::TooManyActors,
        Self::BadActors,
        Self::BadColumns,
        Self::ColumnCompressed,
        Self::TooManyRows,
        Self::NoOps,
        Self::TooManyPreds,
        Self::KeyLength,
        Self::ValueTooLong,
        Self::ValueLengths,
        Self::OpIdRange,
        Self::Unparsable,
        Self::ParserPanicked,
        Self::NotCanonical,
        Self::Insert,
        Self::KeyNotText,
        Self::Delete,
        Self::Increment,
        Self::Mark,
        Self::NotAMap,
        Self::ValueType,
        Self::RootNotRecord,
        Self::RecordKey,
        Self::RecordTwice,
        Self::ForeignObject,
        Self::TooDeep,
        Self::FieldTwice,
        Self::FieldPred,
        Self::PredsUnsorted,
        Self::DepMissing,
        Self::StartOp,
        Self::Seq,
        Self::SeqTaken,
        Self::AncestryTooWide,
        Self::PredUnknown,
        Self::PredNotAncestor,
    ];

    /// Returns the stable name of the reason, as exports and metrics show it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::WrongActor => "wrong_actor",
            Self::GenerationDecreases => "generation_decreases",
            Self::SeqNotConsecutive => "seq_not_consecutive",
            Self::TooLong => "too_long",
            Self::BadMagic => "bad_magic",
            Self::WrongChunkType => "wrong_chunk_type",
            Self::BadLength => "bad_length",
            Self::BadChecksum => "bad_checksum",
            Self::BadNumber => "bad_number",
            Self::Truncated => "truncated",
            Self::TrailingBytes => "trailing_bytes",
            Self::TooManyDeps => "too_many_deps",
            Self::DepsUnsorted => "deps_unsorted",
            Self::StartOpRange => "start_op_range",
            Self::TimeRange => "time_range",
            Self::MessageTooLong => "message_too_long",
            Self::MessageNotText => "message_not_text",
            Self::TooManyActors => "too_many_actors",
            Self::BadActors => "bad_actors",
            Self::BadColumns => "bad_columns",
            Self::ColumnCompressed => "column_compressed",
            Self::TooManyRows => "too_many_rows",
            Self::NoOps => "no_ops",
            Self::TooManyPreds => "too_many_preds",
            Self::KeyLength => "key_length",
            Self::ValueTooLong => "value_too_long",
            Self::ValueLengths => "value_lengths",
            Self::OpIdRange => "op_id_range",
            Self::Unparsable => "unparsable",
            Self::ParserPanicked => "parser_panicked",
            Self::NotCanonical => "not_canonical",
            Self::Insert => "insert",
            Self::KeyNotText => "key_not_text",
            Self::Delete => "delete",
            Self::Increment => "increment",
            Self::Mark => "mark",
            Self::NotAMap => "not_a_map",
            Self::ValueType => "value_type",
            Self::RootNotRecord => "root_not_record",
            Self::RecordKey => "record_key",
            Self::RecordTwice => "record_twice",
            Self::ForeignObject => "foreign_object",
            Self::TooDeep => "too_deep",
            Self::FieldTwice => "field_twice",
            Self::FieldPred => "field_pred",
            Self::PredsUnsorted => "preds_unsorted",
            Self::DepMissing => "dep_missing",
            Self::StartOp => "start_op",
            Self::Seq => "seq",
            Self::SeqTaken => "seq_taken",
            Self::AncestryTooWide => "ancestry_too_wide",
            Self::PredUnknown => "pred_unknown",
            Self::PredNotAncestor => "pred_not_ancestor",
        }
    }
}
