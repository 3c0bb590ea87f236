//! What a resource or a wait names: a task, a run or a node.

use crate::catalogue::{self, Entry};
use serde_json::Value;
use skep_model::ids::{NodeId, RunId, TaskId};
use skep_model::run::RunState;
use skep_model::task::TaskState;
use skep_operations::events::EventFilter;
use std::fmt;

/// What stands before every address.
const SCHEME: &str = "skep://";

/// A task, a run or a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Named {
    Task(TaskId),
    Run(RunId),
    Node(NodeId),
}

impl Named {
    /// What has this id; its prefix says of what kind it is.
    pub(crate) fn by_id(text: &str) -> Option<Self> {
        let task = text.parse().map(Self::Task);
        let run = || text.parse().map(Self::Run);
        let node = || text.parse().map(Self::Node);
        task.or_else(|_| run()).or_else(|_| node()).ok()
    }

    /// What this address names: `skep://task/ID` and so on.
    pub(crate) fn by_uri(text: &str) -> Option<Self> {
        let (kind, id) = text.strip_prefix(SCHEME)?.split_once('/')?;
        Self::by_id(id).filter(|named| named.kind() == kind)
    }

    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Self::Task(_) => "task",
            Self::Run(_) => "run",
            Self::Node(_) => "node",
        }
    }

    pub(crate) fn id(self) -> String {
        match self {
            Self::Task(id) => id.to_string(),
            Self::Run(id) => id.to_string(),
            Self::Node(id) => id.to_string(),
        }
    }

    /// The operation that reads it.
    pub(crate) fn reading(self) -> &'static Entry {
        let id = match self {
            Self::Task(_) => "tasks.get",
            Self::Run(_) => "runs.get",
            Self::Node(_) => "nodes.get",
        };
        catalogue::find(id).expect("a test reads each kind")
    }

    /// Events that can be about it.
    pub(crate) fn filter(self) -> EventFilter {
        let (task, run) = match self {
            Self::Task(task) => (Some(task), None),
            Self::Run(run) => (None, Some(run)),
            Self::Node(_) => (None, None),
        };
        EventFilter {
            run,
            task,
            memory: None,
        }
    }

    /// Its state in the document that [`Named::reading`] gives, and whether that is final. A node
    /// is never final.
    pub(crate) fn state(self, document: &Value) -> (String, bool) {
        let state = match self {
            Self::Run(_) => &document["run"]["state"],
            Self::Task(_) | Self::Node(_) => &document["state"],
        };
        let is_final = match self {
            Self::Run(_) => RunState::ALL
                .iter()
                .any(|known| state == known.as_str() && known.is_final()),
            Self::Task(_) => is_final_task(state),
            Self::Node(_) => false,
        };
        (state.as_str().unwrap_or_default().to_owned(), is_final)
    }
}

/// Whether this is the state of a task that never changes again.
pub(crate) fn is_final_task(state: &Value) -> bool {
    let mut states = TaskState::ALL.iter();
    states.any(|known| state == known.as_str() && known.is_final())
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.kind(), self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_address_is_read_as_it_is_written() {
        for named in [
            Named::Task(TaskId::from_u128(7)),
            Named::Run(RunId::from_u128(7)),
            Named::Node(NodeId::from_u128(7)),
        ] {
            assert_eq!(Named::by_uri(&named.to_string()), Some(named));
            assert_eq!(Named::by_id(&named.id()), Some(named));
            assert_eq!(
                named.reading().operation.id,
                format!("{}s.get", named.kind())
            );
        }
        let task = TaskId::from_u128(7);
        for bad in [
            format!("skep://run/{task}"),
            format!("http://task/{task}"),
            format!("skep://task/{task}/logs"),
            "skep://task/".to_owned(),
            String::new(),
        ] {
            assert_eq!(Named::by_uri(&bad), None, "{bad}");
        }
    }

    #[test]
    fn the_state_of_a_document_says_whether_it_is_final() {
        let run = Named::Run(RunId::from_u128(1));
        let task = Named::Task(TaskId::from_u128(1));
        let of_run = |state: &str| run.state(&json!({"run": {"state": state}}));
        assert_eq!(of_run("failed"), ("failed".to_owned(), true));
        assert_eq!(of_run("rolling_back"), ("rolling_back".to_owned(), false));
        assert!(task.state(&json!({"state": "expired"})).1);
        assert!(!task.state(&json!({"state": "running"})).1);
    }
}
