//! The statements about joining, about what operators say of nodes, and about what nodes hand
//! back or is taken from them.

use super::statements::{capabilities, instance, labels};
use super::{Words, World};
use skep_model::attempt::LogIndex;
use skep_model::command::{Actor, AttemptMove, Command, HandedBack};
use skep_model::hold::{DisconnectSetting, OnDisconnect};
use skep_model::ids::{AgentId, JoinTokenId, NodeId, TaskId};
use skep_model::join::{JoinKind, JoinTokenRecord, NodePreset};
use skep_model::node::NodeClass;
use skep_model::session::{AttachedSpec, HeartbeatMode, SessionFacts};
use skep_model::task::HandBack;
use skep_model::time::UnixMillis;
use skep_model::work::{DescribedWork, Work};

/// How long a token lets machines in unless the statement says otherwise, milliseconds.
const TTL_MS: u64 = 1_000_000;

pub(super) fn command(words: &Words<'_>, node: NodeId) -> Command {
    let token = JoinTokenId::from_u128(words.id());
    match words.verb {
        "join-token" => Command::CreateJoinToken(Box::new(JoinTokenRecord {
            id: token,
            kind: JoinKind::Node,
            hash: [words.id() as u8; 32],
            created_at: UnixMillis(0),
            expires_at: UnixMillis(words.number("ttl").unwrap_or(TTL_MS)),
            uses_max: words.number("uses").unwrap_or(1) as u32,
            uses: 0,
            preset: NodePreset {
                labels: labels(words),
                pool: words.option("pool").map(str::to_owned),
                ephemeral: words.has("ephemeral"),
                needs_approval: words.has("approval"),
            },
        })),
        "revoke-join" => Command::RevokeJoinToken(token),
        "enrol" => Command::EnrolNode {
            node,
            key: [words.number("key").unwrap_or(words.id() as u64) as u8; 32],
            token: JoinTokenId::from_u128(words.number("by").unwrap().into()),
            name: format!("n{}", words.id()),
        },
        "approve" => Command::ApproveNode(node),
        "set" => Command::SetNode {
            node,
            labels: words.option("label").map(|_| labels(words)),
            region: words.option("region").map(str::to_owned),
            on_disconnect: words.option("disconnect").map(|word| match policy(word) {
                Some(policy) => DisconnectSetting::Fixed(policy),
                None => DisconnectSetting::Own,
            }),
        },
        "park" => Command::ParkNode {
            node,
            for_ms: words.number("for").unwrap(),
        },
        "unpark" => Command::UnparkNode(node),
        "agree" => Command::ConfirmHold {
            node,
            instance: instance(words),
            since: LogIndex(words.number("to").unwrap()),
        },
        "away" | "back" => Command::SetAvailability {
            node,
            instance: instance(words),
            away: words.option("because").map(str::to_owned),
        },
        "attach" => Command::AttachAgent {
            seat: node,
            instance: instance(words),
            agent: AgentId::from_u128(words.number("agent").map_or_else(|| words.id(), u128::from)),
            spec: Box::new(AttachedSpec {
                name: words
                    .option("name")
                    .map_or_else(|| format!("s{}", words.id()), str::to_owned),
                role: words.option("role").unwrap_or("session").to_owned(),
                capabilities: capabilities(words),
                session: SessionFacts {
                    owner: Actor::Coordinator,
                    heartbeat: HeartbeatMode::Calls,
                    client: "test".to_owned(),
                },
            }),
        },
        other => panic!("no statement `{other}`"),
    }
}

pub(super) fn described_work() -> Work {
    Work::Described(Box::new(DescribedWork {
        instructions: "look around".to_owned(),
        expected: None,
        inputs: Vec::new(),
        timeout_ms: None,
    }))
}

pub(super) fn class(words: &Words<'_>) -> NodeClass {
    if words.has("consumer") {
        NodeClass::Consumer
    } else {
        NodeClass::Server
    }
}

/// The policy of this name; none for `own`.
pub(super) fn policy(word: &str) -> Option<OnDisconnect> {
    match word {
        "own" => None,
        "replace" => Some(OnDisconnect::Replace),
        "wait" => Some(OnDisconnect::Wait),
        "keep" => Some(OnDisconnect::Keep),
        other => panic!("no policy `{other}`"),
    }
}

impl World {
    /// `move TASK to=AGENT`.
    pub(super) fn move_attempt(&self, words: &Words<'_>) -> Command {
        let (_, fence) = self.grant_of(words);
        Command::MoveAttempts(vec![AttemptMove {
            task: TaskId::from_u128(words.id()),
            fence,
            agent: AgentId::from_u128(words.number("to").unwrap().into()),
        }])
    }

    pub(super) fn hand_back(&self, words: &Words<'_>) -> Command {
        let (node, fence) = self.grant_of(words);
        let task = TaskId::from_u128(words.id());
        let reason = HandBack::Stopping;
        Command::HandBackGrants {
            node,
            grants: vec![HandedBack {
                task,
                fence,
                reason,
            }],
        }
    }
}
