//! Documents that tools keep: entries of shared memory, in a namespace for each kind.

use super::call::{Call, Failure, Outcome};
use super::swarm::items;
use crate::fault::Fault;
use serde_json::{Value, json};

/// A kind of documents.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shelf {
    /// Where they are.
    pub(super) namespace: &'static str,
    /// What one is called.
    pub(super) noun: &'static str,
}

impl Shelf {
    /// A fresh id.
    pub(super) fn fresh_id(self, call: &Call) -> String {
        format!("{}_{:032x}", self.noun, call.caller.services.fresh_id())
    }

    /// Keeps a document, in place of one of the same id.
    pub(super) async fn put(self, call: &Call, id: &str, document: &Value) -> Outcome {
        let arguments = json!({
            "namespace": self.namespace, "key": id, "value": document, "why": "claude-flow",
        });
        call.operate("memory.put", arguments).await
    }

    /// A document.
    ///
    /// # Errors
    /// `mcp_document_unknown` when there is none of this id.
    pub(super) async fn get(self, call: &Call, id: &str) -> Outcome {
        let arguments = json!({ "namespace": self.namespace, "key": id });
        match call.operate("memory.get", arguments).await {
            Ok(mut entry) => Ok(entry["value"].take()),
            Err(failure) if failure.is_not_found() => {
                let detail = format!("no {} is called `{id}`", self.noun);
                Err(Failure::new(Fault::DocumentUnknown, detail))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Removes a document.
    pub(super) async fn delete(self, call: &Call, id: &str) -> Outcome {
        self.get(call, id).await?;
        let arguments = json!({ "namespace": self.namespace, "key": id });
        call.operate("memory.delete", arguments).await
    }

    /// The ids of all.
    pub(super) async fn ids(self, call: &Call) -> Result<Vec<String>, Failure> {
        let filter = json!({ "namespace": self.namespace });
        match items(&call.caller, "memory.list", &filter).await {
            Ok((entries, _)) => Ok(entries
                .iter()
                .filter_map(|entry| entry["key"].as_str().map(str::to_owned))
                .collect()),
            // Nothing was ever kept there.
            Err(failure) if failure.is_not_found() => Ok(Vec::new()),
            Err(failure) => Err(failure),
        }
    }
}
