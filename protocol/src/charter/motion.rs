//! What a motion must be, and what it makes of a charter version (spec 4.5.1).

use std::collections::{BTreeMap, BTreeSet};

use super::{Charter, CharterMember, Removal, next_charter};
use crate::control::{CharterChange, Member, Motion, Params, nation_id};
use crate::ids::{CharterId, ControlId, NationId, RootKey, Tip};
use crate::limits::NATIONS_MAX;

/// Why a motion can never be adopted by the version it is held against.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IllFormed {
    /// It is of another alliance.
    #[error("it belongs to another alliance")]
    OtherAlliance,
    /// It changes another version.
    #[error("it changes version {height} ({base}), not version {} ({})", have.0, have.1.short(), base = base.short())]
    OtherBase {
        /// The height it names.
        height: u32,
        /// The version it names.
        base: CharterId,
        /// The version it was held against.
        have: (u32, CharterId),
    },
    /// One nation is named in two changes, or the parameters or rules are set twice.
    #[error("{0} is named in two of its changes")]
    Twice(String),
    /// It removes or re-keys a nation that is no member.
    #[error("nation {} is no member", .0.short())]
    NoMember(NationId),
    /// It admits a nation whose code some nation has or had.
    #[error("the code {0} is or was a nation's already")]
    CodeUsed(String),
    /// It brings in a root key that some nation has or had.
    #[error("the root key {} is or was a nation's already", .0.short())]
    RootUsed(RootKey),
    /// Fewer than 1 or more than 64 nations would be left.
    #[error("{0} nations would be left, 1 to {NATIONS_MAX} are possible")]
    Members(usize),
    /// A parameter would be lowered.
    #[error("the parameter {0} may only be raised")]
    Lowered(&'static str),
    /// The rules would not go up by one.
    #[error("rules {next} do not follow rules {now}")]
    Rules {
        /// In force.
        now: u16,
        /// Proposed.
        next: u16,
    },
}

impl Charter {
    /// Checks every rule of spec 4.5.1 for a motion that changes this version.
    ///
    /// Nothing that was ever used may be used again: the ids, codes and root keys of all versions up to this one count, of
    /// removed nations and replaced keys too.
    ///
    /// # Errors
    /// [`IllFormed`], the first rule it breaks.
    pub fn well_formed(&self, motion: &Motion) -> Result<(), IllFormed> {
        if motion.alliance != self.alliance {
            return Err(IllFormed::OtherAlliance);
        }
        if (motion.height, motion.base) != (self.height, self.id) {
            let have = (self.height, self.id);
            return Err(IllFormed::OtherBase { height: motion.height, base: motion.base, have });
        }
        let mut named = Named::of(self);
        motion.changes.iter().try_for_each(|change| named.take(change))?;
        let left = self.members.len() + named.admitted - named.removed;
        if (1..=NATIONS_MAX).contains(&left) { Ok(()) } else { Err(IllFormed::Members(left)) }
    }

    /// Returns the version that a well-formed motion makes of this one.
    ///
    /// # Errors
    /// [`IllFormed`], as [`Charter::well_formed`] gives it.
    pub fn apply(&self, id: &ControlId, motion: &Motion) -> Result<Self, IllFormed> {
        self.well_formed(motion)?;
        let mut next = self.clone();
        next.height += 1;
        next.id = next_charter(&self.id, id);
        next.motion = Some(*id);
        motion.changes.iter().for_each(|change| next.change(change));
        Ok(next)
    }

    fn change(&mut self, change: &CharterChange) {
        match change {
            CharterChange::Admit(member) => self.admit(member),
            CharterChange::Remove { nation, cuts, roster } => {
                if let Some(member) = self.members.remove(nation) {
                    let cuts: BTreeMap<_, _> = cuts.iter().copied().collect();
                    self.removed.insert(*nation, Removal { member, cuts, roster: *roster });
                }
            }
            CharterChange::ReplaceRoot { nation, root, roster } => self.replace_root(nation, root, roster),
            CharterChange::SetParams(params) => self.params = *params,
            CharterChange::SetRules(rules) => self.rules = *rules,
        }
    }

    fn admit(&mut self, member: &Member) {
        let id = nation_id(&self.alliance, &member.root);
        self.roots.insert(member.root);
        let (code, name) = (member.code.clone(), member.name.clone());
        let member = CharterMember { id, root: member.root, root_gen: 0, floor: Tip::NONE, code, name };
        self.members.insert(id, member);
    }

    fn replace_root(&mut self, nation: &NationId, root: &RootKey, roster: &Tip) {
        if let Some(member) = self.members.get_mut(nation) {
            member.root = *root;
            member.root_gen = member.root_gen.saturating_add(1);
            member.floor = *roster;
            self.roots.insert(*root);
        }
    }
}

/// What the changes of one motion named so far.
struct Named<'a> {
    charter: &'a Charter,
    nations: BTreeSet<NationId>,
    roots: BTreeSet<RootKey>,
    codes: BTreeSet<&'a str>,
    params: bool,
    rules: bool,
    admitted: usize,
    removed: usize,
}

impl<'a> Named<'a> {
    const fn of(charter: &'a Charter) -> Self {
        Self {
            charter,
            nations: BTreeSet::new(),
            roots: BTreeSet::new(),
            codes: BTreeSet::new(),
            params: false,
            rules: false,
            admitted: 0,
            removed: 0,
        }
    }

    fn take(&mut self, change: &'a CharterChange) -> Result<(), IllFormed> {
        match change {
            CharterChange::Admit(member) => self.admit(member),
            CharterChange::Remove { nation, .. } => {
                self.removed += 1;
                self.member(nation)
            }
            CharterChange::ReplaceRoot { nation, root, .. } => {
                self.member(nation)?;
                self.root(root)
            }
            CharterChange::SetParams(params) => self.params(*params),
            CharterChange::SetRules(rules) => self.rules(*rules),
        }
    }

    fn admit(&mut self, member: &'a Member) -> Result<(), IllFormed> {
        self.admitted += 1;
        self.root(&member.root)?;
        let id = nation_id(&self.charter.alliance, &member.root);
        if self.charter.nation(&id).is_some() {
            return Err(IllFormed::RootUsed(member.root));
        }
        if self.charter.by_code(&member.code).is_some() {
            return Err(IllFormed::CodeUsed(member.code.clone()));
        }
        if !self.nations.insert(id) || !self.codes.insert(&member.code) {
            return Err(IllFormed::Twice(member.code.clone()));
        }
        Ok(())
    }

    fn member(&mut self, nation: &NationId) -> Result<(), IllFormed> {
        let Some(member) = self.charter.members.get(nation) else { return Err(IllFormed::NoMember(*nation)) };
        if self.nations.insert(*nation) { Ok(()) } else { Err(IllFormed::Twice(member.code.clone())) }
    }

    fn root(&mut self, root: &RootKey) -> Result<(), IllFormed> {
        let fresh = !self.charter.roots.contains(root) && self.roots.insert(*root);
        if fresh { Ok(()) } else { Err(IllFormed::RootUsed(*root)) }
    }

    fn params(&mut self, next: Params) -> Result<(), IllFormed> {
        let now = self.charter.params;
        if std::mem::replace(&mut self.params, true) {
            return Err(IllFormed::Twice("the set of parameters".to_owned()));
        }
        if next.max_active_keys < now.max_active_keys {
            return Err(IllFormed::Lowered("max_active_keys"));
        }
        if next.chain_quota < now.chain_quota {
            return Err(IllFormed::Lowered("chain_quota"));
        }
        Ok(())
    }

    fn rules(&mut self, next: u16) -> Result<(), IllFormed> {
        let now = self.charter.rules;
        if std::mem::replace(&mut self.rules, true) {
            return Err(IllFormed::Twice("the rules version".to_owned()));
        }
        if now.checked_add(1) == Some(next) { Ok(()) } else { Err(IllFormed::Rules { now, next }) }
    }
}
