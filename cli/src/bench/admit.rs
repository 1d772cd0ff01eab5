//! One more envelope on a small and on a large document.

use std::time::Instant;

use comity_protocol::charter::Anchor;
use comity_protocol::evaluate::{Element, State, evaluate};

use super::{Figure, lab, median, micros};
use crate::failure::Failure;

/// Envelopes whose admission is timed on each document.
const SAMPLES: usize = 50;

/// Measures admission into a document of `few` and one of `many` statements: guard, row table, digests and all.
///
/// # Errors
/// [`Failure`].
pub fn run(few: usize, many: usize, rounds: usize) -> Result<Vec<Figure>, Failure> {
    let lab = lab::Lab::found()?;
    let control: Vec<Element> = lab.control.iter().cloned().map(Element::Control).collect();
    let (mut on_few, mut on_many) = (Vec::new(), Vec::new());
    let samples = SAMPLES * rounds.max(1);
    let mut replica = lab.replica(0)?;
    let mut held: State = evaluate(Anchor::founding(lab.alliance), control);
    let mut number = 0;
    let mut next = |state: &mut State, into: Option<&mut Vec<f64>>| -> Result<(), Failure> {
        let elements = lab::elements(lab::write(&mut replica, number)?);
        number += 1;
        let start = Instant::now();
        state.admit(elements);
        // The digests are what a heartbeat reads next; their cost belongs to the envelope.
        let digests = (state.held(), state.state());
        if let Some(into) = into {
            into.push(micros(start.elapsed()));
        }
        std::hint::black_box(digests);
        Ok(())
    };
    for _ in 0..few {
        next(&mut held, None)?;
    }
    for _ in 0..samples {
        next(&mut held, Some(&mut on_few))?;
    }
    for _ in 0..many.saturating_sub(few + samples) {
        next(&mut held, None)?;
    }
    for _ in 0..samples {
        next(&mut held, Some(&mut on_many))?;
    }
    let what = format!("one new envelope at {many} statements");
    let against = format!("at {few} statements");
    Ok(vec![Figure::ratio(&what, "us", median(on_many), &against, median(on_few), 3.0)])
}
