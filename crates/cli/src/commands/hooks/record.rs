//! What a hook stores: the call that is recorded, and the entries of shared memory that it becomes.

use super::flags::Redacted;
use super::table::{self, Hook};
use serde_json::{Value, json};

/// Records of hooks are kept for 30 days.
const KEPT_S: u64 = 30 * 86_400;

/// An entry of shared memory to write.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) namespace: &'static str,
    pub(super) key: String,
    pub(super) value: Value,
}

impl Entry {
    /// As one write of a batch.
    pub(super) fn write(&self, hook: &str) -> Value {
        json!({
            "namespace": self.namespace,
            "key": self.key,
            "put": {
                "value": self.value,
                "ttl_s": KEPT_S,
                "tags": ["hooks"],
                "why": format!("skep hooks {hook}"),
            },
        })
    }
}

/// One call of a hook: what was said, and what is known besides.
pub(super) struct Event<'a> {
    pub(super) hook: &'static str,
    /// What was said, without secrets.
    pub(super) flags: &'a Redacted,
    /// When, as documents have it.
    pub(super) at: &'a str,
    /// Tells apart what happened in the same millisecond.
    pub(super) process: u32,
    /// Where, without secrets.
    pub(super) directory: &'a str,
    /// What was looked up for this hook.
    pub(super) known: Value,
}

/// The entries that a call of a hook makes.
pub(super) fn entries(hook: &Hook, event: &Event<'_>) -> Vec<Entry> {
    (hook.write)(event)
}

impl Event<'_> {
    /// A key of its own for this call.
    pub(super) fn stamp(&self) -> String {
        format!("{}-{}", self.at, self.process)
    }

    /// The id that the caller gave under this name, or one of this call.
    pub(super) fn id(&self, name: &str) -> String {
        self.flags
            .text(name)
            .map_or_else(|| self.stamp(), str::to_owned)
    }

    pub(super) fn text(&self, name: &str) -> Value {
        json!(self.flags.text(name))
    }

    /// A number; what is none stays a text.
    pub(super) fn number(&self, name: &str) -> Value {
        let text = self.flags.text(name);
        let number = text.and_then(|text| text.parse::<f64>().ok());
        number.map_or_else(|| self.text(name), |number| json!(number))
    }

    pub(super) fn entry(&self, namespace: &'static str, key: String, value: Value) -> Entry {
        let mut value = value;
        value["hook"] = json!(self.hook);
        value["at"] = json!(self.at);
        Entry {
            namespace,
            key,
            value,
        }
    }

    /// All that the caller said, as it was said.
    pub(super) fn record(&self, namespace: &'static str, key: String) -> Entry {
        let hook = table::find(self.hook).expect("an event is of a hook of the table");
        let mut value = json!({ "directory": self.directory });
        for name in hook.values {
            value[camel(name)] = self.text(name);
        }
        for name in hook.switches {
            value[camel(name)] = json!(self.flags.is_on(name));
        }
        if !self.known.is_null() {
            value["known"] = self.known.clone();
        }
        self.entry(namespace, key, value)
    }
}

/// `task-id` as `taskId`.
fn camel(name: &str) -> String {
    let mut words = name.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (head, tail) = word.split_at(1.min(word.len()));
        name + &head.to_uppercase() + tail
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_keys_are_those_of_the_original() {
        assert_eq!(camel("auto-spawn-agents"), "autoSpawnAgents");
        assert_eq!(camel("file"), "file");
    }
}
