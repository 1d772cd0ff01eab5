//! Whatever a liar does, and the network with it, the honest agree in the end and have lost nothing.

use super::{Bench, HOSTILE_MS, Strategy};

/// What happens around the liar.
#[derive(Clone, Copy, Debug)]
enum Course {
    /// It is cut off in the end.
    CutOff,
    /// For a while it is the only way between the honest; it stays nearly to the end.
    Between,
    /// The same from the start, and it is cut off in the end.
    Alone,
    /// Frames are lost, doubled and overtaken as well; it stays nearly to the end.
    Storm,
}

const COURSES: [Course; 4] = [Course::CutOff, Course::Between, Course::Alone, Course::Storm];

fn play(strategy: Strategy, seed: u64, course: Course) {
    let mut bench = Bench::new(strategy, seed);
    match course {
        Course::CutOff => {
            bench.run(HOSTILE_MS);
            bench.cut_off_liar();
        }
        Course::Between | Course::Storm => {
            bench.storm = matches!(course, Course::Storm);
            bench.run(1_000 + seed * 700 % 8_000);
            bench.cut_honest();
            bench.run(10_000);
            bench.heal_honest();
            bench.run(500 + seed * 1_100 % 7_000);
            bench.storm = false;
        }
        Course::Alone => {
            bench.cut_honest();
            bench.run(15_000);
            bench.heal_honest();
            bench.cut_off_liar();
        }
    }
    bench.hush();
    bench.run(60_000);
    bench.check_kept();
    // What it hands out late, a piece to one and nothing to the other, is not the honest ones' fault.
    bench.cut_off_liar();
    bench.run(8_000);
    bench.check_honest();
}

/// `COMITY_SEED` gives the first seed, `COMITY_CASES` how many follow.
#[test]
fn whatever_a_liar_does_the_honest_agree_in_the_end() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let first = number("COMITY_SEED").unwrap_or(1);
    for seed in first..first + number("COMITY_CASES").unwrap_or(1) {
        for strategy in Strategy::ALL {
            for course in COURSES {
                println!("COMITY_SEED={seed} {} {course:?}", strategy.name());
                play(strategy, seed, course);
            }
        }
    }
}
