//! Operations on join tokens. A token's text is shown once, when it is made.

use crate::context::Context;
use crate::declare::{ADMIN, end, read, submit};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::fields::{NoParameters, check_labels, check_text};
use crate::operation::{Operation, Repetition};
use crate::rfc3339::Timestamp;
use crate::views::Page;
use serde::{Deserialize, Serialize};
use skep_identity::JoinToken;
use skep_model::command::Command;
use skep_model::ids::JoinTokenId;
use skep_model::join::{JoinKind, JoinTokenRecord, NodePreset};
use skep_model::limits::{JOIN_TTL_DEFAULT_MS, JOIN_TTL_MAX_MS, JOIN_USES_DEFAULT, JOIN_USES_MAX};
use skep_model::time::UnixMillis;

pub(super) fn operations() -> Vec<Operation> {
    const LIST: &str = "list the join tokens and revoke what a lost answer may have made";
    vec![
        read(
            "join_tokens.list",
            "/join-tokens",
            ADMIN,
            "Lists the join tokens, without their secrets.",
        )
        .answers_at_once(list),
        submit(
            "join_tokens.create",
            "/join-tokens",
            ADMIN,
            "Makes a join token and shows its text once.",
        )
        .repetition(Repetition::Acts(LIST))
        .takes(create),
        end(
            "join_tokens.revoke",
            "/join-tokens/{id}",
            ADMIN,
            "Ends a join token. Machines that came in by it stay.",
        )
        .answers(revoke),
    ]
}

/// A join token, without its secret.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct JoinTokenView {
    /// The token.
    id: JoinTokenId,
    /// What it lets in.
    kind: JoinKind,
    /// When it was made.
    created_at: Timestamp,
    /// When it ends.
    expires_at: Timestamp,
    /// How many machines it lets in.
    uses_max: u32,
    /// How many came in.
    uses: u32,
    /// Whether it lets nobody in any more.
    over: bool,
    /// What machines get that come in by it.
    preset: NodePreset,
}

impl JoinTokenView {
    fn of(record: &JoinTokenRecord, now: UnixMillis) -> Self {
        Self {
            id: record.id,
            kind: record.kind,
            created_at: record.created_at.into(),
            expires_at: record.expires_at.into(),
            uses_max: record.uses_max,
            uses: record.uses,
            over: record.is_over(now),
            preset: record.preset.clone(),
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "all handlers have this form")]
fn list(context: &Context, _: &NoParameters) -> Result<Page<JoinTokenView>, OperationError> {
    let now = context.services.now();
    let view = context.services.hive.view();
    let tokens = view.state.join_tokens();
    Ok(Page {
        items: tokens.map(|token| JoinTokenView::of(token, now)).collect(),
        next_cursor: None,
    })
}

/// A join token to make.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewJoinToken {
    /// What it lets in; `node` unless given.
    #[schemars(with = "Option<JoinKind>")]
    kind: Option<String>,
    /// Seconds until it ends; one hour unless given, at most 90 days.
    ttl_s: Option<u64>,
    /// How many machines it lets in; 5 unless given, at most 10,000.
    uses: Option<u32>,
    /// What machines get that come in by it.
    #[serde(default)]
    preset: NodePreset,
}

/// A new join token with its text.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct CreatedJoinToken {
    /// The token.
    #[serde(flatten)]
    view: JoinTokenView,
    /// What `skep join` takes. It is not kept and cannot be shown again.
    token: String,
}

/// What asks for an attached agent: an external session that takes work.
const ATTACHED_AGENT: &str = "agent";

/// What a token lets in.
fn kind_named(word: Option<&str>) -> Result<JoinKind, OperationError> {
    let Some(word) = word else {
        return Ok(JoinKind::Node);
    };
    if word == ATTACHED_AGENT {
        let detail = "`kind` is `agent`, and an attached agent is no machine that joins";
        return Err(OperationError::new(
            ErrorCode::AgentNeedsNoJoinToken,
            detail,
        ));
    }
    let mut kinds = JoinKind::ALL.into_iter();
    kinds.find(|kind| kind.as_str() == word).ok_or_else(|| {
        let detail = format!("`kind` is `{word}`; want server, node or volunteer");
        OperationError::new(ErrorCode::FieldInvalid, detail)
    })
}

/// What a token is to be, checked.
fn checked(new: &NewJoinToken) -> Result<(u64, u32), OperationError> {
    let invalid = |detail: String| OperationError::new(ErrorCode::FieldInvalid, detail);
    let ttl_ms = match new.ttl_s {
        None => JOIN_TTL_DEFAULT_MS,
        Some(seconds) if (1..=JOIN_TTL_MAX_MS / 1_000).contains(&seconds) => seconds * 1_000,
        Some(seconds) => {
            let max = JOIN_TTL_MAX_MS / 1_000;
            let detail = format!("`ttl_s` is {seconds}; want 1 to {max} (`JOIN_TTL_MAX_MS`)");
            return Err(invalid(detail));
        }
    };
    let uses = new.uses.unwrap_or(JOIN_USES_DEFAULT);
    if !(1..=JOIN_USES_MAX).contains(&uses) {
        let detail = format!("`uses` is {uses}; want 1 to {JOIN_USES_MAX} (`JOIN_USES_MAX`)");
        return Err(invalid(detail));
    }
    check_labels(&new.preset.labels)?;
    if let Some(pool) = &new.preset.pool {
        check_text("preset.pool", pool)?;
    }
    Ok((ttl_ms, uses))
}

async fn create(
    context: Context,
    _: NoParameters,
    new: NewJoinToken,
) -> Result<CreatedJoinToken, OperationError> {
    let (ttl_ms, uses_max) = checked(&new)?;
    let kind = kind_named(new.kind.as_deref())?;
    let reach = context.services.join.reach.clone().ok_or_else(|| {
        OperationError::new(
            ErrorCode::JoinUnavailable,
            "the coordinator listens on loopback only",
        )
    })?;
    let mut secret = [0_u8; 32];
    getrandom::fill(&mut secret)
        .map_err(|error| OperationError::internal("draw a secret", &error))?;
    let id = JoinTokenId::from_u128(context.services.fresh_id());
    let token = JoinToken::new(kind, reach.fingerprint, reach.addresses, id, secret)
        .map_err(|error| OperationError::internal("make a join token", &error))?;
    let now = context.services.now();
    let record = JoinTokenRecord {
        id,
        kind,
        hash: token.secret_hash(),
        created_at: now,
        expires_at: now.plus(ttl_ms),
        uses_max,
        uses: 0,
        preset: new.preset,
    };
    context
        .propose(Command::CreateJoinToken(Box::new(record.clone())))
        .await?;
    // The log says when its time began; a token that was revoked meanwhile is shown as proposed.
    let made = context.services.hive.view().state.join_token(id).cloned();
    let made = made.unwrap_or(record);
    Ok(CreatedJoinToken {
        view: JoinTokenView::of(&made, made.created_at),
        token: token.encode(),
    })
}

/// Names a join token.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct JoinTokenPath {
    /// Its id (not its text).
    id: String,
}

/// What was ended.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Revoked {
    /// The token.
    revoked: JoinTokenId,
}

async fn revoke(context: Context, path: JoinTokenPath) -> Result<Revoked, OperationError> {
    let unknown = || {
        let detail = format!("no join token has the id `{}`", path.id);
        OperationError::new(ErrorCode::JoinTokenNotFound, detail)
    };
    let id: JoinTokenId = path.id.parse().map_err(|_| unknown())?;
    if context.services.hive.view().state.join_token(id).is_none() {
        return Err(unknown());
    }
    context.propose(Command::RevokeJoinToken(id)).await?;
    Ok(Revoked { revoked: id })
}
