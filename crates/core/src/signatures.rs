//! Requirement signatures: equal requirements are kept once and named by a small number.

use skep_model::requirements::Requirements;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Names requirements while a live task has them. Never leaves the process: the number depends on
/// the order in which requirements were met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SignatureId(pub(crate) u64);

/// The requirements of the live tasks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signatures {
    ids: BTreeMap<Arc<Requirements>, SignatureId>,
    entries: BTreeMap<SignatureId, Entry>,
    next: u64,
}

#[derive(Debug, Clone)]
struct Entry {
    requirements: Arc<Requirements>,
    tasks: u32,
}

impl Signatures {
    /// The number of these requirements, for one more task.
    pub(crate) fn acquire(&mut self, requirements: &Requirements) -> SignatureId {
        if let Some(id) = self.ids.get(requirements) {
            let entry = self.entries.get_mut(id).expect("each number has an entry");
            entry.tasks += 1;
            return *id;
        }
        let id = SignatureId(self.next);
        self.next += 1;
        let requirements = Arc::new(requirements.clone());
        self.ids.insert(Arc::clone(&requirements), id);
        let entry = Entry {
            requirements,
            tasks: 1,
        };
        self.entries.insert(id, entry);
        id
    }

    /// One task fewer has these requirements.
    pub(crate) fn release(&mut self, id: SignatureId) {
        let entry = self.entries.get_mut(&id).expect("a task holds this number");
        entry.tasks -= 1;
        if entry.tasks == 0 {
            self.ids.remove(&entry.requirements);
            self.entries.remove(&id);
        }
    }

    /// What a number stands for.
    pub(crate) fn get(&self, id: SignatureId) -> Option<&Requirements> {
        self.entries.get(&id).map(|entry| &*entry.requirements)
    }

    /// How many tasks have these requirements.
    pub(crate) fn tasks_of(&self, id: SignatureId) -> u32 {
        self.entries.get(&id).map_or(0, |entry| entry.tasks)
    }

    /// How many different requirements there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// All of them, ordered by the requirements themselves.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Requirements, SignatureId)> {
        self.ids
            .iter()
            .map(|(requirements, id)| (&**requirements, *id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_model::isolation::IsolationLevel;

    fn requirements(isolation: IsolationLevel) -> Requirements {
        Requirements {
            isolation,
            ..Requirements::default()
        }
    }

    #[test]
    fn equal_requirements_share_a_number_until_the_last_task_is_gone() {
        let mut signatures = Signatures::default();
        let first = signatures.acquire(&requirements(IsolationLevel::S1));
        let second = signatures.acquire(&requirements(IsolationLevel::S1));
        let other = signatures.acquire(&requirements(IsolationLevel::S0));
        assert_eq!(first, second);
        assert_ne!(first, other);
        signatures.release(first);
        assert_eq!(signatures.tasks_of(second), 1);
        signatures.release(second);
        assert_eq!((signatures.get(second), signatures.len()), (None, 1));
    }

    #[test]
    fn order_does_not_depend_on_which_came_first() {
        let mut signatures = Signatures::default();
        signatures.acquire(&requirements(IsolationLevel::S2));
        signatures.acquire(&requirements(IsolationLevel::S0));
        let levels: Vec<_> = signatures.iter().map(|(r, _)| r.isolation).collect();
        assert_eq!(levels, [IsolationLevel::S0, IsolationLevel::S2]);
    }
}
