//! Exhaustive small scopes (PROTOCOL section 8, items 2 and 3): inside a bound nothing is sampled, every case is looked at.
//!
//! - [`orders`]: pools of up to eight records, all orders, repetitions and batches: one state (I1, I10, I19, T1).
//! - [`chains`]: every tree of up to six headers with up to two forks that a key may have signed, everything arriving in any
//!   order, against an oracle of spec 4.5.4 (I4, I5 so far as the rules go, I10, I19).
//! - [`lattice`] says why a walk over subsets stands for all orders, and what closes its gap.
//!
//! All of it runs over the real `State::admit` and `evaluate`; nothing is modelled again but the oracle. Each check is also
//! held against something broken, which it must notice. Every test prints what it looked at. `COMITY_SEED` replays a drawn
//! pool, and `COMITY_CASES` multiplies the number of pools; from 2 and from 10 on it opens the larger scopes of trees too:
//!
//! ```text
//! COMITY_CASES=10 cargo test --workspace --test scopes -- --nocapture
//! ```

mod chains;
mod dice;
mod lattice;
mod nasty;
mod oracle;
mod orders;
mod random;
mod seen;
mod trees;
