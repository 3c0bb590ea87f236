//! Joins the settings of a task with the defaults of its plan.

use crate::error::Problems;
use crate::file::{AffinityFile, ResourcesFile, RetryFile, SettingsFile};
use crate::position::At;
use crate::schema::Named;
use crate::substitute::Scope;
use skep_model::isolation::IsolationLevel;
use skep_model::requirements::{
    AffinityRule, AffinitySense, AffinityStrength, Performer, Proficiency, Requirements, Resources,
};
use skep_model::task::{Delivery, Priority, RetryPolicy};
use std::collections::BTreeMap;

/// The settings of a task over those of the plan: its own win, variables and labels add up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings<'a> {
    pub(crate) own: &'a SettingsFile,
    pub(crate) defaults: &'a SettingsFile,
}

impl<'a> Settings<'a> {
    /// The task's own value, else that of the defaults.
    pub(crate) fn pick<T>(&self, of: impl Fn(&'a SettingsFile) -> Option<&'a T>) -> Option<&'a T> {
        of(self.own).or_else(|| of(self.defaults))
    }

    pub(crate) fn reads(&self) -> &'a [At<String>] {
        if self.own.reads.is_empty() {
            &self.defaults.reads
        } else {
            &self.own.reads
        }
    }

    pub(crate) fn env(
        &self,
        scope: Scope<'_>,
        problems: &mut Problems,
    ) -> BTreeMap<String, String> {
        joined(&self.defaults.env, &self.own.env, scope, problems)
    }

    pub(crate) fn labels(
        &self,
        scope: Scope<'_>,
        problems: &mut Problems,
    ) -> BTreeMap<String, String> {
        joined(&self.defaults.labels, &self.own.labels, scope, problems)
    }

    pub(crate) fn timeout_ms(&self) -> Option<u64> {
        self.pick(|settings| settings.timeout.as_ref())
            .map(|at| at.value.ms)
    }

    pub(crate) fn priority(&self) -> Priority {
        self.pick(|settings| settings.priority.as_ref())
            .map(|at| at.value)
            .unwrap_or_default()
    }

    pub(crate) fn delivery(&self) -> Delivery {
        self.pick(|settings| settings.delivery.as_ref())
            .map(|at| at.value)
            .unwrap_or_default()
    }

    pub(crate) fn retry(&self) -> RetryPolicy {
        self.pick(|settings| settings.retries.as_ref())
            .map(retry)
            .unwrap_or_default()
    }

    /// What a task needs that is described in words: an agent that can do it, and nothing of a
    /// node, whatever the defaults say.
    pub(crate) fn requirements_of_words(&self) -> Requirements {
        Requirements {
            capabilities: self.capabilities(),
            isolation: IsolationLevel::S0,
            performer: Performer::AttachedAgent,
            ..Requirements::default()
        }
    }

    fn capabilities(&self) -> BTreeMap<String, Proficiency> {
        let capabilities = self.pick(|settings| settings.requires.as_ref());
        let capabilities = capabilities.map(|named| {
            let pair = |(name, least): &(At<String>, At<_>)| (name.value.clone(), least.value);
            named.0.iter().map(pair).collect()
        });
        capabilities.unwrap_or_default()
    }

    pub(crate) fn requirements(&self, scope: Scope<'_>, problems: &mut Problems) -> Requirements {
        let affinity = self.pick(|settings| settings.affinity.as_ref());
        let affinity = affinity.map(|rules| {
            rules
                .iter()
                .map(|rule| affinity_rule(rule, scope, problems))
                .collect()
        });
        Requirements {
            capabilities: self.capabilities(),
            resources: self
                .pick(|settings| settings.resources.as_ref())
                .map(resources)
                .unwrap_or_default(),
            affinity: affinity.unwrap_or_default(),
            isolation: self
                .pick(|settings| settings.isolation.as_ref())
                .map(|at| at.value)
                .unwrap_or_default(),
            agent: None,
            performer: Performer::Node,
        }
    }
}

fn joined(
    defaults: &Named<At<String>>,
    own: &Named<At<String>>,
    scope: Scope<'_>,
    problems: &mut Problems,
) -> BTreeMap<String, String> {
    let both = defaults.0.iter().chain(&own.0);
    both.map(|(name, value)| (name.value.clone(), scope.fill(value, problems)))
        .collect()
}

fn retry(file: &RetryFile) -> RetryPolicy {
    let usual = RetryPolicy::default();
    RetryPolicy {
        attempts_max: file.count.map_or(usual.attempts_max, |count| count + 1),
        backoff_initial_ms: file
            .backoff
            .map_or(usual.backoff_initial_ms, |delay| delay.ms),
        backoff_max_ms: file
            .backoff_max
            .map_or(usual.backoff_max_ms, |delay| delay.ms),
        on: file.on.clone().unwrap_or(usual.on),
    }
}

fn resources(file: &ResourcesFile) -> Resources {
    let bytes = |size: Option<crate::quantity::Size>| size.map_or(0, |size| size.bytes);
    Resources {
        cpu_millis: file.cpu.map_or(0, |cpu| cpu.millis),
        memory_bytes: bytes(file.memory),
        gpu_memory_bytes: bytes(file.gpu_memory),
        disk_bytes: bytes(file.disk),
    }
}

fn affinity_rule(file: &AffinityFile, scope: Scope<'_>, problems: &mut Problems) -> AffinityRule {
    AffinityRule {
        label: scope.fill(&file.label, problems),
        value: file.value.as_ref().map(|value| scope.fill(value, problems)),
        sense: file
            .sense
            .as_ref()
            .map_or(AffinitySense::Attract, |at| at.value),
        strength: match &file.weight {
            Some(weight) => AffinityStrength::Weight(weight.value),
            None => AffinityStrength::Required,
        },
    }
}
