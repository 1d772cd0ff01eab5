//! What the target's world holds: a small alliance, envelopes that others have signed, and the frames that carry them.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use comity_protocol::control::VerifiedControl;
use comity_protocol::evaluate::{Element, State, evaluate};
use comity_protocol::ids::{AuthorId, AuthorKey, EnvelopeId, Tip};
use comity_protocol::keys::SecretKey;
use comity_protocol::message::run::{Run, RunBody, RunItem};
use comity_protocol::message::{Frame, PushedEnvelope};
use comity_protocol::testing::{TestAlliance, TestEnvelope, draft};

/// The nation under test, and its only node.
pub(super) const ME: usize = 0;
/// The nation whose node holds everything and serves it.
pub(super) const SERVER: usize = 1;
/// The nation with a node that writes one chain and one that forks.
const OTHER: usize = 2;

/// The world, made once.
pub(super) static POOL: LazyLock<Pool> = LazyLock::new(Pool::new);

pub(super) struct Pool {
    pub(super) alliance: TestAlliance,
    /// What every node holds at the start.
    pub(super) start: State,
    /// What the server holds: everything.
    pub(super) all: State,
    /// Envelopes by chain and branch, each ascending: two honest chains, two branches of one fork, and one envelope under the
    /// own key that the node under test never wrote.
    pub(super) branches: Vec<Vec<TestEnvelope>>,
    /// Envelopes of honest authors, which nobody may lose.
    pub(super) honest: BTreeSet<EnvelopeId>,
    /// Control records beyond the start: a later roster of the forker's nation, and another of the same version.
    pub(super) controls: Vec<VerifiedControl>,
    /// Keys at the other end of a link: the server's, two of another nation, a stranger's, the own.
    pub(super) peers: Vec<AuthorKey>,
}

impl Pool {
    fn new() -> Self {
        let mut alliance = TestAlliance::new(7, &[("UKR", 1), ("POL", 1), ("DEU", 2)]);
        let start = alliance.state();
        let mut all = start.clone();
        let mut chain = |alliance: &mut TestAlliance, nation, node, count: u64, kind: &str| -> Vec<TestEnvelope> {
            let mut made = Vec::new();
            for number in 0..count {
                let write = draft(kind, number, "from the pool");
                let envelope = alliance.node(nation, node).write(&all, vec![write]).expect("an honest write");
                all.admit(envelope.elements().to_vec());
                made.push(envelope);
            }
            made
        };
        let mut branches = vec![chain(&mut alliance, SERVER, 0, 5, "hub"), chain(&mut alliance, OTHER, 0, 6, "pledge")];
        let honest = branches.iter().flatten().map(TestEnvelope::id).collect();
        let mut trunk = chain(&mut alliance, OTHER, 1, 2, "loss_report");
        let fork = alliance.node(OTHER, 1).clone();
        let branch = |mut node: comity_protocol::testing::TestNode, body: &[u8]| -> Vec<TestEnvelope> {
            (0..2).map(|_| node.raw_change(body.to_vec())).collect()
        };
        let (left, right) = (branch(fork.clone(), b"left"), branch(fork, b"right"));
        all.admit(left.iter().chain(&right).flat_map(TestEnvelope::elements).collect());
        trunk.extend(left);
        branches.extend([trunk, right]);
        branches.push(vec![alliance.node(ME, 0).clone().raw_change(b"a copy of this node".to_vec())]);
        let tip = branches[2][1].header.tip();
        let controls = vec![alliance.retire(OTHER, 1, tip), Self::rival(&alliance)];
        all.admit(controls.iter().take(1).cloned().map(Element::Control).collect());
        let stranger = SecretKey::from_seed(&[9; 32]).public();
        let key = |nation: usize, node: usize| alliance.nations[nation].nodes[node].author.key;
        let peers = vec![key(SERVER, 0), key(OTHER, 0), key(OTHER, 1), stranger, key(ME, 0)];
        Self { start, all, branches, honest, controls, peers, alliance }
    }

    /// A roster that takes the place of one that is there already.
    fn rival(alliance: &TestAlliance) -> VerifiedControl {
        let first = &alliance.nations[OTHER].rosters[0];
        alliance.roster_after(OTHER, Some(first), |roster| roster.note = "another".to_owned())
    }

    pub(super) fn me(&self) -> AuthorId {
        self.alliance.nations[ME].nodes[0].author
    }

    /// Returns the state of a node that holds `elements` beside nothing.
    pub(super) fn evaluate(&self, elements: Vec<Element>) -> State {
        evaluate(self.alliance.anchor(), elements)
    }
}

/// Returns a frame that pushes envelopes.
pub(super) fn push(envelopes: &[TestEnvelope]) -> Vec<u8> {
    let pushed = envelopes.iter().map(|envelope| PushedEnvelope {
        header: envelope.header.header().encode(),
        signature: *envelope.header.signature().expect("the pool keeps signatures"),
        body: envelope.body.clone(),
    });
    Frame::Push(pushed.collect()).encode()
}

/// Returns a frame with a run of envelopes of one branch.
pub(super) fn run(envelopes: &[TestEnvelope]) -> Option<Vec<u8>> {
    let (first, last) = (envelopes.first()?, envelopes.last()?);
    let items = envelopes.iter().map(|envelope| RunItem {
        time_ms: envelope.header.header().time_ms,
        kind: envelope.header.header().kind,
        body: RunBody::Held(envelope.body.clone()),
        signature: None,
    });
    let head = first.header.header();
    let run = Run {
        author: head.author_id(),
        first_seq: head.seq,
        first_prev: head.prev,
        items: items.collect(),
        signature: *last.header.signature()?,
    };
    Some(Frame::Run(run).encode())
}

/// Returns where an envelope stands on.
pub(super) fn below(envelope: &TestEnvelope) -> Tip {
    let header = envelope.header.header();
    Tip { seq: header.seq - 1, id: header.prev }
}
