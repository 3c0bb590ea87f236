//! A view that tests feed with commands, to see what is learned from applied entries.

use crate::applier::Applier;
use crate::ports::Recovered;
use crate::stats::EngineStats;
use crate::view::View;
use skep_model::attempt::{
    ArtifactHash, ArtifactRecord, AttemptReport, Fence, LogIndex, Outcome, ResourceUse,
};
use skep_model::command::{Actor, Command, Grant, LogEntry};
use skep_model::event::Event;
use skep_model::ids::{AgentId, InstanceId, NodeId, TaskId};
use skep_model::isolation::IsolationLevel;
use skep_model::node::{Hardware, NodeClass, NodeFacts};
use skep_model::requirements::Resources;
use skep_model::task::{NewTask, TaskSpec};
use skep_model::time::UnixMillis;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A view with nodes that have the ids and agents 1, 2 and so on.
pub(crate) struct Observed {
    pub(crate) view: View,
    applier: Applier,
    index: u64,
    /// Time of the next entry, milliseconds.
    pub(crate) at: u64,
    class: NodeClass,
    last_events: Vec<Event>,
}

pub(crate) const fn node(number: u128) -> NodeId {
    NodeId::from_u128(number)
}

pub(crate) const fn task(number: u128) -> TaskId {
    TaskId::from_u128(number)
}

/// What a node says about itself that has these slots and nothing else of note.
pub(crate) fn facts(name: String, slots: u32) -> NodeFacts {
    NodeFacts {
        name,
        version: "test".to_owned(),
        system: "test".to_owned(),
        resources: Resources::NONE,
        slots,
        labels: BTreeMap::new(),
        capabilities: BTreeMap::new(),
        isolation: IsolationLevel::S1,
        probes: Vec::new(),
        class: NodeClass::Server,
        on_disconnect: None,
        region: None,
        hardware: Hardware::default(),
        models: Vec::new(),
    }
}

impl Observed {
    pub(crate) fn with_nodes(count: u128) -> Self {
        Self::with_nodes_of(NodeClass::Server, count)
    }

    pub(crate) fn with_nodes_of(class: NodeClass, count: u128) -> Self {
        let recovered = Recovered {
            checkpoint_index: LogIndex(0),
            checkpoint_digest: [0; 32],
            rows: Vec::new(),
            entries: Vec::new(),
        };
        let (applier, view) = Applier::recover(recovered, usize::MAX).unwrap();
        let mut observed = Self {
            view,
            applier,
            index: 0,
            at: 1_000,
            class,
            last_events: Vec::new(),
        };
        (1..=count).for_each(|number| observed.node_starts(number));
        observed
    }

    pub(crate) fn apply(&mut self, command: Command) {
        self.index += 1;
        let entry = LogEntry {
            at: UnixMillis(self.at),
            seed: self.index,
            actor: Actor::Coordinator,
            command,
        };
        let mut stats = EngineStats::default();
        let index = LogIndex(self.index);
        let done = self
            .applier
            .apply(&mut self.view, index, &entry, &mut stats);
        self.view.observe(&done.events);
        self.last_events = done.events.events.clone();
    }

    /// What the last command led to.
    pub(crate) fn last_events(&self) -> Vec<Event> {
        self.last_events.clone()
    }

    pub(crate) fn node_starts(&mut self, number: u128) {
        let facts = NodeFacts {
            class: self.class,
            ..facts(format!("n{number}"), 100)
        };
        let instance = InstanceId::from_u128(number);
        self.apply(Command::RegisterNode {
            node: node(number),
            instance,
            starts: 0,
            agent: AgentId::from_u128(number),
            facts: Box::new(facts),
        });
        let lost = Vec::new();
        self.apply(Command::ConfirmNode {
            node: node(number),
            instance,
            lost,
        });
    }

    pub(crate) fn submit(&mut self, number: u128, spec: TaskSpec, needs: &[u128]) {
        let new = NewTask {
            id: task(number),
            spec: Arc::new(spec),
            needs: needs.iter().map(|need| task(*need)).collect(),
        };
        self.apply(Command::SubmitTasks {
            run: None,
            tasks: vec![new],
            idempotency: None,
        });
    }

    pub(crate) fn grant(&mut self, number: u128, to: u128) {
        self.apply(Command::GrantLeases(vec![Grant {
            task: task(number),
            agent: AgentId::from_u128(to),
        }]));
    }

    pub(crate) fn fence(&self, number: u128) -> Fence {
        let record = self.view.state.task(task(number)).unwrap();
        record.lease.as_ref().unwrap().fence
    }

    /// The node that holds the task reports this, with one artifact of so many bytes.
    pub(crate) fn report(&mut self, number: u128, outcome: Outcome, bytes: u64) {
        let record = self.view.state.task(task(number)).unwrap();
        let holder = record.lease.as_ref().unwrap().node;
        let artifact = ArtifactRecord {
            name: "all".to_owned(),
            path: "out".to_owned(),
            bytes,
            blake3: ArtifactHash([0; 32]),
            executable: false,
        };
        let report = AttemptReport {
            task: task(number),
            fence: self.fence(number),
            outcome,
            exit_code: None,
            duration_ms: 1,
            usage: ResourceUse::default(),
            isolation: None,
            artifacts: (bytes > 0).then_some(artifact).into_iter().collect(),
            gates: Vec::new(),
            account: None,
        };
        self.apply(Command::ReportResults {
            node: holder,
            reports: vec![report],
        });
    }
}
