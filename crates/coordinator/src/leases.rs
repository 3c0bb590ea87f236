//! Until when each node holds its work, for those who look. The truth is in `liveness`.

use parking_lot::Mutex;
use skep_model::ids::NodeId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The ends of all leases, in milliseconds of [`crate::ports::Clock::elapsed_ms`]. Clones share
/// them.
#[derive(Debug, Clone, Default)]
pub struct Leases(Arc<Mutex<BTreeMap<NodeId, u64>>>);

impl Leases {
    /// How much is left of a node's lease; 0 when it is over, `None` when the node has none.
    pub fn left_ms(&self, node: NodeId, elapsed_ms: u64) -> Option<u64> {
        let ends_at = self.0.lock().get(&node).copied();
        ends_at.map(|at| at.saturating_sub(elapsed_ms))
    }

    /// The node was heard: it holds its work until then.
    pub(crate) fn set(&self, node: NodeId, until: u64) {
        self.0.lock().insert(node, until);
    }

    /// Nobody was heard for this long, by no fault of the nodes.
    pub(crate) fn extend_all_by(&self, ms: u64) {
        for end in self.0.lock().values_mut() {
            *end += ms;
        }
    }

    pub(crate) fn forget(&self, node: NodeId) {
        self.0.lock().remove(&node);
    }
}
