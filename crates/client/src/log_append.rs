//! Appends to the log of an attempt that the coordinator keeps.

use crate::client::Client;
use crate::error::ClientError;
use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use skep_model::ids::TaskId;

/// How far the coordinator's copy of a log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct LogAppended {
    /// Its length: where the next piece begins.
    pub bytes: u64,
}

impl Client {
    /// Hands in the part of an attempt's output that starts at this position. Bytes that are
    /// there already are passed over, so an empty part at 0 only asks how long the log is.
    pub async fn append_log(
        &self,
        task: TaskId,
        attempt: u32,
        offset: u64,
        bytes: Bytes,
    ) -> Result<LogAppended, ClientError> {
        let path = format!("/api/v2/tasks/{task}/attempts/{attempt}/log?offset={offset}");
        self.request(Method::PUT, path).bytes(bytes).send().await
    }
}
