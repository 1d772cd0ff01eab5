//! What follows from what was said: buckets, cases of DOMAIN 2.6 on two replicas, drafts, hostile values, properties.

mod world;
mod buckets;
mod cases;
mod receipts;
mod drafts;
mod hostile;
mod paper;
mod properties;
mod resilience;
mod stage;
mod decisions;
mod silence;
mod supply;
mod passage;
