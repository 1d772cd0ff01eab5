//! The rules that a simulation may break, one at a time, to prove that it would notice.
//!
//! A node keeps all of them: [`Rules::default`]. Each rule has one hook, where the code that keeps it stands.

/// The rules a replica keeps; all of them, except in a simulation that proves that it notices a broken one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    broken: Option<Rule>,
}

/// A rule that a simulation may break.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Records are saved before anything that rests on them leaves the node (4.12); broken, own ones are saved a moment later.
    SaveBeforeSpeaking,
    /// Every part of an own envelope is saved (4.12); broken, the body of every second one is left out.
    SaveEveryRow,
    /// A foreign envelope under the own key stops authoring (4.12); broken, the node writes on.
    HaltOnForeignOwn,
    /// A home without its sentinel, or with one that its store does not reach, authors nothing (4.12); broken, it does.
    RefuseWithoutSentinel,
    /// A write under a known idempotency key gives the first answer (4.12); broken, it is carried out again.
    RememberAnswers,
    /// A signature is checked before anything is believed (4.4, R05); broken, a pushed envelope is believed without.
    VerifySignatures,
    /// An envelope that does not link is not stored (4.4, R08); broken, it is.
    StoreLinkedOnly,
    /// The second envelope at a position is stored as proof (4.4, R08); broken, it is dropped and nobody hears of the fork.
    KeepForkEvidence,
    /// No acceptance rests on a clock (4.4, D8); broken, an envelope from far ahead of the own clock is not taken in.
    ClaimedTimeIsAdvisory,
    /// A peer is struck only for what it could check itself (4.4, F18); broken, for forks and unknown authors too.
    StrikeOwnFaultsOnly,
    /// A forked chain stands as far as its branches agree (4.5.4); broken, it goes on along the branch that came first.
    FreezeOnFork,
    /// What is final of a forked chain stands (4.5.4, D3); broken, the chain freezes at its last common envelope.
    FinalBeforeFreeze,
    /// A Retired key's chain ends at its cut (4.5.4); broken, it counts as if the key were Active.
    CutAtRetirement,
    /// Only what the guard admits reaches the rows (4.5.5); broken, a change that fits no document does too.
    GuardChanges,
    /// A witness acknowledges one branch of a chain (4.7, W2); broken, it acknowledges whatever it finds accepted.
    AcknowledgeOneBranch,
    /// What is missing is asked for (4.13); broken, it is not.
    AskForMissing,
    /// A signer never signs for a round below one it signed (4.6, V1); broken, it does.
    RoundsNeverGoBack,
    /// A signer supports once and seals once a round (4.6, V2); broken, as often as it likes.
    SignOnceARound,
    /// A signer seals only what more than two thirds supported in the round (4.6, V3); broken, anything.
    SealOnlyTheSupported,
    /// After sealing a signer supports another motion only where more than two thirds turned to it (4.6, V4); broken, at once.
    KeepTheLock,
    /// A link in the lobby is given no envelope (4.13); broken, it is served like any other.
    SpeakOnlyToMembers,
}

/// How far ahead of the own clock a claimed time is doubted where [`Rule::ClaimedTimeIsAdvisory`] is broken.
pub(crate) const DOUBTED_AHEAD_MS: u64 = 600_000;

impl Rules {
    /// Every rule but one.
    #[doc(hidden)]
    pub const fn broken(rule: Rule) -> Self {
        Self { broken: Some(rule) }
    }

    pub(crate) fn keeps(self, rule: Rule) -> bool {
        self.broken != Some(rule)
    }
}

impl Rule {
    /// Every rule.
    pub const ALL: &'static [Self] = &[
        Self::SaveBeforeSpeaking,
        Self::SaveEveryRow,
        Self::HaltOnForeignOwn,
        Self::RefuseWithoutSentinel,
        Self::RememberAnswers,
        Self::VerifySignatures,
        Self::StoreLinkedOnly,
        Self::KeepForkEvidence,
        Self::ClaimedTimeIsAdvisory,
        Self::StrikeOwnFaultsOnly,
        Self::FreezeOnFork,
        Self::FinalBeforeFreeze,
        Self::CutAtRetirement,
        Self::GuardChanges,
        Self::AcknowledgeOneBranch,
        Self::AskForMissing,
        Self::RoundsNeverGoBack,
        Self::SignOnceARound,
        Self::SealOnlyTheSupported,
        Self::KeepTheLock,
        Self::SpeakOnlyToMembers,
    ];

    /// The rules of a signer, which no node runs: a model check of every order of votes proves each of them (spec 8.1), and
    /// simulated officers keep them.
    pub const SIGNER: &'static [Self] =
        &[Self::RoundsNeverGoBack, Self::SignOnceARound, Self::SealOnlyTheSupported, Self::KeepTheLock];

    /// Returns the rule's stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SaveBeforeSpeaking => "save_before_speaking",
            Self::SaveEveryRow => "save_every_row",
            Self::HaltOnForeignOwn => "halt_on_foreign_own",
            Self::RefuseWithoutSentinel => "refuse_without_sentinel",
            Self::RememberAnswers => "remember_answers",
            Self::VerifySignatures => "verify_signatures",
            Self::StoreLinkedOnly => "store_linked_only",
            Self::KeepForkEvidence => "keep_fork_evidence",
            Self::ClaimedTimeIsAdvisory => "claimed_time_is_advisory",
            Self::StrikeOwnFaultsOnly => "strike_own_faults_only",
            Self::FreezeOnFork => "freeze_on_fork",
            Self::FinalBeforeFreeze => "final_before_freeze",
            Self::CutAtRetirement => "cut_at_retirement",
            Self::GuardChanges => "guard_changes",
            Self::AcknowledgeOneBranch => "acknowledge_one_branch",
            Self::AskForMissing => "ask_for_missing",
            Self::RoundsNeverGoBack => "rounds_never_go_back",
            Self::SignOnceARound => "sign_once_a_round",
            Self::SealOnlyTheSupported => "seal_only_the_supported",
            Self::KeepTheLock => "keep_the_lock",
            Self::SpeakOnlyToMembers => "speak_only_to_members",
        }
    }
}
