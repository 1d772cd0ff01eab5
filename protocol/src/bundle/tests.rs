//! Streams that were damaged, cut or edited, and what an audit says of them.

use std::convert::Infallible;

use super::{
    Audit, Audited, BrokenRecord, Export, Framed, Kind, Missing, Piece, PublishedDigests, Reader, ReaderError, Sealed,
    Wanted, Writer, export, sign,
};
use crate::body::{Ack, Body, RosterAck, WitnessBody};
use crate::evaluate::{Element, State};
use crate::ids::{AuthorId, EnvelopeId};
use crate::message::pack::Packed;
use crate::message::run::RunBody;
use crate::testing::{FOUNDED_MS, TestAlliance, draft};

/// An alliance of three that wrote a little, with what its first nation's node holds.
struct World {
    alliance: TestAlliance,
    state: State,
}

impl World {
    fn new(statements: u64) -> Self {
        let mut alliance = TestAlliance::new(11, &[("DEU", 2), ("POL", 1), ("UKR", 1)]);
        let mut state = alliance.state();
        for number in 0..statements {
            for nation in 0..3 {
                let node = alliance.node(nation, 0);
                let envelope = node.write(&state, vec![draft("observation", number, "a note")]).expect("it writes");
                state.admit(envelope.elements().into());
            }
        }
        Self { alliance, state }
    }

    /// Lets a nation's witness acknowledge everything accepted.
    fn witness(&mut self, nation: usize) {
        let rosters = self.state.nations().filter_map(|nation| {
            let (version, id) = self.state.roster(&nation.id)?.tip();
            (version > 0).then_some(RosterAck { nation: nation.id, version, id })
        });
        let mut rosters: Vec<RosterAck> = rosters.collect();
        rosters.sort_by_key(|roster| roster.nation);
        let acks = self.state.chains().map(|chain| Ack { author: chain.author(), tip: chain.tip() });
        let body = WitnessBody {
            height: 0,
            charter: self.state.charter_id(),
            rosters,
            acks: acks.filter(|ack| ack.tip.seq > 0).collect(),
            frontier: self.state.frontier(),
            state: self.state.state(),
        };
        let envelope = self.alliance.node(nation, 0).body(&Body::Witness(body));
        self.state.admit(envelope.elements().into());
    }

    fn export(&self, kind: Kind) -> Vec<u8> {
        self.export_of(&self.state, kind, Wanted::All, Packed::Sparse)
    }

    fn export_of(&self, state: &State, kind: Kind, wanted: Wanted, packed: Packed) -> Vec<u8> {
        let node = &self.alliance.nations[0].nodes[0];
        let request = Export {
            kind,
            wanted,
            packed,
            exporter: node.author,
            created_ms: FOUNDED_MS,
            software: "comity test".to_owned(),
        };
        let mut bytes = Vec::new();
        let written = export(state, &request, Some(&node.key), |frame| {
            bytes.extend_from_slice(frame);
            Ok::<(), Infallible>(())
        });
        written.expect("nothing fails");
        bytes
    }
}

/// Reads a stream in pieces of `step` bytes.
fn read(mut bytes: &[u8], step: usize) -> Result<(Vec<Framed>, Sealed), ReaderError> {
    let mut reader = Reader::new();
    let mut frames = Vec::new();
    loop {
        while let Some(frame) = reader.poll()? {
            frames.push(frame);
        }
        if bytes.is_empty() {
            return Ok((frames, reader.finish()?));
        }
        let taken = reader.feed(&bytes[..step.min(bytes.len())]);
        bytes = &bytes[taken..];
    }
}

/// Reads and audits a bundle; says in words what is wrong.
fn audit(bytes: &[u8]) -> Result<Audited, String> {
    let (frames, sealed) = read(bytes, 4_096).map_err(|error| error.to_string())?;
    let mut audit = Audit::new(None);
    for frame in frames {
        audit
            .take(frame.place, frame.piece)
            .map_err(|broken| format!("{} {broken}", broken.record.rule().unwrap_or_default()))?;
    }
    audit.finish(&sealed).map_err(|broken| broken.to_string())
}

/// Writes a stream again after `edit` changed its frames, with counts and seal as they should be.
fn rewritten(world: &World, bytes: &[u8], edit: impl Fn(&mut Vec<Piece>)) -> Vec<u8> {
    let (frames, sealed) = read(bytes, 4_096).expect("it is whole");
    let mut pieces: Vec<Piece> = frames.into_iter().map(|frame| frame.piece).collect();
    pieces.truncate(pieces.len() - 2);
    edit(&mut pieces);
    let (mut writer, mut out) = Writer::new(sealed.kind);
    for piece in &pieces {
        out.extend(writer.frame(piece));
    }
    let manifest = super::Manifest { counts: writer.counts(), ..sealed.manifest };
    out.extend(writer.frame(&Piece::Manifest(Box::new(manifest))));
    let signature = sign(&world.alliance.nations[0].nodes[0].key, &writer.digest());
    out.extend(writer.seal(Some(signature)));
    out
}

#[test]
fn a_bundle_evaluates_to_what_its_exporter_holds() {
    let mut world = World::new(5);
    world.witness(0);
    world.witness(1);
    for packed in [Packed::Sparse, Packed::AllSignatures] {
        let bytes = world.export_of(&world.state, Kind::Bundle, Wanted::All, packed);
        let audited = audit(&bytes).expect("it holds");
        assert!(audited.agrees() && audited.omissions.is_empty(), "{audited:?}");
        assert_eq!(audited.state.state(), world.state.state());
        assert_eq!(audited.state.held(), world.state.held());
        assert!(matches!(audited.published, PublishedDigests::Match { .. }), "{:?}", audited.published);
    }
}

#[test]
fn a_stream_reads_the_same_in_pieces_of_any_size() {
    let bytes = World::new(3).export(Kind::Bundle);
    let whole = read(&bytes, bytes.len()).expect("it is whole").0;
    for step in [1, 2, 3, 7, 64, 1_000] {
        let pieces = read(&bytes, step).expect("it is whole").0;
        assert!(pieces.iter().map(|frame| (frame.place, &frame.bytes)).eq(whole.iter().map(|f| (f.place, &f.bytes))));
    }
}

#[test]
fn a_stream_cut_at_any_byte_is_not_whole() {
    let bytes = World::new(2).export(Kind::Bundle);
    for end in 0..bytes.len() {
        let error = read(&bytes[..end], 512).expect_err("it is cut");
        let cut = matches!(error, ReaderError::Truncated { .. } | ReaderError::Unsealed { .. } | ReaderError::Magic);
        assert!(cut, "{end}: {error:?}");
        assert!(error.place().offset <= end as u64);
    }
    let error = read(&[&bytes[..], b"x"].concat(), 512).expect_err("a byte too many");
    assert!(matches!(error, ReaderError::Trailing { .. }), "{error:?}");
}

#[test]
fn a_stream_with_any_bit_flipped_is_not_intact() {
    let bytes = World::new(2).export(Kind::Bundle);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&flipped, 512).is_err(), "bit {bit}");
    }
}

#[test]
fn frames_out_of_order_or_twice_are_refused() {
    let world = World::new(3);
    let bytes = world.export(Kind::Bundle);
    let pieces = read(&bytes, 512).expect("it is whole").0.len() - 2;
    for at in 0..pieces - 1 {
        let swapped = rewritten(&world, &bytes, |pieces| pieces.swap(at, at + 1));
        let same_kind = audit(&swapped);
        let error = same_kind.err();
        // Two rosters of different nations may stand in either order.
        let rosters = (1..=2).contains(&at);
        assert!(error.is_some() || rosters, "{at}");
    }
    for at in 0..pieces {
        let doubled = rewritten(&world, &bytes, |pieces| pieces.insert(at, pieces[at].clone()));
        let (whole, audited) = (read(&doubled, 512).is_ok(), audit(&doubled));
        // The same record twice is the same set; only the genesis has one place.
        assert!(if at == 0 { !whole } else { audited.is_ok_and(|audited| audited.agrees()) }, "{at}");
    }
}

#[test]
fn a_bundle_of_another_alliance_is_none_of_ours() {
    let bytes = World::new(1).export(Kind::Bundle);
    let (frames, _) = read(&bytes, 512).expect("it is whole");
    let mut audit = Audit::new(Some(crate::ids::AllianceId::new([7; 32])));
    let first = frames.into_iter().next().expect("a genesis");
    let broken = audit.take(first.place, first.piece).expect_err("another alliance");
    assert!(matches!(broken.record, BrokenRecord::OtherAlliance { .. }));
    assert_eq!(broken.record.rule(), Some("R03"));
}

#[test]
fn every_acknowledged_envelope_and_body_left_out_is_listed() {
    let mut world = World::new(6);
    world.witness(0);
    world.witness(2);
    let bytes = world.export(Kind::Bundle);
    let authors: Vec<AuthorId> = world.state.chains().map(crate::chain::Chain::author).collect();
    for author in authors {
        let tip = world.state.chain(&author).expect("it is held").tip();
        for from in 1..=tip.seq {
            let without = without_from(&world, &author, from);
            let cut = world.export_of(&without, Kind::Bundle, Wanted::All, Packed::Sparse);
            let audited = audit(&cut).expect("what is left holds together");
            let acknowledged = acknowledged_at(&world.state, &author, from);
            let listed = audited.omissions.iter().any(|omission| {
                matches!(omission.missing, Missing::Envelope { author: of, tip } if of == author && tip.seq >= from)
            });
            assert!(listed || !acknowledged || no_witness_left(&audited.state), "{author:?} from {from}");
        }
        for seq in 1..=tip.seq {
            let bare = rewritten(&world, &bytes, |pieces| drop_body(pieces, &author, seq));
            let audited = audit(&bare).expect("headers hold together");
            let chain = audited.state.chain(&author).expect("it is held");
            let change = chain.at(seq).all(|held| held.kind() == crate::body::KIND_CHANGE);
            assert!(!change || !audited.agrees(), "the manifest spoke of a change that is not there");
            let acknowledged = acknowledged_at(&audited.state, &author, seq);
            let listed = audited
                .omissions
                .iter()
                .any(|omission| matches!(omission.missing, Missing::Body { tip, .. } if tip.seq == seq));
            assert_eq!(listed, acknowledged, "{author:?} {seq}");
        }
    }
}

/// The state without an author's envelopes from a position on.
fn without_from(world: &World, author: &AuthorId, from: u64) -> State {
    let mut state = world.alliance.state();
    for chain in world.state.chains() {
        let to = if chain.author() == *author { from - 1 } else { u64::MAX };
        let path = chain.path(&chain.tip().id, 1, to);
        state.admit(path.into_iter().flat_map(|held| elements(chain, held)).collect());
    }
    state
}

fn elements(chain: &crate::chain::Chain, held: &crate::chain::Held) -> Vec<Element> {
    let header = crate::envelope::AttestedHeader::trusted(chain.header(held), held.signature().copied());
    let body = held.body().map(|bytes| Element::Body { id: held.id(), bytes: bytes.clone() });
    std::iter::once(Element::Header(header)).chain(body).collect()
}

/// Whether any witness body held names a position of an author, or one above it.
fn acknowledged_at(state: &State, author: &AuthorId, seq: u64) -> bool {
    let witnesses = state.chains().flat_map(|chain| chain.iter());
    let bodies = witnesses.filter(|held| held.kind() == crate::body::KIND_WITNESS).filter_map(|held| held.body());
    let mut decoded = bodies.filter_map(|body| Body::decode(crate::body::KIND_WITNESS, body).ok());
    decoded.any(|body| match body {
        Body::Witness(body) => body.acks.iter().any(|ack| ack.author == *author && ack.tip.seq >= seq),
        Body::Change(_) | Body::KeyGrant(_) | Body::Unknown(_) => false,
    })
}

fn no_witness_left(state: &State) -> bool {
    state.chains().all(|chain| chain.iter().all(|held| held.kind() != crate::body::KIND_WITNESS))
}

fn drop_body(pieces: &mut [Piece], author: &AuthorId, seq: u64) {
    for piece in pieces {
        if let Piece::Run(run) = piece
            && run.author == *author
        {
            let first = run.first_seq;
            for (at, item) in (first..).zip(&mut run.items) {
                if let RunBody::Held(bytes) = &item.body
                    && at == seq
                {
                    let len = u32::try_from(bytes.len()).expect("a small body");
                    item.body = RunBody::Missing { hash: crate::envelope::body_hash(bytes), len };
                }
            }
        }
    }
}

#[test]
fn a_run_that_does_not_link_is_named_with_its_place() {
    let world = World::new(4);
    let bytes = world.export(Kind::Bundle);
    let cut = rewritten(&world, &bytes, |pieces| {
        for piece in pieces.iter_mut() {
            if let Piece::Run(run) = piece {
                let items = run.items.split_off(1);
                run.first_prev = EnvelopeId::new([9; 32]);
                run.first_seq = 2;
                run.items = items;
            }
        }
    });
    // The items name another predecessor now, so no signature holds.
    assert!(audit(&cut).is_err_and(|error| error.starts_with("R05")));
    let state = &world.state;
    let chain = state.chains().next().expect("a chain");
    let path = chain.path(&chain.tip().id, 2, chain.tip().seq);
    let upper = crate::message::pack::pack(chain, &path, Packed::Sparse).expect("it ends signed");
    let cut = rewritten(&world, &bytes, |pieces| {
        for piece in pieces.iter_mut() {
            if let Piece::Run(run) = piece
                && run.author == upper.author
            {
                *run = upper.clone();
            }
        }
    });
    assert!(audit(&cut).is_err_and(|error| error.starts_with("R08")));
}

#[test]
fn an_author_that_no_roster_lists_is_refused() {
    let world = World::new(2);
    let bytes = world.export(Kind::Bundle);
    let edited = rewritten(&world, &bytes, |pieces| {
        pieces.retain(|piece| !matches!(piece, Piece::Control { kind: 4, .. }));
    });
    assert!(audit(&edited).is_err_and(|error| error.starts_with("R04")));
}

#[test]
fn a_manifest_with_another_digest_does_not_agree() {
    let world = World::new(2);
    let (frames, sealed) = read(&world.export(Kind::Bundle), 512).expect("it is whole");
    let (mut writer, mut out) = Writer::new(Kind::Bundle);
    for frame in &frames[..frames.len() - 2] {
        out.extend(writer.frame(&frame.piece));
    }
    let mut manifest = sealed.manifest;
    manifest.digests.as_mut().expect("a bundle has digests").state = crate::ids::Digest::new([1; 32]);
    out.extend(writer.frame(&Piece::Manifest(Box::new(manifest))));
    out.extend(writer.seal(None));
    let audited = audit(&out).expect("every record holds");
    assert!(!audited.agrees());
    assert_eq!(audited.differing.iter().map(|(name, _, _)| *name).collect::<Vec<_>>(), ["state"]);
}

#[test]
fn a_witness_that_published_another_state_is_told() {
    let mut world = World::new(3);
    let honest = world.alliance.nations[0].nodes[0].clone();
    world.witness(0);
    assert!(matches!(published(&world), PublishedDigests::Match { .. }));
    // The same witness, with one bit of the state it publishes turned.
    world.state = World::new(3).state;
    world.alliance.nations[0].nodes[0] = honest;
    let state = std::mem::replace(&mut world.state, State::new(world.alliance.anchor()));
    let rosters = state.nations().filter_map(|nation| {
        let (version, id) = state.roster(&nation.id)?.tip();
        Some(RosterAck { nation: nation.id, version, id })
    });
    let mut rosters: Vec<RosterAck> = rosters.collect();
    rosters.sort_by_key(|roster| roster.nation);
    let acks = state.chains().map(|chain| Ack { author: chain.author(), tip: chain.tip() }).collect();
    let body = WitnessBody {
        height: 0,
        charter: state.charter_id(),
        rosters,
        acks,
        frontier: state.frontier(),
        state: crate::ids::Digest::new([3; 32]),
    };
    let envelope = world.alliance.node(0, 0).body(&Body::Witness(body));
    world.state = state;
    world.state.admit(envelope.elements().into());
    assert!(matches!(published(&world), PublishedDigests::Differs { .. }), "{:?}", published(&world));
}

#[test]
fn a_fork_above_what_a_witness_acknowledged_proves_nothing_against_it() {
    let mut world = World::new(2);
    let branches = [1, 2].map(|said| {
        let mut twin = world.alliance.node(1, 0).clone();
        twin.write(&world.state, vec![draft("observation", 70 + said, "one of two")]).expect("it writes")
    });
    for branch in branches {
        world.state.admit(branch.elements().into());
    }
    world.witness(0);
    let bytes = world.export(Kind::Bundle);
    let audited = audit(&bytes).expect("it holds");
    assert!(matches!(audited.published, PublishedDigests::NotComparable { .. }), "{:?}", audited.published);
    assert!(audited.agrees(), "whoever exports beside a fork is honest");
}

fn published(world: &World) -> PublishedDigests {
    audit(&world.export(Kind::Bundle)).expect("it holds").published
}

#[test]
fn a_forked_chain_travels_with_both_signatures() {
    let mut world = World::new(3);
    let mut twin = world.alliance.nations[1].nodes[0].clone();
    let one = world.alliance.node(1, 0).write(&world.state, vec![draft("observation", 90, "one")]).expect("writes");
    let other = twin.write(&world.state, vec![draft("observation", 91, "other")]).expect("writes");
    world.state.admit(one.elements().into());
    world.state.admit(other.elements().into());
    let audited = audit(&world.export(Kind::Bundle)).expect("it holds");
    assert!(audited.agrees());
    let chain = audited.state.chain(&twin.author).expect("it is held");
    let fork = chain.fork().expect("it forked");
    assert_eq!(chain.at(fork).filter(|held| held.signature().is_some()).count(), 2);
}

#[test]
fn a_courier_file_holds_only_what_the_other_lacks() {
    let world = World::new(6);
    let author = world.alliance.nations[2].nodes[0].author;
    let behind = without_from(&world, &author, 4);
    let frontier = super::Plan::of(&behind, &Wanted::Nothing).frontier;
    let bytes = world.export_of(&world.state, Kind::Courier, Wanted::Since(frontier), Packed::Sparse);
    let (frames, sealed) = read(&bytes, 512).expect("it is whole");
    assert_eq!((sealed.manifest.counts.headers, sealed.manifest.digests), (3, None));
    let mut state = behind;
    for frame in frames {
        if let Piece::Run(run) = frame.piece {
            let items = run.verify(&world.alliance.id).expect("it holds");
            for item in items {
                let id = item.header.id();
                state.admit(vec![Element::Header(item.header)]);
                state.admit(item.body.map(|bytes| Element::Body { id, bytes }).into_iter().collect());
            }
        }
    }
    assert_eq!((state.held(), state.state()), (world.state.held(), world.state.state()));
    let none = super::Plan::of(&state, &Wanted::Since(super::Plan::of(&world.state, &Wanted::Nothing).frontier));
    assert!(none.stretches.is_empty());
}

#[test]
fn a_courier_file_for_a_nation_starts_where_its_witness_stopped() {
    let mut world = World::new(3);
    world.witness(2);
    let before = world.state.clone();
    let late = world.alliance.node(0, 0).write(&world.state, vec![draft("observation", 77, "late")]).expect("writes");
    world.state.admit(late.elements().into());
    let nation = world.alliance.nations[2].id;
    let plan = super::Plan::of(&world.state, &Wanted::Nation(nation));
    // The late envelope, and the witness's own last, which it did not acknowledge itself.
    let own = before.chain(&world.alliance.nations[2].nodes[0].author).expect("held").tip();
    let mut heads: Vec<(u64, u64)> = plan.stretches.iter().map(|stretch| (stretch.from, stretch.head.seq)).collect();
    heads.sort_unstable();
    assert_eq!(heads, [(4, 4), (own.seq, own.seq)]);
}
