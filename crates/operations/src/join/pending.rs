//! Machines that joined by tokens: who they are, and who waits for approval.

use crate::context::Context;
use crate::declare::{ADMIN, act, read};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::operation::Operation;
use crate::rfc3339::Timestamp;
use crate::views::Page;
use serde::{Deserialize, Serialize};
use skep_identity::{PublicKey, pairing_code};
use skep_model::command::Command;
use skep_model::ids::{JoinTokenId, NodeId};
use skep_model::join::{EnrolmentRecord, JoinKind};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        read(
            "enrolments.list",
            "/enrolments",
            ADMIN,
            "Lists the machines that joined by tokens, with their pairing codes.",
        )
        .answers_at_once(list),
        act(
            "nodes.approve",
            "/nodes/{id}/approve",
            ADMIN,
            "Lets a machine connect that waits for approval.",
        )
        .answers(approve),
    ]
}

/// A machine that joined by a token.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct EnrolmentView {
    /// The node.
    node: NodeId,
    /// Its name.
    name: String,
    /// What it came in as.
    kind: JoinKind,
    /// The token it came by.
    token: JoinTokenId,
    /// When it came.
    joined_at: Timestamp,
    /// Whether it may connect.
    approved: bool,
    /// Short form of its public key.
    key_fingerprint: String,
    /// What both sides show to the person who approves it.
    pairing_code: String,
}

fn view(context: &Context, record: &EnrolmentRecord) -> EnrolmentView {
    let key = PublicKey::from_bytes(record.key);
    EnrolmentView {
        node: record.node,
        name: record.name.clone(),
        kind: record.kind,
        token: record.token,
        joined_at: record.joined_at.into(),
        approved: record.approved,
        key_fingerprint: key.fingerprint(),
        pairing_code: pairing_code(&key, context.services.server.cluster),
    }
}

/// Which machines to list.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct EnrolmentListing {
    /// Only those that wait for approval.
    pending: bool,
}

#[expect(clippy::unnecessary_wraps, reason = "all handlers have this form")]
fn list(
    context: &Context,
    query: &EnrolmentListing,
) -> Result<Page<EnrolmentView>, OperationError> {
    let hive = context.services.hive.view();
    let wanted = hive.state.enrolments();
    let wanted = wanted.filter(|record| !(query.pending && record.approved));
    Ok(Page {
        items: wanted.map(|record| view(context, record)).collect(),
        next_cursor: None,
    })
}

/// Names a machine.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct EnrolmentPath {
    /// Its node id or its name.
    id: String,
}

/// The machine that joined and has this id, or else this name.
pub(crate) fn joined(context: &Context, text: &str) -> Option<NodeId> {
    let view = context.services.hive.view();
    if let Ok(id) = text.parse::<NodeId>() {
        return view.state.enrolment(id).map(|record| record.node);
    }
    let mut joined = view.state.enrolments();
    let named = joined.find(|record| record.name == text);
    named.map(|record| record.node)
}

async fn approve(context: Context, path: EnrolmentPath) -> Result<EnrolmentView, OperationError> {
    let unknown = || {
        let detail = format!("no machine joined as `{}`", path.id);
        OperationError::new(ErrorCode::NodeNotFound, detail)
    };
    let node = joined(&context, &path.id).ok_or_else(unknown)?;
    context.propose(Command::ApproveNode(node)).await?;
    let hive = context.services.hive.view();
    let record = hive.state.enrolment(node).ok_or_else(unknown)?;
    Ok(view(&context, record))
}
