//! A durable local commit against appending and syncing the same bytes.

use std::fs::File;
use std::io::Write as _;
use std::time::Instant;

use super::{Figure, lab, median, micros};
use crate::failure::Failure;

/// Commits of each kind in one round.
const COMMITS: usize = 40;
/// Writers that wait at the same time.
const WRITERS: usize = 64;

/// Measures one writer and many.
///
/// # Errors
/// [`Failure`].
pub async fn run(rounds: usize) -> Result<Vec<Figure>, Failure> {
    let lab = lab::Lab::found()?;
    let store = lab.open(0).await?;
    let mut replica = lab.replica(0)?;
    let path = lab.folder().join("append");
    let mut file = File::create(&path).map_err(|error| Failure::file("create", &path, &error))?;
    let mut number = 0;
    let (mut ours, mut appended, mut together) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds.max(1) * COMMITS {
        // One of each in turn, so that both see the same disk.
        let start = Instant::now();
        let ops = lab::write(&mut replica, number)?;
        let bytes = lab::payload_bytes(&ops);
        store.save(ops).await?;
        ours.push(micros(start.elapsed()));
        number += 1;
        let start = Instant::now();
        file.write_all(&bytes)
            .and_then(|()| file.sync_data())
            .map_err(|error| Failure::file("append to", &path, &error))?;
        appended.push(micros(start.elapsed()));
    }
    for _ in 0..rounds.max(1) * 4 {
        let start = Instant::now();
        let mut ops = Vec::new();
        for _ in 0..WRITERS {
            ops.extend(lab::write(&mut replica, number)?);
            number += 1;
        }
        store.save(ops).await?;
        together.push(micros(start.elapsed()) / f64::from(u32::try_from(WRITERS).expect("a small constant")));
    }
    store.close().await;
    let one = median(ours);
    Ok(vec![
        Figure::ratio("durable local commit", "us", one, "append and fdatasync of its bytes", median(appended), 1.5),
        Figure::ratio(
            "the same, 64 writers waiting together, each",
            "us",
            median(together),
            "one writer",
            one,
            1.0 / 30.0,
        ),
    ])
}
