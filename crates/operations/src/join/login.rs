//! A node that joined logs in: it signs a challenge with its key and gets a session token.

use super::session::SESSION_TTL_MS;
use crate::context::Context;
use crate::declare::{OPEN, act};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::fields::NoParameters;
use crate::operation::Operation;
use crate::rfc3339::Timestamp;
use serde::{Deserialize, Serialize};
use skep_coordinator::{Unwelcome, may_connect};
use skep_identity::{Login, Nonce, PublicKey, Signature, pairing_code};
use skep_model::ids::{ClusterId, InstanceId, NodeId};
use skep_model::join::EnrolmentRecord;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        act(
            "nodes.challenge",
            "/nodes/challenge",
            OPEN,
            "Gives a challenge for a node to sign, good for one minute.",
        )
        .answers(challenge),
        act(
            "nodes.login",
            "/nodes/login",
            OPEN,
            "Gives a session token to a node that signed a challenge with its key.",
        )
        .takes(login),
    ]
}

/// What to sign.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Challenge {
    /// The swarm that asks.
    cluster: ClusterId,
    /// Hexadecimal digits; part of what is signed.
    nonce: String,
}

async fn challenge(context: Context, _: NoParameters) -> Result<Challenge, OperationError> {
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random)
        .map_err(|error| OperationError::internal("draw a challenge", &error))?;
    let now = context.services.clock.elapsed_ms();
    let nonce = context.services.join.challenges.nonce(now, random);
    Ok(Challenge {
        cluster: context.services.server.cluster,
        nonce: nonce.to_hex(),
    })
}

/// A signed challenge.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct SignedChallenge {
    /// The node.
    node: NodeId,
    /// This start of its process.
    instance: InstanceId,
    /// How often the node was started, this start included.
    starts: u64,
    /// The challenge.
    nonce: String,
    /// Signature over all of it, 128 hexadecimal digits.
    signature: String,
}

/// A session.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct NodeSession {
    /// What to send as `Authorization: Bearer TOKEN`.
    token: String,
    /// When it ends.
    expires_at: Timestamp,
    /// Seconds until then: clocks may differ.
    expires_in_s: u64,
}

async fn login(
    context: Context,
    _: NoParameters,
    signed: SignedChallenge,
) -> Result<NodeSession, OperationError> {
    let known = {
        let view = context.services.hive.view();
        view.state.enrolment(signed.node).cloned()
    };
    let known = known.ok_or_else(|| {
        refused(
            &signed,
            "it did not join this swarm, or was removed from it",
        )
    })?;
    check_proof(&context, &signed, &known)?;
    let may_connect = may_connect(&context.services.hive.view().state, signed.node);
    may_connect.map_err(|reason| unwelcome(&context, &known, reason))?;
    let end = context.services.now().plus(SESSION_TTL_MS);
    Ok(NodeSession {
        token: context.services.join.sessions.mint(signed.node, end),
        expires_at: end.into(),
        expires_in_s: SESSION_TTL_MS / 1_000,
    })
}

/// Who waits for approval is told what to compare.
fn unwelcome(context: &Context, known: &EnrolmentRecord, reason: Unwelcome) -> OperationError {
    let error = OperationError::from(reason);
    if error.code() != ErrorCode::NodeNotApproved {
        return error;
    }
    let key = PublicKey::from_bytes(known.key);
    let code = pairing_code(&key, context.services.server.cluster);
    let detail = format!(
        "{}; `{}` shows the pairing code {code}",
        error.detail(),
        known.name
    );
    OperationError::new(error.code(), detail)
}

fn check_proof(
    context: &Context,
    signed: &SignedChallenge,
    known: &EnrolmentRecord,
) -> Result<(), OperationError> {
    let now = context.services.clock.elapsed_ms();
    let nonce = Nonce::from_hex(&signed.nonce)
        .ok()
        .filter(|nonce| context.services.join.challenges.accepts(nonce, now))
        .ok_or_else(|| refused(signed, "its challenge is too old, or not ours"))?;
    let login = Login {
        cluster: context.services.server.cluster,
        node: signed.node,
        instance: signed.instance,
        starts: signed.starts,
    };
    let signature = Signature::from_hex(&signed.signature)
        .map_err(|_| refused(signed, "its signature cannot be read"))?;
    if PublicKey::from_bytes(known.key).verifies(&login.message(&nonce), &signature) {
        return Ok(());
    }
    Err(refused(
        signed,
        "its signature does not fit the key it joined with",
    ))
}

fn refused(signed: &SignedChallenge, reason: &str) -> OperationError {
    tracing::warn!(node = %signed.node, reason, "the login of a node was refused");
    let detail = format!("node `{}`: {reason}", signed.node);
    OperationError::new(ErrorCode::LoginRefused, detail)
}
