//! `comity vote`: a nation's support and seal of a motion, signed offline with its root key (spec 4.6).
//!
//! What the root signed before comes from the log beside the key and from nowhere else; an entry is on the disk before the vote
//! leaves the machine, and the same vote asked for again is the same bytes again.

use std::path::{Path, PathBuf};

use comity_node::answers::charter::{frozen, keys_not_named, named_roster};
use comity_node::api::model::MotionRow;
use comity_protocol::charter::signer::{self, Refuse};
use comity_protocol::charter::{Charter, CharterMember};
use comity_protocol::control::{CharterChange, Motion, Vote, VoteStep};
use comity_protocol::ids::{AuthorId, ControlId, NationId, RootKey, Tip, hex};
use serde::Serialize;
use utoipa::ToSchema;

use super::charter::{CharterFile, load};
use super::file::{self, FileKind};
use super::log::{self, SignerLog};
use super::motion;
use super::root;
use super::roster::SignerArgs;
use crate::failure::Failure;
use crate::output::{Output, now};

/// A nation's votes on a motion.
#[derive(clap::Subcommand, Debug)]
pub enum VoteCommand {
    /// Sign a support: the first of the two votes; prints in words what is signed.
    Support(VoteArgs),
    /// Sign a seal, once more than two thirds support the motion; prints in words what is signed.
    Seal(VoteArgs),
    /// Take votes, and the motions they carry, into this node: into its store while it is stopped, over its socket while it
    /// runs.
    Import {
        /// The votes.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// What is voted on, and with which key.
#[derive(clap::Args, Debug)]
pub struct VoteArgs {
    /// A motion or vote file, or the first digits of the id of a motion that the charter file holds.
    motion: String,
    /// A charter file of the own nation's node, as new as can be had.
    #[arg(long, value_name = "FILE")]
    charter: PathBuf,
    #[command(flatten)]
    signer: SignerArgs,
    /// The round [default: the one that is open, and for a seal the one in which the motion has its supports].
    #[arg(long, value_name = "N")]
    round: Option<u16>,
    /// Where to write the vote; it carries the motion.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// A vote that was signed.
#[derive(Serialize, ToSchema)]
pub struct VoteShown {
    /// Its id.
    vote: String,
    /// Code of the nation that votes.
    nation: String,
    /// `support` or `seal`.
    step: &'static str,
    /// The round.
    round: u16,
    /// The charter version voted on.
    height: u32,
    /// The motion, as the charter file has it: without this vote.
    motion: MotionRow,
    /// It had been signed before: these are the same bytes.
    again: bool,
    /// The vote's file.
    file: String,
}

/// Everything a vote rests on.
struct Ballot<'a> {
    file: &'a CharterFile,
    charter: &'a Charter,
    member: &'a CharterMember,
    motion: &'a Motion,
}

/// Signs a vote.
///
/// # Errors
/// [`Failure`] with the rule's code; then nothing is signed, and the log is unchanged.
pub fn sign(args: &VoteArgs, step: VoteStep, output: &Output) -> Result<(), Failure> {
    file::check_free(&args.out)?;
    let file = load(&args.charter)?;
    let charter = file.charter()?;
    let motion = motion::find(&file, &args.motion)?;
    let key = root::load(&args.signer.root)?;
    let _lock = log::lock(&args.signer.root)?;
    let member = voter(charter, &key.public(), &args.signer.root)?;
    let mut log = open_log(&args.signer, key.public(), charter)?;
    let ballot = Ballot { file: &file, charter, member, motion: &motion };
    let round = args.round.unwrap_or_else(|| ballot.round(step, &log));
    let signed = log
        .votes_on(motion.height, motion.base)
        .find(|(own, _)| (own.round, own.step, own.motion) == (round, step, motion.id()) && own.nation == member.id);
    let (record, again) = match signed {
        Some((_, record)) => (record.clone(), true),
        None => {
            let vote = ballot.vote(step, round);
            ballot.may_sign(&vote, &log)?;
            let record = vote.sign(&key);
            let verified = record.clone().verify();
            let verified =
                verified.map_err(|error| Failure::refused("the vote is not valid").because(error.to_string()))?;
            log.append(verified, None)?;
            (record, false)
        }
    };
    let (vote_hex, motion_hex) = (hex(&record.encode()), hex(&motion.encode()));
    file::write(&args.out, FileKind::Vote, &[("vote", &vote_hex), ("motion", &motion_hex)])?;
    let shown = VoteShown {
        vote: record.id().hex(),
        nation: member.code.clone(),
        step: step_name(step),
        round,
        height: motion.height,
        motion: motion::row(&file, &motion),
        again,
        file: args.out.display().to_string(),
    };
    output.result(&shown, || in_words(&shown));
    Ok(())
}

fn in_words(shown: &VoteShown) -> String {
    let again = if shown.again { "; it was signed before, and these are the same bytes" } else { "" };
    format!(
        "{}signed: {} by {} in round {}{again}\nin {}: import it into any node (comity vote import)",
        motion::what(&shown.motion),
        shown.step,
        shown.nation,
        shown.round,
        shown.file
    )
}

const fn step_name(step: VoteStep) -> &'static str {
    match step {
        VoteStep::Support => "support",
        VoteStep::Seal => "seal",
    }
}

fn voter<'a>(charter: &'a Charter, root: &RootKey, path: &Path) -> Result<&'a CharterMember, Failure> {
    charter.members.values().find(|member| member.root == *root).ok_or_else(|| {
        let was = charter.roots.contains(root);
        let failure = Failure::refused(format!("{} votes for no member", path.display()))
            .because(format!("R04: charter version {} has no member with root {root}", charter.height));
        if was {
            failure.hint("that root was replaced, or its nation removed")
        } else {
            failure.hint("is the charter file as new as can be had? `comity charter export`")
        }
    })
}

/// Opens the log, or starts one where it is said to be lost (V6).
fn open_log(signer: &SignerArgs, root: RootKey, charter: &Charter) -> Result<SignerLog, Failure> {
    let path = signer.log_path();
    let mut log = if signer.new_log && !path.exists() {
        SignerLog::create(&path, root, None)?
    } else {
        SignerLog::open(&path, root)?
    };
    log.settle(charter.height)?;
    Ok(log)
}

impl Ballot<'_> {
    /// The round that is meant where none is said.
    fn round(&self, step: VoteStep, log: &SignerLog) -> u16 {
        let ballots = self.file.state.ballots();
        let own = log.votes_on(self.motion.height, self.motion.base).map(|(vote, _)| vote.round).max().unwrap_or(0);
        let open = ballots.suggested_round().max(own);
        match step {
            VoteStep::Support => open,
            VoteStep::Seal => {
                let supported = |round: &u16| ballots.has_quorum(*round, VoteStep::Support, &self.motion.id());
                (own..=ballots.round_max()).rev().find(supported).unwrap_or(open)
            }
        }
    }

    fn vote(&self, step: VoteStep, round: u16) -> Vote {
        Vote {
            alliance: self.motion.alliance,
            nation: self.member.id,
            root: self.member.root,
            height: self.motion.height,
            base: self.motion.base,
            round,
            step,
            motion: self.motion.id(),
            time_ms: now().0,
        }
    }

    /// V1–V7, and what makes a vote pointless or harmful besides.
    fn may_sign(&self, vote: &Vote, log: &SignerLog) -> Result<(), Failure> {
        self.log_is_whole(log)?;
        if vote.round >= comity_protocol::limits::VOTE_ROUNDS {
            return Err(
                Failure::usage(format!("round {} is out of range", vote.round)).because("R06: rounds are 0 to 63")
            );
        }
        if let Some(frozen) = frozen(&self.file.state) {
            return Err(Failure::refused("no vote changes the membership any more")
                .because(frozen)
                .hint("keep working; willing nations re-found the alliance: comity genesis draft --parent CHARTER"));
        }
        let ill = self.charter.well_formed(self.motion).err();
        let cuts = if vote.step == VoteStep::Seal { self.cuts_held() } else { Ok(()) };
        let own = signer::SignerLog {
            votes: log.votes().map(|(vote, _)| vote.clone()).collect(),
            complete_from: log.complete_from().unwrap_or(u32::MAX),
        };
        let verdict = own.may_sign(self.charter, self.file.state.ballots(), vote, ill.is_none(), cuts.is_ok());
        match (verdict, ill, cuts) {
            (Err(Refuse::CutsNotHeld), _, Err(missing)) => Err(missing),
            (Err(Refuse::IllFormed) | Ok(()), Some(ill), _) => {
                let code = if vote.step == VoteStep::Seal { "V3" } else { "4.5.1" };
                Err(Failure::refused("the motion can never be adopted")
                    .because(format!("{code}: {ill}"))
                    .hint("propose another on the version in force"))
            }
            (Err(refuse), ..) => Err(self.refused(&refuse)),
            (Ok(()), None, _) => self.names_every_key(),
        }
    }

    /// V5 and V6: the charter file shows no vote of this root that the log lacks, and the log none that is newer than the file.
    fn log_is_whole(&self, log: &SignerLog) -> Result<(), Failure> {
        let height = self.charter.height;
        if let Some((vote, _)) = log.votes().find(|(vote, _)| vote.height > height) {
            return Err(Failure::refused("the charter file is older than what this root signed")
                .because(format!("V5: the log has a vote on version {}, the file is at version {height}", vote.height))
                .hint("export a newer one from a node that is up to date: comity charter export"));
        }
        let ballots = self.file.state.ballots();
        let known = |(round, step, motion, _): &(u16, VoteStep, ControlId, ControlId)| {
            log.votes()
                .any(|(own, _)| (own.height, own.round, own.step, own.motion) == (height, *round, *step, *motion))
        };
        if let Some((round, step, ..)) = ballots.by_nation(&self.member.id).into_iter().find(|slot| !known(slot)) {
            return Err(Failure::refused("the signer's log lacks a vote that this root signed")
                .because(format!("V6: the charter file has its {} in round {round}, the log does not", step_name(step)))
                .hint(format!(
                    "use the log that knows of it; without that, this root signs nothing before version {} is there",
                    u64::from(height) + 1
                )));
        }
        Ok(())
    }

    /// V3: the own node holds every chain up to its cut, bodies included, and every roster the motion names.
    fn cuts_held(&self) -> Result<(), Failure> {
        for change in &self.motion.changes {
            match change {
                CharterChange::Remove { nation, cuts, roster } => {
                    for (key, cut) in cuts {
                        self.cut_held(&AuthorId { nation: *nation, key: *key }, cut)?;
                    }
                    self.roster_held(nation, roster)?;
                }
                CharterChange::ReplaceRoot { nation, roster, .. } => self.roster_held(nation, roster)?,
                CharterChange::Admit(_) | CharterChange::SetParams(_) | CharterChange::SetRules(_) => {}
            }
        }
        Ok(())
    }

    fn cut_held(&self, author: &AuthorId, cut: &Tip) -> Result<(), Failure> {
        if *cut == Tip::NONE {
            return Ok(());
        }
        if self.file.nation != Some(self.member.id) {
            return Err(Failure::refused("the charter file is not of a node of this nation")
                .because("V3: only the own node's word counts for what is held up to a cut")
                .hint(format!("export it from a node of {}: comity charter export", self.member.code)));
        }
        if self.file.holds(author, cut) {
            return Ok(());
        }
        let code =
            self.charter.nation(&author.nation).map_or_else(|| author.nation.short(), |member| member.code.clone());
        Err(Failure::refused(format!("the cut of node {} of {code} is not held", author.key.short()))
            .because(format!(
                "V3: the own node does not hold its chain up to envelope {} ({}), bodies included",
                cut.seq,
                cut.id.short()
            ))
            .hint(
                "import the votes into the own node, let it fetch the chain, and export the charter again; a cut that nobody \
                 holds is invented: do not seal it",
            ))
    }

    fn roster_held(&self, nation: &NationId, roster: &Tip) -> Result<(), Failure> {
        if roster.seq == 0 || named_roster(&self.file.state, nation, roster).is_some() {
            return Ok(());
        }
        Err(Failure::refused(format!("version {} of the roster that the motion names is not held", roster.seq))
            .because("V3: a roster nobody has would leave the nation without any")
            .hint("import it into the own node, and export the charter again"))
    }

    /// A removal that leaves a key out says that nothing it said counts; that is to be said with a cut of 0.
    fn names_every_key(&self) -> Result<(), Failure> {
        for change in &self.motion.changes {
            let CharterChange::Remove { nation, cuts, roster } = change else { continue };
            if let Some(key) = keys_not_named(&self.file.state, nation, cuts, roster).first() {
                return Err(Failure::refused("the motion removes a nation and leaves out one of its nodes")
                    .because(format!("4.10: it names no cut for node {key}, so nothing that node said would count"))
                    .hint(
                        "propose one with a cut for every node, 0 where nothing counts: comity motion propose --remove",
                    ));
            }
        }
        Ok(())
    }

    fn refused(&self, refuse: &Refuse) -> Failure {
        let say = |text: &str| text.to_owned();
        let (code, hint) = match refuse {
            Refuse::NotMember { .. } => ("R04", say("only a member's present root votes")),
            Refuse::Passed { .. } => ("V5", say("propose it again on the version in force, if it is still wanted")),
            Refuse::OtherBase { .. } => {
                ("R04", say("export a newer charter file, or compare alliances: comity charter show"))
            }
            Refuse::Rules { .. } => ("4.17", say("upgrade comity before voting")),
            Refuse::LogLost { complete_from, .. } => (
                "V6",
                format!("wait until charter version {complete_from} is there; others can decide without this nation"),
            ),
            Refuse::EarlierRound { signed, .. } => ("V1", format!("vote in round {signed} or a later one: --round")),
            Refuse::RoundTooFar { open, .. } => ("V7", format!("vote in round {open} at most: --round {open}")),
            Refuse::AlreadySigned { round, motion, .. } => (
                "V2",
                format!(
                    "to send the vote again, name motion {} (round {round}); another motion gets a vote in a later round",
                    motion.short()
                ),
            ),
            Refuse::SealedThisRound { .. } => ("V2", say("another motion gets a support in a later round at most")),
            Refuse::IllFormed | Refuse::CutsNotHeld => ("V3", say("see `comity motion show`")),
            Refuse::NoSupportQuorum { .. } => (
                "V3",
                say(
                    "import the supports that are missing and export the charter again; `comity motion show` says whose",
                ),
            ),
            Refuse::Locked { motion, .. } => {
                ("V4", format!("support motion {} again in this round; it is the one that can pass", motion.short()))
            }
        };
        Failure::refused("this root does not sign that").because(format!("{code}: {refuse}")).hint(hint)
    }
}
