//! Makes shared memory from stored rows.

use crate::changes::Changes;
use crate::memory::NamespaceSlot;
use crate::restore::{RestoreError, once};
use crate::state::State;
use skep_model::memory::{MemoryEntry, NamespaceRecord};

impl State {
    pub(crate) fn restore_namespace(
        &mut self,
        record: NamespaceRecord,
    ) -> Result<(), RestoreError> {
        let name = record.namespace.clone();
        let slot = NamespaceSlot::new(record);
        let known = self.memory.namespaces.insert(name.clone(), slot);
        once(known.is_some(), &name)
    }

    /// Its namespace must be there.
    pub(crate) fn restore_memory(&mut self, entry: MemoryEntry) -> Result<(), RestoreError> {
        let Some(slot) = self.memory.namespaces.get(&entry.namespace) else {
            return Err(RestoreError::NamespaceMissing {
                namespace: entry.namespace.to_string(),
                key: entry.key.to_string(),
            });
        };
        once(slot.entries.contains_key(&entry.key), &entry.key)?;
        self.memory.set(Box::new(entry), &mut Changes::default());
        Ok(())
    }
}
