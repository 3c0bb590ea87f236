//! Task tokens: what a running attempt shows when it calls back.
//!
//! A token is a keyed BLAKE3 over task and fence. Nothing is stored for it: it dies with the
//! grant, because whoever checks it also asks the state for the current fence.

use skep_model::attempt::Fence;
use skep_model::ids::TaskId;
use std::fmt;

/// What stands before a task token.
pub const TASK_TOKEN_PREFIX: &str = "swt1_";

/// Bytes of the keyed hash that a token carries.
const MAC_BYTES: usize = 16;

/// The secret of one data directory from which task tokens are made.
#[derive(Clone)]
pub struct TaskTokenKey([u8; 32]);

impl fmt::Debug for TaskTokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TaskTokenKey(..)")
    }
}

impl TaskTokenKey {
    /// The key with these bytes, which must be secret and random.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The token of one grant.
    pub fn mint(&self, task: TaskId, fence: Fence) -> String {
        format!(
            "{TASK_TOKEN_PREFIX}{task}.{fence}.{}",
            self.mac(task, fence)
        )
    }

    /// The grant a token was made for; `None` when this key did not make it.
    pub fn verify(&self, token: &str) -> Option<(TaskId, Fence)> {
        let rest = token.strip_prefix(TASK_TOKEN_PREFIX)?;
        let (grant, mac) = rest.rsplit_once('.')?;
        let (task, fence) = grant.split_once('.')?;
        let (task, fence) = (task.parse().ok()?, fence.parse().ok()?);
        constant_time_equal(self.mac(task, fence).as_bytes(), mac.as_bytes())
            .then_some((task, fence))
    }

    fn mac(&self, task: TaskId, fence: Fence) -> String {
        let mut input = [0_u8; 28];
        input[..16].copy_from_slice(&task.as_u128().to_le_bytes());
        input[16..20].copy_from_slice(&fence.epoch.to_le_bytes());
        input[20..].copy_from_slice(&fence.index.0.to_le_bytes());
        let hash = blake3::keyed_hash(&self.0, &input);
        hash.to_hex()[..MAC_BYTES * 2].to_owned()
    }
}

/// The key that stays the same for all attempts of a task, for receivers that deduplicate.
pub fn task_idempotency_key(task: TaskId) -> String {
    blake3::hash(&task.as_u128().to_le_bytes()).to_hex()[..32].to_owned()
}

fn constant_time_equal(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len()
        && left
            .iter()
            .zip(right)
            .fold(0, |difference, (l, r)| difference | (l ^ r))
            == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_model::attempt::LogIndex;

    const FENCE: Fence = Fence {
        epoch: 1,
        index: LogIndex(42),
    };

    #[test]
    fn a_token_names_its_grant_to_the_key_that_made_it() {
        let key = TaskTokenKey::new([7; 32]);
        let task = TaskId::from_u128(99);
        assert_eq!(key.verify(&key.mint(task, FENCE)), Some((task, FENCE)));
    }

    #[test]
    fn a_token_of_another_key_or_with_another_fence_is_worthless() {
        let (ours, theirs) = (TaskTokenKey::new([7; 32]), TaskTokenKey::new([8; 32]));
        let token = theirs.mint(TaskId::from_u128(99), FENCE);
        assert_eq!(ours.verify(&token), None);
        let raised = ours
            .mint(TaskId::from_u128(99), FENCE)
            .replace("1.42", "1.43");
        assert_eq!(ours.verify(&raised), None);
        assert_eq!(ours.verify("swt1_"), None);
    }
}
