//! Honest documents and what hostile authors would add to them: the corpora of the guard (spec Appendix A).

pub mod corpus;
pub mod histories;
pub mod mirror;
pub mod raw;
pub mod tally;
