//! Second pass: pledges to their requirements, answers to their pledges (C5, C6, C18, C21, C23).

use super::flags::Flags;
use super::pause::{PLEDGES, Pause, Pauses, saw};
use super::read::{Item, Pins, Reading, find, index};
use super::rows::{AcceptOutcome, FlagCode, Standing};
use crate::statement::conversion::Conversions;
use crate::statement::reference::Ref;
use crate::statement::typed::{Accept, Lot, Pledge, Quantity, Says, Statement};
use crate::statement::units::{Dimension, Unit};
use crate::statement::{Kind, Status};
use crate::table::Version;

/// What the answers to one pledge come to, in base units.
#[derive(Clone, Copy, Default)]
pub(super) struct Answered {
    /// Sum of the acceptances that stand.
    pub(super) accepted: u128,
    /// Sum of those that pin an older, materially different version.
    pub(super) stale: u128,
    /// Whether one crossed with the withdrawal.
    pub(super) contested: bool,
    /// Whether the version that counts was declined.
    pub(super) declined: bool,
}

/// Where answers and pledges lead, place by place.
pub(super) struct Links {
    /// The requirement of each pledge.
    pub(super) requirement_of: Vec<Option<usize>>,
    /// The pledge of each acceptance.
    pub(super) accept_of: Vec<Option<usize>>,
    /// What became of each acceptance.
    pub(super) outcomes: Vec<AcceptOutcome>,
    /// The pledge of each refusal.
    pub(super) decline_of: Vec<Option<usize>>,
    /// The answers to each pledge.
    pub(super) answered: Vec<Answered>,
    /// Whether a notice pauses each pledge.
    pub(super) paused: Vec<bool>,
    /// How much each pledge states, in base units of the dimension it states it in.
    pub(super) stated: Vec<(u64, Option<Dimension>)>,
}

/// What linking needs beside the reading.
pub(super) struct Grounds<'g, 'a> {
    /// Notices in force.
    pub(super) pauses: &'g Pauses<'a>,
    /// What nations say units come to.
    pub(super) conversions: &'g Conversions<'a>,
}

/// Links pledges and answers, and sets their standing.
pub(super) fn link<'a>(reading: &mut Reading<'a>, grounds: &Grounds<'_, 'a>, flags: &mut Flags) -> Links {
    reading.sort_pledges();
    for requirement in &mut reading.requirements {
        if requirement.says.quantity.known_unit().is_none() {
            requirement.standing = Standing::UnitUnknown;
            let detail =
                format!("unit {} is not in the table", crate::statement::visible(requirement.says.quantity.unit));
            flags.raise(FlagCode::UnitUnknown, [requirement.name.clone()], [&*requirement.name.code], detail);
        }
    }
    let dimension = |pledge: &Item<'_, Pledge<'_>>| dimension(pledge.says.quantity.known_unit());
    let stated = reading.pledges.iter().map(|pledge| (pledge.says.quantity.base, dimension(pledge))).collect();
    let requirement_of = link_pledges(reading, grounds.conversions, flags);
    let paused: Vec<bool> = reading.pledges.iter().map(|pledge| pausing(grounds.pauses, pledge).is_some()).collect();
    wait(reading, grounds.pauses, &paused, flags);
    let mut links = Links {
        requirement_of,
        accept_of: vec![None; reading.accepts.len()],
        outcomes: vec![AcceptOutcome::Nothing; reading.accepts.len()],
        decline_of: vec![None; reading.declines.len()],
        answered: vec![Answered::default(); reading.pledges.len()],
        paused,
        stated,
    };
    let mut accepts = std::mem::take(&mut reading.accepts);
    let mut declines = std::mem::take(&mut reading.declines);
    let pledges = index(&reading.pledges);
    let mut answers = Answers { reading, links: &mut links, grounds, flags, pins: Pins::default() };
    for (place, accept) in accepts.iter_mut().enumerate() {
        let pledge = find(&pledges, &accept.says.pledge);
        answers.accept(place, accept, pledge);
    }
    for (place, decline) in declines.iter_mut().enumerate() {
        let pledge = find(&pledges, &decline.says.pledge);
        answers.links.decline_of[place] = pledge;
        let reference = decline.says.pledge.clone();
        if let Some((pledge, pinned)) = answers.check(decline, pledge, &reference, Kind::Decline) {
            let latest = answers.reading.pledges[pledge].version.source.envelope == pinned.source.envelope;
            answers.links.answered[pledge].declined |= latest && decline.live();
        }
    }
    drop(pledges);
    reading.accepts = accepts;
    reading.declines = declines;
    flag_pauses(reading, grounds.pauses, &links, flags);
    links
}

/// Returns the notice that pauses a pledge.
fn pausing<'p, 'a>(pauses: &'p Pauses<'a>, pledge: &Item<'_, Pledge<'_>>) -> Option<&'p Pause<'a>> {
    pauses.pausing(&pledge.name, PLEDGES, &pledge.seen).filter(|_| pledge.live())
}

/// Lets standby pledges wait whose withdrawal or pause has not come (C30).
fn wait(reading: &mut Reading<'_>, pauses: &Pauses<'_>, paused: &[bool], flags: &mut Flags) {
    let mut gone: Vec<(usize, Standing)> = Vec::new();
    let pledges = index(&reading.pledges);
    for (place, pledge) in reading.pledges.iter().enumerate() {
        let Some(trigger) = reading.triggers.get(&(pledge.name.nation, pledge.name.id.clone())) else { continue };
        if pledge.name.kind != Kind::StandbyPledge || pledge.standing != Standing::Counted {
            continue;
        }
        let on = trigger.pledge.as_ref().map(|reference| find(&pledges, reference));
        let withdrawn = |other: usize| !reading.pledges[other].live() || paused[other];
        let called =
            on.flatten().is_some_and(withdrawn) || trigger.nation.is_some_and(|nation| pauses.pauses_pledges(nation));
        match on {
            _ if called => {}
            Some(None) if trigger.nation.is_none() => {
                let detail = "waits for a pledge that is not here".to_owned();
                flags.raise(FlagCode::Pending, [pledge.name.clone()], [], detail);
                gone.push((place, Standing::Pending));
            }
            _ => gone.push((place, Standing::Standby)),
        }
    }
    drop(pledges);
    for (place, standing) in gone {
        reading.pledges[place].standing = standing;
    }
}

/// Raises one flag for each notice: it, the pledges it pauses, and the acceptances that crossed with it (C27).
fn flag_pauses(reading: &Reading<'_>, pauses: &Pauses<'_>, links: &Links, flags: &mut Flags) {
    let mut batches: std::collections::BTreeMap<&super::rows::Name, Vec<super::rows::Name>> = Default::default();
    for pledge in reading.pledges.iter().zip(&links.paused).filter(|(_, paused)| **paused).map(|(pledge, _)| pledge) {
        if let Some(pause) = pausing(pauses, pledge) {
            batches.entry(&pause.name).or_default().push(pledge.name.clone());
        }
    }
    for (accept, pledge) in reading.accepts.iter().zip(&links.accept_of) {
        let Some(pledge) = pledge.filter(|pledge| links.paused[*pledge] && accept.live()) else { continue };
        if let Some(pause) = pausing(pauses, &reading.pledges[pledge]) {
            batches.entry(&pause.name).or_default().push(accept.name.clone());
        }
    }
    for (notice, names) in batches {
        let detail = format!("{} of its statements and answers to them count nothing from that day", names.len());
        flags.raise(FlagCode::Suspended, std::iter::once(notice.clone()).chain(names), [&*notice.code], detail);
    }
}

fn dimension(unit: Option<Unit>) -> Option<Dimension> {
    unit.map(|unit| unit.dimension)
}

/// Returns a quantity in another dimension, as the first of these nations that says something about it has it; `None` where
/// nobody does, or nothing whole is left.
fn converted(
    conversions: &Conversions<'_>,
    nations: [crate::ids::NationId; 2],
    item: &str,
    quantity: &Quantity<'_>,
    to: Dimension,
) -> Option<Quantity<'static>> {
    let base = conversions.ratio(&nations, item, quantity.unit, to)?.down(quantity.base)?;
    (base > 0).then_some(Quantity { base, unit: to.base() })
}

fn link_pledges(reading: &mut Reading<'_>, conversions: &Conversions<'_>, flags: &mut Flags) -> Vec<Option<usize>> {
    let (requirements, lots) = (index(&reading.requirements), index(&reading.lots));
    let mut places = Vec::with_capacity(reading.pledges.len());
    for pledge in &mut reading.pledges {
        let place = pledge.says.requirement.as_ref().and_then(|wanted| find(&requirements, wanted));
        let requirement = place.map(|place| &reading.requirements[place]);
        places.push(place);
        if let Some((requirement, to)) =
            requirement.and_then(|wanted| Some((wanted, dimension(wanted.says.quantity.known_unit())?)))
            && dimension(pledge.says.quantity.known_unit()) != Some(to)
        {
            let nations = [pledge.name.nation, requirement.name.nation];
            let into = converted(conversions, nations, pledge.says.item, &pledge.says.quantity, to);
            pledge.says.quantity = into.unwrap_or(pledge.says.quantity);
        }
        let unit = pledge.says.quantity.known_unit();
        let other = requirement.map(|requirement| requirement.says.quantity.known_unit());
        if pledge.says.requirement.is_some() && requirement.is_none() {
            pledge.standing = Standing::Pending;
            let detail = "names a requirement that is not here".to_owned();
            flags.raise(FlagCode::Pending, [pledge.name.clone()], [], detail);
        } else if matches!(&pledge.says.lot, Some(Lot::Record(lot)) if find(&lots, lot).is_none()) {
            pledge.standing = Standing::Pending;
            let detail = "draws on a stock lot that is not here".to_owned();
            flags.raise(FlagCode::Pending, [pledge.name.clone()], [], detail);
        } else if unit.is_none()
            || other.is_some_and(|other| other.map(|unit| unit.dimension) != unit.map(|unit| unit.dimension))
        {
            pledge.standing = Standing::UnitUnknown;
            let named =
                std::iter::once(pledge.name.clone()).chain(requirement.map(|requirement| requirement.name.clone()));
            let clears =
                std::iter::once(&*pledge.name.code).chain(requirement.map(|requirement| &*requirement.name.code));
            let asked = requirement.map_or("nothing", |requirement| requirement.says.quantity.unit);
            let detail = format!(
                "{} cannot be compared with {}",
                crate::statement::visible(pledge.says.quantity.unit),
                crate::statement::visible(asked)
            );
            flags.raise(FlagCode::UnitUnknown, named, clears, detail);
        }
    }
    places
}

struct Answers<'r, 'a> {
    reading: &'r Reading<'a>,
    links: &'r mut Links,
    grounds: &'r Grounds<'r, 'a>,
    flags: &'r mut Flags,
    pins: Pins<'a>,
}

impl<'a> Answers<'_, 'a> {
    /// Checks that an answer's pledge is here and that the recipient gave it; returns the pledge and the version pinned.
    fn check<T>(
        &mut self,
        answer: &mut Item<'a, T>,
        pledge: Option<usize>,
        reference: &Ref,
        kind: Kind,
    ) -> Option<(usize, &'a Version)> {
        let found =
            pledge.and_then(|place| Some((place, self.pins.version(place, &self.reading.pledges[place], reference)?)));
        let Some((place, version)) =
            found.filter(|(place, _)| self.reading.pledges[*place].standing != Standing::Pending)
        else {
            answer.standing = Standing::Pending;
            self.flags.raise(
                FlagCode::Pending,
                [answer.name.clone()],
                [],
                "names a version of a pledge that is not here, or waits with it".to_owned(),
            );
            return None;
        };
        let pledge = &self.reading.pledges[place];
        if let Some(requirement) = self.links.requirement_of[place].map(|place| &self.reading.requirements[place])
            && requirement.name.nation != answer.name.nation
        {
            answer.standing = Standing::NotAuthorised;
            let detail = format!("a {kind} is for the recipient, {}, to write", requirement.name.code);
            self.flags.raise(FlagCode::NotAuthorised, [answer.name.clone(), pledge.name.clone()], [], detail);
            return None;
        }
        Some((place, version))
    }

    fn accept(&mut self, place: usize, accept: &mut Item<'a, Accept<'a>>, pledge: Option<usize>) {
        self.links.accept_of[place] = pledge;
        let reference = accept.says.pledge.clone();
        let Some((at, pinned)) = self.check(accept, pledge, &reference, Kind::Accept) else { return };
        let pledge = &self.reading.pledges[at];
        if let Some(to) = dimension(pledge.says.quantity.known_unit())
            && dimension(accept.says.quantity.known_unit()) != Some(to)
        {
            let nations = [accept.name.nation, pledge.name.nation];
            let own = &accept.says.quantity;
            let into = converted(self.grounds.conversions, nations, pledge.says.item, own, to);
            accept.says.quantity = into.unwrap_or(accept.says.quantity);
        }
        let (own, other) = (accept.says.quantity.known_unit(), pledge.says.quantity.known_unit());
        if own.is_none() || dimension(own) != dimension(other) {
            accept.standing = Standing::UnitUnknown;
            let detail = format!(
                "{} cannot be compared with {}",
                crate::statement::visible(accept.says.quantity.unit),
                crate::statement::visible(pledge.says.quantity.unit)
            );
            self.flags.raise(
                FlagCode::UnitUnknown,
                [accept.name.clone(), pledge.name.clone()],
                [&*accept.name.code, &*pledge.name.code],
                detail,
            );
            return;
        }
        if !accept.live() {
            return;
        }
        let pause = pausing(self.grounds.pauses, pledge);
        let outcome = outcome(accept, pledge, pinned, self.links.stated[at].1, pause);
        self.links.outcomes[place] = outcome;
        let answered = &mut self.links.answered[at];
        let quantity = u128::from(accept.says.quantity.base);
        match outcome {
            AcceptOutcome::Stands => answered.accepted += quantity,
            AcceptOutcome::Stale => answered.stale += quantity,
            AcceptOutcome::Contested => answered.contested = true,
            AcceptOutcome::Void | AcceptOutcome::WithdrawnAfter | AcceptOutcome::Nothing => {}
        }
        // What a notice does is flagged in one batch.
        if pause.is_none() || !pledge.live() {
            self.flag(accept, pledge, outcome, pinned.source.envelope != pledge.version.source.envelope);
        }
    }

    fn flag(
        &mut self,
        accept: &Item<'_, Accept<'_>>,
        pledge: &Item<'_, Pledge<'_>>,
        outcome: AcceptOutcome,
        changed: bool,
    ) {
        let names = [pledge.name.clone(), accept.name.clone()];
        let donor = pledge.name.code.as_str();
        let recipient = accept.name.code.as_str();
        let cut = accept.says.quantity.base > pledge.says.quantity.base;
        match outcome {
            AcceptOutcome::Contested => {
                let detail =
                    "withdrawn without having seen the acceptance; nothing of it counts but what moved".to_owned();
                self.flags.raise(FlagCode::Contested, names, [donor], detail);
            }
            AcceptOutcome::WithdrawnAfter => {
                self.flags.raise(
                    FlagCode::WithdrawnAfterAcceptance,
                    names,
                    [donor],
                    "withdrawn with the acceptance in sight".to_owned(),
                );
            }
            AcceptOutcome::Stale => {
                self.flags.raise(
                    FlagCode::StaleAccept,
                    names,
                    [recipient],
                    "the pledge changed materially since it was accepted".to_owned(),
                );
            }
            AcceptOutcome::Stands if changed && cut => {
                let detail = format!(
                    "accepted {} of a pledge that is now {}",
                    accept.says.quantity.base, pledge.says.quantity.base
                );
                self.flags.raise(FlagCode::StaleAccept, names, [recipient], detail);
            }
            AcceptOutcome::Stands if changed => {
                self.flags.raise(
                    FlagCode::ChangedSince,
                    names,
                    [recipient],
                    "pins a version that is no longer the latest".to_owned(),
                );
            }
            AcceptOutcome::Stands | AcceptOutcome::Void | AcceptOutcome::Nothing => {}
        }
    }
}

fn outcome(
    accept: &Item<'_, Accept<'_>>,
    pledge: &Item<'_, Pledge<'_>>,
    pinned: &Version,
    stated: Option<Dimension>,
    pause: Option<&Pause<'_>>,
) -> AcceptOutcome {
    let latest = pinned.source.envelope == pledge.version.source.envelope;
    if latest && pledge.live() && pause.is_none() {
        return AcceptOutcome::Stands;
    }
    let taken = Statement::read(pledge.name.kind, &pinned.fields).ok();
    let saw_withdrawal = || pledge.status != Status::Live && saw(&accept.seen, &pledge.name);
    let saw_pause = || pause.is_some_and(|pause| saw(&accept.seen, &pause.name));
    if saw_pause() {
        return AcceptOutcome::Void;
    }
    if taken.as_ref().is_some_and(|taken| taken.status != Status::Live) || saw_withdrawal() {
        return AcceptOutcome::Void;
    }
    if pledge.status != Status::Live || pause.is_some() {
        let names_accept = |seen: &Ref| {
            seen.nation == accept.name.nation && seen.id == accept.name.id && seen.kind == Kind::Accept.name()
        };
        let ended = pause.filter(|_| pledge.live()).map_or(&pledge.seen, |pause| &pause.seen);
        let seen = ended.iter().any(names_accept);
        return if seen { AcceptOutcome::WithdrawnAfter } else { AcceptOutcome::Contested };
    }
    let taken = match taken.map(|taken| taken.says) {
        Some(Says::Pledge(taken)) => taken,
        Some(Says::StandbyPledge(taken)) => taken.pledge,
        _ => return AcceptOutcome::Stale,
    };
    if changed_materially(&taken, &pledge.says, stated) { AcceptOutcome::Stale } else { AcceptOutcome::Stands }
}

/// Whether what was accepted is no longer what is offered: another item, dimension or requirement, a later delivery, or a
/// condition that was not there (C6). A smaller quantity alone cuts the acceptance instead.
fn changed_materially(old: &Pledge<'_>, new: &Pledge<'_>, stated: Option<Dimension>) -> bool {
    let record = |reference: &Ref| (reference.nation, reference.kind.clone(), reference.id.clone());
    let later = match (old.deliver_by, new.deliver_by) {
        (Some(old), Some(new)) => new > old,
        (Some(_), None) => true,
        (None, _) => false,
    };
    later
        || old.item != new.item
        || dimension(old.quantity.known_unit()) != stated
        || old.requirement.as_ref().map(record) != new.requirement.as_ref().map(record)
        || new.conditions.iter().any(|condition| !old.conditions.contains(condition))
}
