//! What stands behind a pledge.

use super::{Checked, Lot, Pledge, Quantity};
use crate::ids::NationId;
use crate::statement::reference::Ref;
use crate::statement::typed::Place;
use crate::time::Day;
use crate::value::Value;

/// See [`Kind::Endorse`](crate::statement::Kind::Endorse).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct Endorse<'a> {
    pub requirement: Ref,
    pub text: Option<&'a str>,
}

/// See [`Kind::StockLot`](crate::statement::Kind::StockLot).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct StockLot<'a> {
    pub item: &'a str,
    pub class: Option<&'a str>,
    pub nsn: Option<&'a str>,
    pub quantity: Quantity<'a>,
    pub place: Option<Place<'a>>,
    pub available_from: Option<Day>,
    pub expires: Option<Day>,
    pub origin_nation: Option<&'a str>,
}

/// See [`Kind::StandbyPledge`](crate::statement::Kind::StandbyPledge).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct StandbyPledge<'a> {
    pub on: Trigger,
    pub pledge: Pledge<'a>,
}

/// What a standby pledge waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct Trigger {
    pub pledge: Option<Ref>,
    pub nation: Option<NationId>,
}

/// See [`Kind::Fund`](crate::statement::Kind::Fund).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct Fund<'a> {
    pub pledge: Ref,
    pub amount: u64,
    pub currency: &'a str,
    /// Days and amounts, in the order written.
    pub tranches: Vec<(Day, u64)>,
}

/// See [`Kind::AcceptSubstitute`](crate::statement::Kind::AcceptSubstitute).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct AcceptSubstitute<'a> {
    pub pledge: Ref,
    pub item: &'a str,
    pub per: u64,
    pub counts: u64,
}

/// See [`Kind::ConsentRequest`](crate::statement::Kind::ConsentRequest).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct ConsentRequest<'a> {
    pub pledge: Ref,
    pub origin: NationId,
    pub end_user: Option<&'a str>,
    pub purpose: Option<&'a str>,
}

/// See [`Kind::Consent`](crate::statement::Kind::Consent).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct Consent<'a> {
    pub gives: Grant<'a>,
    pub quantity: Option<Quantity<'a>>,
    pub end_user: Option<&'a str>,
    pub purpose: Option<&'a str>,
    pub valid_from: Option<Day>,
    pub valid_to: Option<Day>,
    pub conditions: Vec<&'a str>,
}

/// What a consent is to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant<'a> {
    /// The version of a request.
    Asked(Ref),
    /// Whatever a nation pledges of an item.
    Advance {
        /// The nation.
        donor: NationId,
        /// The item.
        item: &'a str,
    },
}

impl Consent<'_> {
    /// Whether it is valid on a day.
    pub fn valid_on(&self, day: Day) -> bool {
        self.valid_from.is_none_or(|from| from <= day) && self.valid_to.is_none_or(|to| day <= to)
    }
}

impl<'a> Checked<'a> {
    pub(super) fn nation(self, name: &str) -> Option<NationId> {
        match self.0.get(name) {
            Some(Value::Bytes(bytes)) => <[u8; 32]>::try_from(bytes.as_slice()).ok().map(NationId::new),
            _ => None,
        }
    }

    pub(super) fn lot(self, name: &str) -> Option<Lot<'a>> {
        match self.0.get(name)? {
            Value::Text(text) => Some(Lot::Named(text)),
            _ => self.reference(name).map(Lot::Record),
        }
    }

    pub(super) fn stock_lot(self) -> Option<StockLot<'a>> {
        Some(StockLot {
            item: self.text("item")?,
            class: self.text("class"),
            nsn: self.text("nsn"),
            quantity: self.quantity("quantity")?,
            place: self.place("place"),
            available_from: self.day("available_from"),
            expires: self.day("expires"),
            origin_nation: self.text("origin_nation"),
        })
    }

    pub(super) fn standby_pledge(self) -> Option<StandbyPledge<'a>> {
        let on = Trigger { pledge: self.reference("on_pledge"), nation: self.nation("on_nation") };
        Some(StandbyPledge { on, pledge: self.pledge()? })
    }

    pub(super) fn fund(self) -> Option<Fund<'a>> {
        let tranche = |(_, tranche): (u32, Self)| Some((tranche.day("day")?, tranche.uint("amount")?));
        Some(Fund {
            pledge: self.reference("pledge")?,
            amount: self.uint("amount")?,
            currency: self.text("currency")?,
            tranches: self.groups("tranches").filter_map(tranche).collect(),
        })
    }

    pub(super) fn accept_substitute(self) -> Option<AcceptSubstitute<'a>> {
        Some(AcceptSubstitute {
            pledge: self.reference("pledge")?,
            item: self.text("item")?,
            per: self.uint("per")?,
            counts: self.uint("counts")?,
        })
    }

    pub(super) fn consent_request(self) -> Option<ConsentRequest<'a>> {
        Some(ConsentRequest {
            pledge: self.reference("pledge")?,
            origin: self.nation("origin")?,
            end_user: self.text("end_user"),
            purpose: self.text("purpose"),
        })
    }

    pub(super) fn consent(self) -> Option<Consent<'a>> {
        let gives = if self.flag("advance") {
            Grant::Advance { donor: self.nation("donor")?, item: self.text("item")? }
        } else {
            Grant::Asked(self.reference("request")?)
        };
        Some(Consent {
            gives,
            quantity: self.quantity("quantity"),
            end_user: self.text("end_user"),
            purpose: self.text("purpose"),
            valid_from: self.day("valid_from"),
            valid_to: self.day("valid_to"),
            conditions: self.texts("conditions"),
        })
    }
}
