//! What becomes of frames and links: the world's side of pushes, questions and answers, and of links that come and go.

use comity_protocol::effect::{CloseReason, ExchangeId, Input, LinkId, LinkUp, Source};
use comity_protocol::envelope::Header;
use comity_protocol::ids::AuthorKey;
use comity_protocol::keys::sha256;
use comity_protocol::limits::{EXCHANGE_IDLE_MS, FRAME_BYTES_MAX};
use comity_protocol::message::Frame;
use rand::RngExt as _;

use super::check::{self, Violation};
use super::node::{Machine, Node};
use super::plan::Weather;
use super::world::{Event, World};

impl World {
    pub(super) fn push(&mut self, node: usize, link: LinkId, frame: Vec<u8>) {
        if !self.nodes[node].links.contains_key(&link) {
            return;
        }
        self.overheard(node, link, &frame);
        if frame.len() > FRAME_BYTES_MAX {
            self.down(node, link);
            return;
        }
        let other = self.network.other(link, node);
        let weather = self.network.weather;
        self.tell_frame(node, other, "push", &frame);
        if self.chance(weather.stalled) {
            self.at(0, Event::Input(node, Input::PushStalled { link }));
            return;
        }
        if self.network.is_silent(node, other, self.now) || self.chance(weather.lost) {
            return;
        }
        let copies = if self.chance(weather.twice) { 2 } else { 1 };
        for _ in 0..copies {
            let delay = self.delay(weather);
            self.at(delay, Event::Input(other, Input::Pushed { link, frame: frame.clone() }));
        }
    }

    /// Takes note of what is said on a link, where nobody can take it back.
    fn overheard(&mut self, node: usize, link: LinkId, frame: &[u8]) {
        let Ok(Frame::Push(envelopes)) = Frame::decode(frame) else { return };
        if let Err(violation) = check::always::spoken_to_members_only(self, node, link) {
            self.violated(violation);
        }
        for envelope in &envelopes {
            let Ok(header) = Header::decode(&envelope.header) else { continue };
            let id = header.id();
            self.chronicle.seen.entry((header.author_id(), header.seq)).or_default().insert(id);
            if !self.nodes[node].is_honest_and_up() {
                continue;
            }
            if header.author_id() == self.nodes[node].author {
                self.chronicle.spoken.entry((header.author_id(), header.seq)).or_default().entry(id).or_insert(node);
                let said = check::always::said_no_more_than_once(self, &header.author_id(), header.seq);
                if let Err(violation) = said {
                    self.violated(violation);
                }
            }
            if !self.nodes[node].durable.contains(&id) {
                let name = &self.nodes[node].name;
                let text = format!("{name} sent envelope {} of {} before it was durable", header.seq, id.short());
                self.violated(Violation::new("saved before spoken (4.12)", text));
            }
        }
    }

    pub(super) fn ask(&mut self, node: usize, link: LinkId, exchange: ExchangeId, frame: Vec<u8>) {
        if !self.nodes[node].links.contains_key(&link) {
            return;
        }
        let other = self.network.other(link, node);
        let weather = self.network.weather;
        self.tell_frame(node, other, "ask", &frame);
        let theirs = self.network.ask(link, node, exchange);
        self.at(EXCHANGE_IDLE_MS, Event::Unanswered(link, theirs));
        if self.network.is_silent(node, other, self.now) || self.chance(weather.lost) || frame.len() > FRAME_BYTES_MAX {
            return;
        }
        let delay = self.delay(weather);
        self.at(delay, Event::Input(other, Input::Asked { link, exchange: theirs, frame }));
    }

    pub(super) fn answer(&mut self, node: usize, link: LinkId, exchange: ExchangeId, frames: Vec<Vec<u8>>) {
        let other = self.network.other(link, node);
        let weather = self.network.weather;
        if !self.nodes[node].links.contains_key(&link) || self.network.is_silent(node, other, self.now) {
            return;
        }
        // What is not in the table was answered already, or was never asked: there is no stream to write to.
        let Some((asker, exchange)) = self.network.exchanges.remove(&(link, exchange)) else { return };
        let breaks_at = if self.chance(weather.lost) { self.rng.random_range(0..=frames.len()) } else { frames.len() };
        let mut delay = self.delay(weather);
        let ends = frames.last().is_some_and(|last| matches!(Frame::decode(last), Ok(Frame::End(_))));
        for frame in frames.iter().take(breaks_at) {
            if let Err(violation) = check::always::after_answer_to(self, node, link, frame) {
                self.violated(violation);
            }
            self.tell_frame(node, asker, "answer", frame);
            if frame.len() > FRAME_BYTES_MAX {
                break;
            }
            delay += self.rng.random_range(0..=2);
            self.at(delay, Event::Input(asker, Input::Reply { link, exchange, frame: frame.clone() }));
        }
        if breaks_at < frames.len() || !ends {
            self.at(delay + 1, Event::Input(asker, Input::ExchangeFailed { link, exchange }));
        }
    }

    pub(super) fn close(&mut self, node: usize, link: LinkId, reason: CloseReason) {
        let Some(peer) = self.nodes[node].links.get(&link).copied() else { return };
        let name = self.nodes[node].name.clone();
        self.tell(&name, format_args!("closes the link to {}: {reason:?}", self.name_of(&peer)));
        if let CloseReason::Strikes { retry_after_ms } | CloseReason::BackOff { retry_after_ms } = reason {
            let until = self.now + retry_after_ms;
            self.nodes[node].hold_off.insert(peer, until);
        }
        self.down(node, link);
    }

    /// Takes one side of a link down; the other hears of it if the way is open.
    fn down(&mut self, node: usize, link: LinkId) {
        self.nodes[node].links.remove(&link);
        self.tell_other_side(node, link);
        self.redial(link);
    }

    fn tell_other_side(&mut self, node: usize, link: LinkId) {
        let other = self.network.other(link, node);
        if self.nodes[other].links.contains_key(&link) && !self.network.is_silent(node, other, self.now) {
            let delay = self.delay(self.network.weather);
            self.at(delay, Event::Input(other, Input::LinkDown { link }));
        }
    }

    /// All links of a node are lost: its process ended, or its replica was built again.
    pub(super) fn links_lost(&mut self, node: usize) {
        let links: Vec<LinkId> =
            self.network.ends.iter().filter(|(_, (a, b))| *a == node || *b == node).map(|e| *e.0).collect();
        for link in links {
            self.tell_other_side(node, link);
            self.redial(link);
            if self.nodes[self.network.other(link, node)].links.contains_key(&link) {
                continue;
            }
            self.network.ends.remove(&link);
        }
    }

    pub(super) fn redial(&mut self, link: LinkId) {
        let (a, b) = self.network.ends[&link];
        let pause = self.rng.random_range(200..1_500);
        self.at(pause, Event::Dial(a, b));
    }

    pub(super) fn dial(&mut self, a: usize, b: usize) {
        if !self.pairs.contains(&(a.min(b), a.max(b))) || self.nodes[a].gone || self.nodes[b].gone {
            return;
        }
        let keys = [self.nodes[a].author.key, self.nodes[b].author.key];
        if keys[0] == keys[1] || self.is_linked(a, b) {
            return;
        }
        let held_off = [self.nodes[a].hold_off.get(&keys[1]), self.nodes[b].hold_off.get(&keys[0])];
        let held_off = held_off.into_iter().flatten().copied().max().unwrap_or(0);
        if held_off > self.now {
            self.at(held_off - self.now, Event::Dial(a, b));
            return;
        }
        let up = |node: &Node| !matches!(node.machine, Machine::Down);
        let silent = self.network.is_silent(a, b, self.now) || self.network.is_silent(b, a, self.now);
        if !up(&self.nodes[a]) || !up(&self.nodes[b]) || silent {
            self.at(1_000, Event::Dial(a, b));
            return;
        }
        let refused = |node: &Node, key: &AuthorKey| node.admission.refused.contains(key);
        if refused(&self.nodes[a], &keys[1]) || refused(&self.nodes[b], &keys[0]) {
            self.at(10_000, Event::Dial(a, b));
            return;
        }
        let link = self.network.link(a, b);
        let names = format!("{} and {}", self.nodes[a].name, self.nodes[b].name);
        self.tell("-", format_args!("link {} between {names}", link.0));
        self.nodes[a].links.insert(link, keys[1]);
        self.nodes[b].links.insert(link, keys[0]);
        for (node, peer, other) in [(a, keys[1], b), (b, keys[0], a)] {
            let source = Source::Address([u8::try_from(other % 251).expect("below 251"); 16]);
            self.input(node, vec![Input::LinkUp(LinkUp { link, peer, source })]);
        }
    }

    /// Whether two nodes are linked, or one of them is linked to another process under the other's key: a transport keeps
    /// one link per key. Of two such links either may be the one that is kept.
    fn is_linked(&mut self, a: usize, b: usize) -> bool {
        for (node, peer) in [(a, b), (b, a)] {
            let key = self.nodes[peer].author.key;
            let Some(link) = self.nodes[node].links.iter().find(|(_, held)| **held == key).map(|(link, _)| *link)
            else {
                continue;
            };
            let same = self.network.other(link, node) == peer;
            if same || self.rng.random_bool(0.7) {
                if !same {
                    self.at(5_000, Event::Dial(a, b));
                }
                return true;
            }
            self.down(node, link);
            self.input(node, vec![Input::LinkDown { link }]);
        }
        false
    }

    pub(super) fn flap(&mut self, a: usize, b: usize, times: u32) {
        let link =
            self.nodes[a].links.iter().find(|(_, peer)| **peer == self.nodes[b].author.key).map(|(link, _)| *link);
        if let Some(link) = link {
            self.nodes[a].links.remove(&link);
            self.tell_other_side(a, link);
            self.redial(link);
            self.input(a, vec![Input::LinkDown { link }]);
        }
        if times > 1 {
            let pause = self.rng.random_range(300..4_000);
            self.at(pause, Event::Flap(a, b, times - 1));
        }
    }

    fn chance(&mut self, of_a_thousand: u32) -> bool {
        of_a_thousand > 0 && self.rng.random_range(0..1_000) < of_a_thousand
    }

    fn delay(&mut self, weather: Weather) -> u64 {
        self.rng.random_range(weather.delay_min_ms..=weather.delay_max_ms)
    }

    fn tell_frame(&mut self, from: usize, to: usize, how: &str, frame: &[u8]) {
        let digest = sha256(frame);
        let tag = frame.get(..2).map_or(0, |tag| u16::from_be_bytes([tag[0], tag[1]]));
        let [a, b, c, d, ..] = digest;
        let line =
            format!("~ {how} to {} tag {tag} {} bytes {a:02x}{b:02x}{c:02x}{d:02x}", self.nodes[to].name, frame.len());
        let name = self.nodes[from].name.clone();
        self.tell(&name, format_args!("{line}"));
    }
}
