//! A machine joins: it shows the secret of a join token and gives its public key.

use crate::context::Context;
use crate::declare::{OPEN, act};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::fields::{NoParameters, check_machine_name};
use crate::operation::Operation;
use serde::{Deserialize, Serialize};
use skep_identity::{PublicKey, Secret, Signature, join_message, pairing_code};
use skep_model::command::Command;
use skep_model::event::Event;
use skep_model::ids::{ClusterId, JoinTokenId, NodeId};
use skep_model::join::{JoinKind, NodePreset};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        act(
            "join.enrol",
            "/join",
            OPEN,
            "Lets a machine in that shows the secret of a join token, and remembers its key.",
        )
        .takes(enrol),
    ]
}

/// What a machine shows to come in.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Application {
    /// The join token.
    token: JoinTokenId,
    /// Its secret, 64 hexadecimal digits.
    secret: String,
    /// Name for people; free among the nodes that have not left.
    name: String,
    /// Public Ed25519 key of the machine, 64 hexadecimal digits.
    key: String,
    /// Signature by this key, 128 hexadecimal digits, over token and key: proof that the machine
    /// holds it.
    signature: String,
}

/// How a machine stands after it joined.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Admission {
    /// The node it is from now on.
    node: NodeId,
    /// The swarm.
    cluster: ClusterId,
    /// What it came in as.
    kind: JoinKind,
    /// What the token gave it.
    preset: NodePreset,
    /// Whether it may connect now, or waits for a person.
    approved: bool,
    /// What both sides show to the person who approves it.
    pairing_code: String,
}

async fn enrol(
    context: Context,
    _: NoParameters,
    application: Application,
) -> Result<Admission, OperationError> {
    let key = proven_key(&context, &application)?;
    let node = NodeId::from_u128(context.services.fresh_id());
    let entry = context
        .propose(Command::EnrolNode {
            node,
            key: key.to_bytes(),
            token: application.token,
            name: application.name,
        })
        .await?;
    // A machine that asks again is told the node it already is.
    let node = entry.events.iter().find_map(|event| match event {
        Event::NodeEnrolled { node, .. } => Some(*node),
        _ => None,
    });
    let view = context.services.hive.view();
    let record = node.and_then(|node| view.state.enrolment(node));
    let record = record.ok_or_else(|| {
        let detail = "the machine was removed while it joined";
        OperationError::new(ErrorCode::LoginRefused, detail)
    })?;
    let cluster = context.services.server.cluster;
    tracing::info!(node = %record.node, name = record.name, "a machine joined");
    Ok(Admission {
        node: record.node,
        cluster,
        kind: record.kind,
        preset: record.preset.clone(),
        approved: record.approved,
        pairing_code: pairing_code(&key, cluster),
    })
}

/// The key of a machine that showed the token's secret and holds the key. An unknown token and a
/// wrong secret give the same answer.
fn proven_key(context: &Context, shown: &Application) -> Result<PublicKey, OperationError> {
    check_machine_name("name", &shown.name)?;
    let invalid = |field: &str, error: &dyn std::error::Error| {
        OperationError::new(ErrorCode::FieldInvalid, format!("`{field}`: {error}"))
    };
    let secret = Secret::from_hex(&shown.secret).map_err(|error| invalid("secret", &error))?;
    let key = PublicKey::from_hex(&shown.key).map_err(|error| invalid("key", &error))?;
    let signature =
        Signature::from_hex(&shown.signature).map_err(|error| invalid("signature", &error))?;
    let is_known = {
        let view = context.services.hive.view();
        let record = view.state.join_token(shown.token);
        record.is_some_and(|record| secret.matches(&record.hash))
    };
    if !is_known {
        tracing::warn!(token = %shown.token, name = shown.name, "a join token was refused");
        let detail = format!("no join token `{}` has this secret", shown.token);
        return Err(OperationError::new(ErrorCode::JoinTokenUnknown, detail));
    }
    if !key.verifies(&join_message(shown.token, &key), &signature) {
        let detail = "the signature does not fit the key";
        return Err(OperationError::new(ErrorCode::LoginRefused, detail));
    }
    refuse_taken_name(context, &key, &shown.name)?;
    Ok(key)
}

/// Two machines that joined with one name could not both connect. The core says so too; this says
/// what to do.
fn refuse_taken_name(context: &Context, key: &PublicKey, name: &str) -> Result<(), OperationError> {
    let view = context.services.hive.view();
    let own = view.state.enrolment_by_key(&key.to_bytes());
    let own = own.map(|record| record.node);
    let mut others = view.state.enrolments();
    if others.any(|record| record.name == name && Some(record.node) != own) {
        let detail = format!("another machine joined as `{name}`");
        return Err(OperationError::new(ErrorCode::NameTaken, detail)
            .with_hint("join under another name: `skep join TOKEN --name NAME`"));
    }
    Ok(())
}
