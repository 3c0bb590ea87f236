//! An attempt as the outside sees it: somebody runs it.

use skep_model::attempt::Fence;
use skep_wire::payload::AttemptKey;

/// One running execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Execution {
    pub(crate) node: usize,
    pub(crate) fence: Fence,
}

impl Execution {
    /// Of this attempt on this node.
    pub(crate) const fn of(node: usize, attempt: AttemptKey) -> Self {
        Self {
            node,
            fence: attempt.fence,
        }
    }
}
