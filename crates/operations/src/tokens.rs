//! Operations on tokens. A secret is shown once, when it is made.

use crate::context::Context;
use crate::declare::{ADMIN, end, read, submit};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::fields::{NoParameters, check_text};
use crate::operation::{Operation, Repetition};
use crate::views::{Page, TokenView};
use serde::{Deserialize, Serialize};
use skep_model::command::Command;
use skep_model::ids::TokenId;
use skep_model::token::{Scope, TokenRecord};

/// What stands before the secret of a token.
pub const TOKEN_PREFIX: &str = "swu1_";
/// Longest lifetime of a token that ends: ten years.
const TOKEN_TTL_S_MAX: u64 = 10 * 365 * 24 * 3_600;
/// Bytes of randomness in a secret.
const SECRET_BYTES: usize = 32;

pub(crate) fn operations() -> Vec<Operation> {
    const LIST: &str = "list the tokens and revoke what a lost answer may have made";
    vec![
        read(
            "tokens.list",
            "/tokens",
            ADMIN,
            "Lists the tokens, without their secrets.",
        )
        .answers_at_once(list),
        submit(
            "tokens.create",
            "/tokens",
            ADMIN,
            "Makes a token and shows its secret once.",
        )
        .repetition(Repetition::Acts(LIST))
        .takes(create),
        end("tokens.revoke", "/tokens/{id}", ADMIN, "Ends a token.").answers(revoke),
    ]
}

#[expect(clippy::unnecessary_wraps, reason = "all handlers have this form")]
fn list(context: &Context, _: &NoParameters) -> Result<Page<TokenView>, OperationError> {
    let view = context.services.hive.view();
    let items = view.state.tokens().map(TokenView::from).collect();
    Ok(Page {
        items,
        next_cursor: None,
    })
}

/// A token to make.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewToken {
    /// Name for people.
    name: String,
    /// What it allows; at least one.
    scopes: Vec<Scope>,
    /// Seconds until it ends; it does not end when this is left out.
    #[schemars(range(min = 1, max = TOKEN_TTL_S_MAX))]
    ttl_s: Option<u64>,
}

/// A new token with its secret.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct CreatedToken {
    /// The token.
    #[serde(flatten)]
    token: TokenView,
    /// What to send as `Authorization: Bearer SECRET`. It is not kept and cannot be shown again.
    secret: String,
}

/// A fresh secret and the hash under which it is kept.
///
/// # Errors
/// The system gave no randomness.
pub fn fresh_secret() -> Result<(String, [u8; 32]), getrandom::Error> {
    let mut bytes = [0_u8; SECRET_BYTES];
    getrandom::fill(&mut bytes)?;
    let secret = format!("{TOKEN_PREFIX}{}", blake3::Hash::from_bytes(bytes).to_hex());
    let hash = secret_hash(&secret);
    Ok((secret, hash))
}

/// The hash under which a secret is kept.
pub fn secret_hash(secret: &str) -> [u8; 32] {
    *blake3::hash(secret.as_bytes()).as_bytes()
}

async fn create(
    context: Context,
    _: NoParameters,
    new: NewToken,
) -> Result<CreatedToken, OperationError> {
    check_text("name", &new.name)?;
    if new.scopes.is_empty() {
        let detail = "`scopes` should name at least one scope";
        return Err(OperationError::new(ErrorCode::FieldInvalid, detail));
    }
    new.ttl_s.map_or(Ok(()), check_ttl)?;
    let (secret, hash) =
        fresh_secret().map_err(|error| OperationError::internal("draw a secret", &error))?;
    let now = context.services.now();
    let mut scopes = new.scopes;
    scopes.sort_unstable();
    scopes.dedup();
    let record = TokenRecord {
        id: TokenId::from_u128(context.services.fresh_id()),
        name: new.name,
        hash,
        scopes,
        created_at: now,
        expires_at: new
            .ttl_s
            .map(|seconds| now.plus(seconds.saturating_mul(1_000))),
    };
    let proposed = TokenView::from(&record);
    context
        .propose(Command::CreateToken(Box::new(record)))
        .await?;
    // The log says when its time began; a token that was revoked meanwhile is shown as proposed.
    let view = context.services.hive.view();
    let token = view.state.token_by_hash(&hash).map(TokenView::from);
    let token = token.unwrap_or(proposed);
    Ok(CreatedToken { token, secret })
}

fn check_ttl(seconds: u64) -> Result<(), OperationError> {
    let code = match seconds {
        1..=TOKEN_TTL_S_MAX => return Ok(()),
        0 => ErrorCode::FieldInvalid,
        _ => ErrorCode::LimitExceeded,
    };
    let detail = format!(
        "`ttl_s` is `{seconds}`; want 1 to {TOKEN_TTL_S_MAX} seconds (TOKEN_TTL_S_MAX), or nothing \
         for a token that does not end"
    );
    Err(OperationError::new(code, detail))
}

/// Names a token.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct TokenPath {
    /// Its id (not its secret).
    id: TokenId,
}

/// What was ended.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Revoked {
    /// The token.
    revoked: TokenId,
}

async fn revoke(context: Context, path: TokenPath) -> Result<Revoked, OperationError> {
    context.propose(Command::RevokeToken(path.id)).await?;
    Ok(Revoked { revoked: path.id })
}
