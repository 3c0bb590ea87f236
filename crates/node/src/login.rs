//! How a node proves who it is: a token that it was given, or a login with its own key.

use crate::clock::boot_ms;
use crate::error::NodeError;
use crate::membership::Access;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use skep_client::{Client, ClientError, Dial};
use skep_identity::{Login, NodeKey, Nonce};
use skep_model::ids::{ClusterId, InstanceId, NodeId};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A session is renewed when this share of its time is left, in percent.
const RENEW_AT_PERCENT: u64 = 50;
/// Pause after a login that failed, when one is still good.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// Shortest pause between two logins, whatever the coordinator says.
const RENEW_PAUSE_MIN: Duration = Duration::from_secs(10);

/// Proves who the node is. Clones share the session.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    client: Client,
    /// `None` for nodes that were given a token.
    member: Option<Arc<Member>>,
}

#[derive(Debug)]
struct Member {
    key: Arc<NodeKey>,
    cluster: ClusterId,
    node: NodeId,
    instance: InstanceId,
    starts: u64,
    session: Mutex<Option<Session>>,
}

/// A session, on the node's clock.
#[derive(Debug, Clone, Copy)]
struct Session {
    /// From when on it is renewed.
    renew_at_ms: u64,
}

/// One start of the node's process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process {
    pub(crate) instance: InstanceId,
    pub(crate) starts: u64,
}

#[derive(Debug, Deserialize)]
struct Challenge {
    cluster: ClusterId,
    nonce: String,
}

#[derive(Debug, Serialize)]
struct SignedChallenge {
    node: NodeId,
    instance: InstanceId,
    starts: u64,
    nonce: String,
    signature: String,
}

#[derive(Debug, Deserialize)]
struct Granted {
    token: String,
    expires_in_s: u64,
}

impl Credentials {
    /// Credentials for a process of the node, with the client that shows them.
    pub(crate) fn new(access: &Access, process: Process) -> Result<Self, NodeError> {
        match access {
            Access::Token { coordinator, token } => {
                let dial = Dial::new(coordinator.clone(), None);
                Ok(Self {
                    client: Client::dialling(dial, Some(token.clone()))?,
                    member: None,
                })
            }
            Access::Key { membership, key } => Ok(Self {
                client: Client::dialling(membership.dial()?, None)?,
                member: Some(Arc::new(Member {
                    key: Arc::clone(key),
                    cluster: membership.cluster,
                    node: membership.node,
                    instance: process.instance,
                    starts: process.starts,
                    session: Mutex::default(),
                })),
            }),
        }
    }

    /// The client that shows them.
    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// Makes sure that the client shows something that is good for a while.
    pub(crate) async fn refresh(&self) -> Result<(), ClientError> {
        let Some(member) = &self.member else {
            return Ok(());
        };
        let session = *member.session.lock();
        if session.is_some_and(|session| boot_ms() < session.renew_at_ms) {
            return Ok(());
        }
        member.log_in(&self.client).await
    }

    /// Whether a session that is over can be replaced by a new one.
    pub(crate) const fn can_log_in(&self) -> bool {
        self.member.is_some()
    }

    /// The next login is a new one: the coordinator did not take the session.
    pub(crate) fn forget(&self) {
        if let Some(member) = &self.member {
            *member.session.lock() = None;
        }
    }

    /// Renews the session until `stop`: uploads and logs need it between two connections too.
    pub(crate) async fn keep_fresh(self, stop: CancellationToken) {
        let Some(member) = self.member.clone() else {
            return;
        };
        loop {
            let due = member.session.lock().map(|session| session.renew_at_ms);
            let pause = due.map_or(RENEW_PAUSE_MIN, |due| {
                Duration::from_millis(due.saturating_sub(boot_ms())).max(RENEW_PAUSE_MIN)
            });
            let wait = async {
                tokio::time::sleep(pause).await;
                // The first login comes with the first connection.
                if due.is_some()
                    && let Err(error) = self.refresh().await
                {
                    tracing::warn!(%error, "the node's session was not renewed");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            };
            tokio::select! {
                () = wait => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

impl Member {
    async fn log_in(&self, client: &Client) -> Result<(), ClientError> {
        let begun = boot_ms();
        let open = client.without_token();
        let challenge: Challenge = open.post("/api/v2/nodes/challenge", &()).await?;
        let login = Login {
            // Not the one the challenge names: a coordinator restored from a backup is another.
            cluster: self.cluster,
            node: self.node,
            instance: self.instance,
            starts: self.starts,
        };
        if challenge.cluster != self.cluster {
            tracing::warn!(
                joined = %self.cluster,
                found = %challenge.cluster,
                "the coordinator belongs to another swarm than the one this node joined"
            );
        }
        let malformed = |detail: String| ClientError::AnswerMalformed {
            url: format!("{}/api/v2/nodes/challenge", client.base_url()),
            detail,
        };
        let nonce =
            Nonce::from_hex(&challenge.nonce).map_err(|error| malformed(error.to_string()))?;
        let signed = SignedChallenge {
            node: self.node,
            instance: self.instance,
            starts: self.starts,
            nonce: challenge.nonce,
            signature: self.key.sign(&login.message(&nonce)).to_hex(),
        };
        let granted: Granted = open.post("/api/v2/nodes/login", &signed).await?;
        client.show_token(&granted.token)?;
        let share = granted.expires_in_s.saturating_mul(1_000) * RENEW_AT_PERCENT / 100;
        *self.session.lock() = Some(Session {
            renew_at_ms: begun.saturating_add(share),
        });
        Ok(())
    }
}
