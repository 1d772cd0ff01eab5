//! Many seeds on several threads.
//!
//! A run stays on one thread and shares nothing with the others, so its trace does not depend on who runs beside it.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::mpsc::sync_channel;
use std::thread;

use comity_protocol::rules::Rules;

use super::plan::Plan;
use super::profile::Profile;
use super::trace::Trace;
use super::{Outcome, run};

/// Outcomes that a thread may have ready before those of the others are taken.
const AHEAD_MAX: usize = 16;

/// Seeds to run, and how.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Which seeds.
    pub seeds: Range<u64>,
    /// The kind of run.
    pub profile: Profile,
    /// The rules the honest nodes keep.
    pub rules: Rules,
    /// How many threads.
    pub threads: NonZeroUsize,
}

impl Batch {
    /// Runs the seeds and hands over each outcome in the order of the seeds, without gaps; a run that held comes without its
    /// trace.
    ///
    /// No run begins after `go_on` has said no; then what is handed over ends earlier.
    pub fn run(&self, go_on: &(dyn Fn() -> bool + Sync), each: &mut dyn FnMut(u64, Outcome)) {
        let threads = u64::try_from(self.threads.get()).unwrap_or(u64::MAX);
        let starts = self.seeds.clone().take(self.threads.get());
        thread::scope(|scope| {
            // Every thread has its own seeds and its own queue, so whose outcome is next is known beforehand.
            let queues: Vec<_> = starts
                .map(|first| {
                    let (sender, queue) = sync_channel(AHEAD_MAX);
                    scope.spawn(move || {
                        let mut seed = first;
                        while self.seeds.contains(&seed) && go_on() && sender.send(self.one(seed)).is_ok() {
                            seed = seed.saturating_add(threads);
                        }
                    });
                    queue
                })
                .collect();
            for (seed, queue) in self.seeds.clone().zip(queues.iter().cycle()) {
                let Ok(outcome) = queue.recv() else { break };
                each(seed, outcome);
            }
        });
    }

    fn one(&self, seed: u64) -> Outcome {
        let mut outcome = run(&Plan::new(seed, self.profile), self.rules);
        if outcome.violation.is_none() {
            outcome.trace = Trace::default();
        }
        outcome
    }
}
