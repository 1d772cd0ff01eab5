//! Each strategy, one liar linked to two honest replicas that are linked to each other.

mod bench;
mod storm;

use std::collections::{BTreeMap, BTreeSet};

use comity_protocol::body::{Body, KIND_WITNESS};
use comity_protocol::chain::AuthorStatus;
use comity_protocol::effect::Effect;
use comity_protocol::envelope::Header;
use comity_protocol::guard::{Guard, VoidReason, prescan};
use comity_protocol::ids::{AuthorKey, EnvelopeId};
use comity_protocol::limits::TIME_MS_MAX;
use comity_protocol::message::run::RunBody;
use comity_protocol::message::{Frame, PushedEnvelope};
use comity_protocol::value::Actor;

use super::chunk::Chunk;
use super::{Lie, Strategy, change, garbage, spoil};
use bench::{Bench, HONEST, LIAR, Sent};

/// Seeds of every test here; `COMITY_SEED` gives one instead.
const SEEDS: u64 = 6;
/// How long a liar has, in virtual milliseconds.
const HOSTILE_MS: u64 = 20_000;

fn seeds(case: impl Fn(u64)) {
    let given = std::env::var("COMITY_SEED").ok().map(|text| text.parse::<u64>().expect("a number"));
    let (first, last) = given.map_or((1, SEEDS), |seed| (seed, seed));
    for seed in first..=last {
        println!("COMITY_SEED={seed}");
        case(seed);
    }
}

/// Lets a liar lie, cuts it off, and checks what must hold of the honest whatever it did.
fn play(strategy: Strategy, seed: u64) -> Bench {
    let mut bench = Bench::new(strategy, seed);
    bench.run(HOSTILE_MS);
    bench.cut_off_liar();
    bench.run(6_000);
    bench.check_honest();
    bench
}

fn pushes(bench: &Bench) -> Vec<(usize, Header, PushedEnvelope)> {
    let mut all = Vec::new();
    for Sent { to, effect } in &bench.sent {
        if let Effect::Push { frame, .. } = effect {
            let envelopes = spoil::pushed(frame).into_iter();
            all.extend(envelopes.filter_map(|envelope| Some((*to, spoil::header_of(&envelope)?.0, envelope))));
        }
    }
    all
}

fn own_pushes(bench: &Bench) -> Vec<(usize, Header, PushedEnvelope)> {
    let me = bench.liar.me();
    pushes(bench).into_iter().filter(|(_, header, _)| header.author_id() == me).collect()
}

fn answers(bench: &Bench) -> Vec<Frame> {
    let frames = bench.sent.iter().filter_map(|sent| match &sent.effect {
        Effect::Answer { frames, .. } => Some(frames),
        _ => None,
    });
    frames.flatten().filter_map(|frame| Frame::decode(frame).ok()).collect()
}

#[test]
fn names_are_found_again() {
    for strategy in Strategy::ALL {
        assert_eq!(Strategy::from_name(strategy.name()), Some(strategy));
    }
    assert_eq!(Strategy::from_name("honest"), None);
}

#[test]
fn the_same_seed_sends_the_same_bytes() {
    for strategy in Strategy::ALL {
        for seed in 1..=2 {
            let [once, again] = [(); 2].map(|()| {
                let mut bench = Bench::new(strategy, seed);
                bench.run(8_000);
                bench.sent.iter().map(|sent| format!("{sent:?}")).collect::<Vec<_>>()
            });
            assert!(once.len() > 10, "{} sent {}", strategy.name(), once.len());
            assert_eq!(once, again, "{}, COMITY_SEED={seed}", strategy.name());
        }
    }
}

#[test]
fn an_equivocator_shows_two_envelopes_at_one_position() {
    seeds(|seed| {
        let bench = play(Strategy::Equivocate, seed);
        // The peers each envelope was pushed to, in order.
        let mut by_seq: BTreeMap<u64, BTreeMap<EnvelopeId, Vec<usize>>> = BTreeMap::new();
        for (peer, header, _) in own_pushes(&bench) {
            by_seq.entry(header.seq).or_default().entry(header.id()).or_default().push(peer);
        }
        let (fork, twins) = by_seq.iter().find(|(_, ids)| ids.len() == 2).expect("two envelopes with one seq");
        let [one, other] = twins.values().collect::<Vec<_>>()[..] else { panic!("two") };
        assert!(one[0] != other[0], "each side saw one of them first");
        assert!(one.len() > 1 && other.len() > 1, "later both sides saw both");
        for honest in &bench.honest {
            let chain = honest.state().chain(&bench.liar.me()).expect("held");
            assert_eq!(chain.fork(), Some(*fork));
        }
    });
}

#[test]
fn a_back_dater_forks_far_below_its_head_and_claims_times_far_ahead() {
    let (mut deep, mut first, mut ahead) = (0, 0, 0);
    for seed in 1..=SEEDS {
        let bench = play(Strategy::BackDate, seed);
        let mut top = 0;
        let mut seen: BTreeMap<u64, EnvelopeId> = BTreeMap::new();
        for (_, header, _) in own_pushes(&bench) {
            let before = *seen.entry(header.seq).or_insert(header.id());
            let back = before != header.id();
            deep += u32::from(back && header.seq + 1 < top);
            first += u32::from(back && header.seq == 1);
            ahead += u32::from(header.time_ms > bench.now.0 + 1_000_000_000);
            assert!(header.time_ms <= TIME_MS_MAX);
            top = top.max(header.seq);
        }
    }
    assert!(deep > 0 && first > 0 && ahead > 0, "deep {deep}, first {first}, ahead {ahead}");
}

#[test]
fn a_withholder_of_headers_shows_them_and_serves_none() {
    seeds(|seed| {
        let bench = play(Strategy::WithholdHeaders, seed);
        let me = bench.liar.me();
        assert!(pushes(&bench).iter().all(|(_, header, _)| header.author_id() == me), "nothing is carried");
        let shown = answers(&bench).into_iter().filter_map(|frame| match frame {
            Frame::FrontierReply(entries) => Some(entries.len()),
            _ => None,
        });
        assert!(shown.max() >= Some(2), "the frontier is whole");
    });
}

#[test]
fn a_withholder_of_bodies_answers_with_bodiless_runs() {
    seeds(|seed| {
        let mut bench = Bench::new(Strategy::WithholdBodies, seed);
        // One honest node hears of the others only through the liar.
        bench.cut_honest();
        bench.run(HOSTILE_MS);
        let runs = answers(&bench).into_iter().filter_map(|frame| match frame {
            Frame::Run(run) if run.author != bench.liar.me() => Some(run),
            _ => None,
        });
        let mut items = runs.flat_map(|run| run.items);
        assert!(items.all(|item| matches!(item.body, RunBody::Missing { .. })));
        assert!(pushes(&bench).iter().all(|(_, header, _)| header.author_id() == bench.liar.me()));
        let chain = bench.honest[1].state().chain(&bench.honest[0].me()).expect("its headers came");
        assert!(chain.tip().seq > 0 && chain.bodies_to() == 0, "headers without bodies");
        bench.heal_honest();
        bench.cut_off_liar();
        bench.run(8_000);
        bench.check_honest();
    });
}

#[test]
fn a_withholder_of_an_author_never_names_it() {
    seeds(|seed| {
        let bench = play(Strategy::WithholdAuthor, seed);
        let Lie::Withhold(lie) = bench.liar_lie() else { panic!("a withholder") };
        let out = lie.left_out().expect("somebody was chosen");
        assert!(out != bench.liar.me());
        let late = bench.sent.iter().skip(40).collect::<Vec<_>>();
        assert!(!late.is_empty());
        assert!(pushes(&bench).iter().all(|(_, header, _)| header.author_id() != out));
        for frame in answers(&bench).into_iter().skip(4) {
            match frame {
                Frame::FrontierReply(entries) => assert!(entries.iter().all(|entry| entry.author != out)),
                Frame::Run(run) => assert!(run.author != out),
                _ => {}
            }
        }
    });
}

#[test]
fn a_replayer_repeats_what_was_said() {
    let mut foreign = 0;
    for seed in 1..=SEEDS {
        let bench = play(Strategy::ReplayOld, seed);
        let mut times: BTreeMap<(usize, EnvelopeId), u32> = BTreeMap::new();
        for (to, header, _) in pushes(&bench) {
            *times.entry((to, header.id())).or_default() += 1;
            foreign += u32::from(header.alliance != bench.alliance.id);
        }
        assert!(times.values().any(|times| *times > 1), "COMITY_SEED={seed}");
    }
    assert!(foreign > 0, "something came from another alliance");
}

#[test]
fn a_garbler_sends_every_kind_of_garbage() {
    let mut sent: BTreeMap<garbage::Kind, u32> = BTreeMap::new();
    for seed in 1..=40 {
        let mut bench = Bench::new(Strategy::Garbage, seed);
        bench.run(HOSTILE_MS);
        let Lie::Garbage(lie) = bench.liar_lie() else { panic!("a garbler") };
        for (kind, times) in &lie.sent {
            *sent.entry(*kind).or_default() += times;
        }
        bench.cut_off_liar();
        bench.run(6_000);
        bench.check_honest();
    }
    let missing: Vec<_> = garbage::Kind::all().into_iter().filter(|kind| !sent.contains_key(kind)).collect();
    assert!(missing.is_empty(), "never sent: {missing:?} of {sent:?}");
}

#[test]
fn a_flooder_goes_over_every_rate() {
    let (mut far, mut refused) = (0, 0);
    for seed in 1..=SEEDS {
        let bench = play(Strategy::Flood, seed);
        let height = bench.liar.state().chain(&bench.liar.me()).map_or(0, |chain| chain.tip().seq);
        far += own_pushes(&bench).iter().filter(|(_, header, _)| header.seq > height + 1).count();
        refused += bench.honest.iter().map(|honest| honest.counters().refused_rate).sum::<u64>();
        assert!(height > 10, "many own envelopes: {height}");
        for honest in &bench.honest {
            let chain = honest.state().chain(&bench.liar.me()).expect("held");
            assert_eq!(chain.fork(), None);
            assert!(chain.len() <= 120, "nothing unlinkable is stored");
        }
    }
    assert!(far > 0 && refused > 0, "far ahead {far}, refused for the rate {refused}");
}

#[test]
fn a_lying_witness_acknowledges_what_does_not_exist() {
    seeds(|seed| {
        let bench = play(Strategy::LyingAcks, seed);
        let mut lies = 0;
        for (_, header, envelope) in own_pushes(&bench) {
            if header.kind != KIND_WITNESS {
                continue;
            }
            let Ok(Body::Witness(witness)) = Body::decode(KIND_WITNESS, &envelope.body) else { panic!("it decodes") };
            lies += witness.acks.iter().filter(|ack| bench.honest[0].state().envelope(&ack.tip.id).is_none()).count();
        }
        assert!(lies > 0);
        let held: BTreeSet<_> = bench.honest.iter().map(|honest| honest.state().held()).collect();
        assert_eq!(held.len(), 1);
    });
}

#[test]
fn hostile_changes_are_carried_and_count_for_nothing() {
    let mut done: BTreeSet<change::Attack> = BTreeSet::new();
    let mut reasons: BTreeSet<&str> = BTreeSet::new();
    for seed in 1..=SEEDS {
        let mut bench = Bench::new(Strategy::HostileChanges, seed);
        bench.run(2 * HOSTILE_MS);
        bench.cut_off_liar();
        bench.run(6_000);
        bench.check_honest();
        let Lie::HostileChanges(lie) = bench.liar_lie() else { panic!("a hostile author") };
        done.extend(&lie.done);
        let me = bench.liar.me();
        let state = bench.honest[0].state();
        let chain = state.chain(&me).expect("held");
        reasons.extend(chain.iter().filter_map(|held| state.view_of(chain, held).verdict?.reason()));
        for honest in &bench.honest {
            assert_eq!(honest.state().author_status(&me), AuthorStatus::Active);
            let chain = honest.state().chain(&me).expect("held");
            let whole = bench.liar.state().chain(&me).expect("held");
            assert_eq!(whole.accepted(chain.tip().seq).map(|held| held.tip()), Some(chain.tip()));
            assert!(chain.tip().seq > 60, "void bodies break no chain: {:?}", chain.tip());
            let counts = honest.state().section(&me.nation).counts();
            assert!(counts.void > 5, "{counts:?}");
            honest.state().document(&me.nation).expect("the document can be built");
        }
    }
    let missing: Vec<_> = change::Attack::all().into_iter().filter(|attack| !done.contains(attack)).collect();
    assert!(missing.is_empty(), "never tried: {missing:?}");
    println!("{reasons:?}");
    assert!(reasons.len() > 20, "{reasons:?}");
}

#[test]
fn what_a_liar_adds_is_bounded() {
    for strategy in Strategy::ALL {
        let mut bench = Bench::new(strategy, 3);
        bench.run(30_000);
        let from_liar = bench.sent.len();
        assert!(from_liar < 2_500, "{} sent {from_liar} frames in half a minute", strategy.name());
        assert!(bench.honest.len() == HONEST && LIAR == HONEST);
    }
}

/// What is forged byte by byte is refused for what is wrong with it, not because its ground is unsound.
#[test]
fn the_ground_of_forgeries_is_sound() {
    let author = AuthorKey::new([1; 32]);
    let key = "pledge/0000000000";
    let ground = Chunk::record(Actor::new(&author, 0), key);
    for chunk in [ground.clone(), ground.clone().nested(key, 8)] {
        let bytes = chunk.bytes();
        let scan = prescan(&author, &bytes).expect("it passes the prescan");
        Guard::new().admit(&scan, &bytes).expect("it is admitted");
    }
    let verdict = |maps| {
        let bytes = ground.clone().nested(key, maps).bytes();
        prescan(&author, &bytes).and_then(|scan| Guard::new().admit(&scan, &bytes)).err()
    };
    assert_eq!(verdict(9), Some(VoidReason::TooDeep));
    assert_eq!(verdict(2_049), Some(VoidReason::TooManyRows));
}
