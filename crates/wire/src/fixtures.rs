//! Valid values for tests; each test changes the one field it is about.

use crate::payload::{AttemptKey, Offer, TaskToken, Welcome};
use skep_model::attempt::{AttemptReport, Fence, LogIndex, Outcome, ResourceUse};
use skep_model::ids::{NodeId, TaskId};
use skep_model::isolation::IsolationLevel;
use skep_model::node::{Hardware, NodeClass, NodeFacts};
use skep_model::requirements::Resources;
use skep_model::task::TaskSpec;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const NODE: NodeId = NodeId::from_u128(9);

pub(crate) const fn key(task: u128, index: u64) -> AttemptKey {
    let fence = Fence {
        epoch: 1,
        index: LogIndex(index),
    };
    AttemptKey::new(TaskId::from_u128(task), fence)
}

pub(crate) fn facts(slots: u32) -> NodeFacts {
    NodeFacts {
        name: "bench".to_owned(),
        version: "0.1.0".to_owned(),
        system: "Linux 6.1".to_owned(),
        resources: Resources::NONE,
        slots,
        labels: BTreeMap::new(),
        capabilities: BTreeMap::new(),
        isolation: IsolationLevel::S1,
        probes: Vec::new(),
        class: NodeClass::Server,
        region: None,
        hardware: Hardware::default(),
        models: Vec::new(),
        on_disconnect: None,
    }
}

#[cfg(test)]
pub(crate) fn hello() -> crate::payload::Hello {
    crate::payload::Hello {
        protocol: "1.0".to_owned(),
        node: NODE,
        instance: skep_model::ids::InstanceId::from_u128(1),
        starts: 0,
        facts: facts(2),
        resume: None,
        meta: None,
    }
}

/// Heartbeats every second, a lease of ten: self-fence after 7,000 ms, silence after 4,000 ms.
pub(crate) fn welcome() -> Welcome {
    Welcome {
        node: NODE,
        session: "s1".to_owned(),
        heartbeat_ms: 1_000,
        lease_ms: 10_000,
        hold: None,
        server_version: "0.1.0".to_owned(),
        epoch: 1,
    }
}

pub(crate) fn offer(attempt: AttemptKey) -> Offer {
    Offer {
        task: attempt.task,
        run: None,
        run_name: None,
        attempt: 1,
        fence: attempt.fence,
        spec: Arc::new(TaskSpec::noop("nothing")),
        idempotency_key: "k".to_owned(),
        token: TaskToken::new("secret"),
        meta: None,
    }
}

pub(crate) fn report(attempt: AttemptKey) -> AttemptReport {
    AttemptReport {
        task: attempt.task,
        fence: attempt.fence,
        outcome: Outcome::Completed,
        exit_code: Some(0),
        duration_ms: 5,
        usage: ResourceUse::default(),
        isolation: None,
        artifacts: Vec::new(),
        gates: Vec::new(),
        account: None,
    }
}

#[cfg(test)]
pub(crate) fn agent_hello() -> crate::payload::AgentHello {
    crate::payload::AgentHello {
        protocol: "1.0".to_owned(),
        role: crate::payload::Role::Agent,
        session: serde_json::Map::new(),
        wants_work: true,
    }
}

#[cfg(test)]
pub(crate) fn agent_task(attempt: AttemptKey) -> crate::payload::AgentTask {
    crate::payload::AgentTask {
        task: attempt.task,
        fence: attempt.fence,
        name: "look".to_owned(),
        attempt: 1,
        instructions: "look around".to_owned(),
        expected: None,
        begun: false,
        timeout_ms: None,
        more: serde_json::Map::new(),
    }
}

/// Heartbeats every minute.
#[cfg(test)]
pub(crate) fn agent_welcome(
    assignment: Option<crate::payload::AgentTask>,
) -> crate::payload::AgentWelcome {
    crate::payload::AgentWelcome {
        id: skep_model::ids::AgentId::from_u128(3),
        name: "reviewer".to_owned(),
        epoch: 1,
        server_version: "0.1.0".to_owned(),
        terms: crate::payload::AgentTerms {
            heartbeat_ms: 60_000,
            offline_after_ms: 180_000,
            claim_timeout_ms: 300_000,
            working_silence_ms: 180_000,
            tasks_max: 1,
        },
        assignment: assignment.map(Box::new),
    }
}
