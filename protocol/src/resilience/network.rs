//! Ways of goods as a graph of places: which place everything must pass, and how much less gets through without one (DOMAIN 2.7).
//!
//! Places have capacities, ways have none: a place is split into where goods come in and where they go out. All sums are whole
//! tonnes a day.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::articulation_points::articulation_points;
use petgraph::algo::dinics;
use petgraph::graph::{DiGraph, NodeIndex, UnGraph};

use crate::view::View;
use crate::view::goods::ShipmentState;

/// A capacity that limits nothing.
const UNBOUNDED: u64 = u64::MAX / 4;

/// Places and the ways between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// What each place can take, in tonnes a day; `None` where nobody says, which limits nothing.
    pub places: BTreeMap<String, Option<u64>>,
    /// Ways, from and to.
    pub ways: BTreeSet<(String, String)>,
    /// Places at which goods come from.
    pub sources: BTreeSet<String>,
    /// Places at which they are needed.
    pub sinks: BTreeSet<String>,
}

/// How much gets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flow {
    /// Tonnes a day.
    Tonnes(u64),
    /// Some way has no capacity stated at all.
    Unbounded,
}

impl Network {
    /// Reads the ways of every shipment that is not cancelled, and the hubs they pass.
    ///
    /// Goods come from where the first leg of a shipment begins and are needed where its last one ends. A hub takes what it says
    /// for all means of transport together.
    pub fn of(view: &View) -> Self {
        let mut network = Self::default();
        for shipment in view.shipments.iter().filter(|shipment| shipment.state != ShipmentState::Cancelled) {
            for leg in shipment.legs.iter().filter(|leg| !leg.from.is_empty() && !leg.to.is_empty()) {
                network.ways.insert((leg.from.clone(), leg.to.clone()));
            }
            let named = |place: &&String| !place.is_empty();
            network.sources.extend(shipment.legs.first().map(|leg| &leg.from).filter(named).cloned());
            network.sinks.extend(shipment.legs.last().map(|leg| &leg.to).filter(named).cloned());
        }
        let passed: BTreeSet<&String> = network.ways.iter().flat_map(|(from, to)| [from, to]).collect();
        let mut places: BTreeMap<String, Option<u64>> = passed.into_iter().map(|place| (place.clone(), None)).collect();
        for hub in &view.hubs {
            let takes = hub.capacity.values().fold(0_u64, |sum, tonnes| sum.saturating_add(*tonnes));
            if let Some(place) = places.get_mut(&hub.head.name.to_string()).filter(|_| !hub.capacity.is_empty()) {
                *place = Some(takes);
            }
        }
        network.places = places;
        network
    }

    /// Returns the places without which the graph falls apart into more pieces than before, ascending (Tarjan), whatever way goods
    /// go.
    pub fn cut_places(&self) -> Vec<String> {
        let mut graph: UnGraph<&str, ()> = UnGraph::default();
        let index: BTreeMap<&str, NodeIndex> =
            self.places.keys().map(|place| (place.as_str(), graph.add_node(place.as_str()))).collect();
        for (from, to) in &self.ways {
            if let (Some(from), Some(to)) = (index.get(from.as_str()), index.get(to.as_str()))
                && from != to
            {
                graph.update_edge(*from, *to, ());
            }
        }
        let mut cuts: Vec<String> =
            articulation_points(&graph).into_iter().map(|node| graph[node].to_owned()).collect();
        cuts.sort();
        cuts
    }

    /// Returns how much gets from all sources to all sinks without the places of `out`.
    pub fn flow_without(&self, out: impl Fn(&str) -> bool) -> Flow {
        let mut graph: DiGraph<(), u64> = DiGraph::new();
        let (source, sink) = (graph.add_node(()), graph.add_node(()));
        let mut split: BTreeMap<&str, [NodeIndex; 2]> = BTreeMap::new();
        for (place, capacity) in self.places.iter().filter(|(place, _)| !out(place)) {
            let ends = [graph.add_node(()), graph.add_node(())];
            graph.add_edge(ends[0], ends[1], capacity.map_or(UNBOUNDED, |capacity| capacity.min(UNBOUNDED)));
            split.insert(place, ends);
            if self.sources.contains(place) {
                graph.add_edge(source, ends[0], UNBOUNDED);
            }
            if self.sinks.contains(place) {
                graph.add_edge(ends[1], sink, UNBOUNDED);
            }
        }
        for (from, to) in self.ways.iter().filter(|(from, to)| from != to) {
            if let (Some(from), Some(to)) = (split.get(from.as_str()), split.get(to.as_str())) {
                graph.add_edge(from[1], to[0], UNBOUNDED);
            }
        }
        let (flow, _) = dinics(&graph, source, sink);
        if flow >= UNBOUNDED { Flow::Unbounded } else { Flow::Tonnes(flow) }
    }

    /// Returns the sinks that no source reaches without the places of `out`, ascending.
    pub fn cut_off(&self, out: impl Fn(&str) -> bool) -> Vec<String> {
        let mut reached: BTreeSet<&str> = self.sources.iter().map(String::as_str).filter(|place| !out(place)).collect();
        let mut open: Vec<&str> = reached.iter().copied().collect();
        while let Some(place) = open.pop() {
            let from = (place.to_owned(), String::new());
            for (_, to) in self.ways.range(from..).take_while(|(from, _)| from == place) {
                if self.places.contains_key(to) && !out(to) && reached.insert(to) {
                    open.push(to);
                }
            }
        }
        self.sinks.iter().filter(|sink| !reached.contains(sink.as_str())).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(places: &[(&str, Option<u64>)], ways: &[(&str, &str)], sources: &[&str], sinks: &[&str]) -> Network {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Network {
            places: places.iter().map(|(place, capacity)| ((*place).to_owned(), *capacity)).collect(),
            ways: ways.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect(),
            sources: owned(sources),
            sinks: owned(sinks),
        }
    }

    /// Two airports, one crossing behind both, and one port with a crossing of its own.
    fn poland() -> Network {
        network(
            &[("a1", Some(400)), ("a2", Some(300)), ("x", Some(500)), ("p", Some(100)), ("y", None), ("kyiv", None)],
            &[("a1", "x"), ("a2", "x"), ("x", "kyiv"), ("p", "y"), ("y", "kyiv")],
            &["a1", "a2", "p"],
            &["kyiv"],
        )
    }

    #[test]
    fn a_place_limits_what_passes_it() {
        let network = poland();
        let without = |out: &'static str| network.flow_without(move |place| place == out);
        assert_eq!(network.flow_without(|_| false), Flow::Tonnes(600));
        assert_eq!(without("a1"), Flow::Tonnes(400));
        assert_eq!(without("x"), Flow::Tonnes(100));
        assert_eq!(without("y"), Flow::Tonnes(500));
        assert_eq!(without("kyiv"), Flow::Tonnes(0));
    }

    #[test]
    fn where_nobody_says_what_a_way_can_take_nothing_is_said() {
        let network = network(&[("a", None), ("b", None)], &[("a", "b")], &["a"], &["b"]);
        assert_eq!(network.flow_without(|_| false), Flow::Unbounded);
    }

    #[test]
    fn cut_places_are_those_that_hold_the_graph_together() {
        assert_eq!(poland().cut_places(), ["kyiv", "x", "y"]);
        let ring = network(&[("a", None), ("b", None), ("c", None)], &[("a", "b"), ("b", "c"), ("c", "a")], &[], &[]);
        assert_eq!(ring.cut_places(), Vec::<String>::new());
    }

    #[test]
    fn a_sink_without_a_way_is_cut_off() {
        let network = poland();
        assert_eq!(network.cut_off(|_| false), Vec::<String>::new());
        assert_eq!(network.cut_off(|place| place == "x" || place == "y"), ["kyiv"]);
    }

    /// Against every cut of small graphs: what gets through is what the narrowest set of places lets through.
    #[test]
    fn flow_is_the_narrowest_cut() {
        for pattern in 0..1_u32 << 6 {
            let capacities = [3_u64, 1, 2, 5];
            let names = ["s", "a", "b", "t"];
            let candidates = [("s", "a"), ("s", "b"), ("a", "b"), ("b", "a"), ("a", "t"), ("b", "t")];
            let ways: Vec<(&str, &str)> =
                candidates.iter().enumerate().filter(|(at, _)| pattern & (1 << at) != 0).map(|(_, way)| *way).collect();
            let places: Vec<(&str, Option<u64>)> = names.iter().copied().zip(capacities.map(Some)).collect();
            let network = network(&places, &ways, &["s"], &["t"]);
            let cut = |set: u32| -> u64 { (0..4).filter(|at| set & (1 << at) != 0).map(|at| capacities[at]).sum() };
            let separates = |set: u32| {
                let out =
                    |place: &str| names.iter().position(|name| *name == place).is_some_and(|at| set & (1 << at) != 0);
                out("t") || network.cut_off(out) == ["t"]
            };
            let narrowest = (0..1_u32 << 4).filter(|set| separates(*set)).map(cut).min().expect("all of them separate");
            assert_eq!(network.flow_without(|_| false), Flow::Tonnes(narrowest), "ways {ways:?}");
        }
    }
}
