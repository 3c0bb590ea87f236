//! `_meta`: what any message may say about itself, beside what it carries.

use super::groups::{CoordinationMetadata, DistributionInfo, OrchestrationContext};
use super::negotiation::Credit;
use crate::bounds::MESSAGE_NAME_LENGTH_MAX;
use crate::fault::WireError;
use serde::{Deserialize, Serialize};
use skep_model::time::UnixMillis;

/// What stands in `_meta`. The groups are read under their plain names and under those that the
/// [bridge](crate::bridge) gives them in messages of MCP.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Meta {
    /// Session, parent, gates.
    #[serde(alias = "skep/orchestration", skip_serializing_if = "Option::is_none")]
    pub orchestration: Option<Box<OrchestrationContext>>,
    /// Dependencies, points of synchronisation, rollback.
    #[serde(alias = "skep/coordination", skip_serializing_if = "Option::is_none")]
    pub coordination: Option<Box<CoordinationMetadata>>,
    /// Partition, balancing, affinity.
    #[serde(alias = "skep/distribution", skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Box<DistributionInfo>>,
    /// Name of this message; a request that is sent again has the same.
    #[serde(rename = "messageId", skip_serializing_if = "Option::is_none")]
    pub message_id: Option<Box<str>>,
    /// Name of what is asked for: requests with the same key have one effect and one answer.
    #[serde(rename = "idempotencyKey", skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<Box<str>>,
    /// Later than this nobody waits for the answer any more: nothing is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<UnixMillis>,
    /// Epoch of the coordinator that the sender has in mind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u32>,
    /// How much may have been sent to the sender of this message, counted from the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credit: Option<Credit>,
}

impl Meta {
    /// With this grant and nothing else.
    pub fn granting(credit: Credit) -> Self {
        Self {
            credit: Some(credit),
            ..Self::default()
        }
    }

    /// Whether one of the three groups is there.
    pub const fn has_groups(&self) -> bool {
        self.orchestration.is_some() || self.coordination.is_some() || self.distribution.is_some()
    }

    /// Refuses what is stale or too late, or named beyond bounds. `epoch` is the receiver's;
    /// `now` is the time of the day, if the receiver knows it.
    ///
    /// # Errors
    /// The message is not to be acted on.
    pub fn check(
        &self,
        method: &'static str,
        epoch: Option<u32>,
        now: Option<UnixMillis>,
    ) -> Result<(), WireError> {
        for (name, field) in [
            (&self.message_id, "messageId"),
            (&self.idempotency_key, "idempotencyKey"),
        ] {
            let length = name.as_ref().map_or(0, |name| name.len());
            if length > MESSAGE_NAME_LENGTH_MAX {
                return Err(WireError::InvalidParams {
                    method,
                    detail: format!(
                        "`_meta.{field}` has `{length}` bytes, more than \
                         MESSAGE_NAME_LENGTH_MAX `{MESSAGE_NAME_LENGTH_MAX}`"
                    ),
                });
            }
        }
        if let (Some(said), Some(epoch)) = (self.epoch, epoch)
            && said != epoch
        {
            return Err(WireError::EpochStale { said, epoch });
        }
        if let (Some(deadline), Some(now)) = (self.deadline, now)
            && deadline < now
        {
            return Err(WireError::DeadlineExceeded {
                method,
                late_ms: now.0.saturating_sub(deadline.0),
            });
        }
        Ok(())
    }
}
