//! What breaks if somebody drops out: pure functions of a view (DOMAIN 2.7).
//!
//! Everything is counted in whole numbers, so that every node prints the same: shares in millionths, concentration in
//! ten-thousandths. Quantities of different units are never added; where needs are put together, each is measured by the share
//! of it that is open.

pub mod concentration;
pub mod loss;
pub mod network;
pub mod supply;
