//! Agents that no waiting task can tell apart, taken together.
//!
//! Thousands of agents usually have a handful of profiles: what their capabilities, labels and
//! isolation are, as far as a queue of this round mentions them. A signature is compared with
//! each profile, not with each agent.

use crate::fit::breaks;
use crate::policy::Weights;
use crate::snapshot::{AgentView, NodeView, Snapshot};
use crate::{proximity, score};
use skep_model::isolation::IsolationLevel;
use skep_model::requirements::{
    AffinityRule, AffinitySense, AffinityStrength, Performer, Proficiency, Requirements,
};
use std::collections::{BTreeMap, BTreeSet};

/// The profiles of the open agents.
#[derive(Debug)]
pub(crate) struct Profiles<'a> {
    /// Profile of each agent; of agents that are not open it means nothing.
    of_agents: Vec<usize>,
    /// One agent of each profile.
    samples: Vec<usize>,
    /// Proficiency of each profile in each capability that is mentioned and that somebody has.
    proficiencies: BTreeMap<&'a str, Vec<Option<Proficiency>>>,
    /// The profiles with each value of each label that is mentioned.
    labels: BTreeMap<&'a str, BTreeMap<&'a str, Vec<usize>>>,
}

/// What a signature asks, as far as profiles differ in it.
#[derive(Debug)]
struct Sought<'p> {
    wanted: &'p Requirements,
    /// Proficiency of each profile, and the least that is wanted.
    capabilities: Vec<(&'p [Option<Proficiency>], Proficiency)>,
    rules: Vec<&'p AffinityRule>,
}

/// What the signatures of a round ask about.
#[derive(Debug, Default)]
struct Mentioned<'a> {
    capabilities: BTreeSet<&'a str>,
    labels: BTreeSet<&'a str>,
    regions: bool,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Profile<'a> {
    performer: Performer,
    isolation: IsolationLevel,
    capabilities: Vec<(&'a str, Proficiency)>,
    labels: Vec<(&'a str, &'a str)>,
    /// Only where it is what proximity is judged by.
    region: Option<&'a str>,
    measured: bool,
}

impl<'a> Mentioned<'a> {
    fn by(signatures: &[&'a Requirements]) -> Self {
        let mut mentioned = Self::default();
        for wanted in signatures {
            let names = wanted.capabilities.keys().map(String::as_str);
            mentioned.capabilities.extend(names);
            let labels = wanted.affinity.iter().map(|rule| rule.label.as_str());
            mentioned.labels.extend(labels);
            mentioned.regions |= proximity::preferred_region(wanted).is_some();
        }
        mentioned
    }

    fn profile(&self, agent: &AgentView<'a>, node: &NodeView<'a>) -> Profile<'a> {
        let of_capabilities = agent.capabilities.iter();
        let of_labels = node.labels.iter();
        let measured = proximity::measured(node).is_some();
        Profile {
            performer: node.performer,
            isolation: node.isolation,
            capabilities: of_capabilities
                .filter(|(name, _)| self.capabilities.contains(name.as_str()))
                .map(|(name, proficiency)| (name.as_str(), *proficiency))
                .collect(),
            labels: of_labels
                .filter(|(label, _)| self.labels.contains(label.as_str()))
                .map(|(label, value)| (label.as_str(), value.as_str()))
                .collect(),
            region: node.region.filter(|_| self.regions && !measured),
            measured: measured || !self.regions,
        }
    }
}

impl<'a> Profiles<'a> {
    pub(crate) fn of(
        snapshot: &Snapshot<'a>,
        open_agents: &[usize],
        signatures: &[&'a Requirements],
    ) -> Self {
        let mentioned = Mentioned::by(signatures);
        let mut known: BTreeMap<Profile<'a>, usize> = BTreeMap::new();
        let mut profiles = Self {
            of_agents: vec![0; snapshot.agents.len()],
            samples: Vec::new(),
            proficiencies: BTreeMap::new(),
            labels: BTreeMap::new(),
        };
        for position in open_agents {
            let agent = &snapshot.agents[*position];
            let profile = mentioned.profile(agent, &snapshot.nodes[agent.node]);
            let number = *known.entry(profile).or_insert_with(|| {
                profiles.samples.push(*position);
                profiles.samples.len() - 1
            });
            profiles.of_agents[*position] = number;
        }
        for (profile, number) in known {
            for (name, proficiency) in profile.capabilities {
                let of_profiles = profiles.proficiencies.entry(name);
                let of_profiles = of_profiles.or_insert_with(|| vec![None; profiles.samples.len()]);
                of_profiles[number] = Some(proficiency);
            }
            for (label, value) in profile.labels {
                let values = profiles.labels.entry(label).or_default();
                values.entry(value).or_default().push(number);
            }
        }
        profiles
    }

    pub(crate) fn count(&self) -> usize {
        self.samples.len()
    }

    pub(crate) fn of_agent(&self, agent: usize) -> usize {
        self.of_agents[agent]
    }

    /// What the signature asks of the profiles; none when no profile suits it.
    fn sought<'p>(&'p self, wanted: &'p Requirements) -> Option<Sought<'p>> {
        let column = |(name, least): (&'p String, &Proficiency)| {
            let of_profiles = self.proficiencies.get(name.as_str())?;
            Some((of_profiles.as_slice(), *least))
        };
        let (known, unknown): (Vec<_>, Vec<_>) = wanted
            .affinity
            .iter()
            .partition(|rule| self.labels.contains_key(rule.label.as_str()));
        if unknown.into_iter().any(is_binding) {
            return None;
        }
        Some(Sought {
            wanted,
            capabilities: wanted
                .capabilities
                .iter()
                .map(column)
                .collect::<Option<_>>()?,
            rules: known,
        })
    }

    /// The profiles that suit the signature, each with what the signature adds to the score of
    /// its agents.
    pub(crate) fn suited(
        &self,
        snapshot: &Snapshot<'_>,
        wanted: &Requirements,
        weights: &Weights,
    ) -> Vec<(usize, i64)> {
        let Some(sought) = self.sought(wanted) else {
            return Vec::new();
        };
        let judge = |profile: usize| {
            let node = &snapshot.nodes[snapshot.agents[self.samples[profile]].node];
            let extra = sought.extra(profile, node, weights)?;
            Some((profile, extra))
        };
        match self.carriers(&sought) {
            Some(profiles) => profiles.iter().copied().filter_map(judge).collect(),
            None => (0..self.samples.len()).filter_map(judge).collect(),
        }
    }

    /// The profiles with the value of a label that the signature insists on; none when it insists
    /// on no value. A task that is bound to one node is compared with that node only.
    fn carriers(&self, sought: &Sought<'_>) -> Option<&[usize]> {
        sought
            .rules
            .iter()
            .filter(|rule| is_binding(rule))
            .find_map(|rule| {
                let profiles = self.labels.get(rule.label.as_str())?;
                let profiles = profiles.get(rule.value.as_deref()?);
                Some(profiles.map_or(&[][..], Vec::as_slice))
            })
    }
}

/// Whether a node needs the label to suit at all.
fn is_binding(rule: &AffinityRule) -> bool {
    rule.strength == AffinityStrength::Required && rule.sense == AffinitySense::Attract
}

impl Sought<'_> {
    /// What is added to the score; none when the profile does not suit.
    fn extra(&self, profile: usize, node: &NodeView<'_>, weights: &Weights) -> Option<i64> {
        let has = |(of_profiles, least): &(&[Option<Proficiency>], Proficiency)| {
            of_profiles[profile] >= Some(*least)
        };
        let suits = node.performer == self.wanted.performer
            && node.isolation >= self.wanted.isolation
            && self.capabilities.iter().all(has)
            && !self.rules.iter().any(|rule| breaks(rule, node.labels));
        suits.then(|| {
            let levels = self.capabilities.iter();
            let levels = levels.map(|(of_profiles, _)| of_profiles[profile]);
            score::extra_of(
                levels,
                self.rules.iter().copied(),
                node,
                self.wanted,
                weights,
            )
        })
    }
}
