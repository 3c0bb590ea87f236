//! Who calls: the bearer token, checked against the live state.

use crate::failure::Failure;
use crate::request_identity::refuse_repeated;
use axum::http::{HeaderMap, header};
use skep_coordinator::{TASK_TOKEN_PREFIX, may_connect};
use skep_model::token::Scope;
use skep_operations::join::{NodeSessionKey, SESSION_TTL_MS};
use skep_operations::{ErrorCode, OperationError, Principal, Services, tokens};

/// The caller of a request.
///
/// A missing header is `Anonymous`: the operation's permission refuses it.
pub(crate) fn principal(headers: &HeaderMap, services: &Services) -> Result<Principal, Failure> {
    refuse_repeated(headers, &header::AUTHORIZATION, "Authorization")?;
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(Principal::Anonymous);
    };
    let secret = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, secret)| secret.trim())
        .ok_or_else(|| {
            Failure::new(
                ErrorCode::TokenMissing,
                "`Authorization` should be `Bearer TOKEN`",
            )
        })?;
    if secret.starts_with(TASK_TOKEN_PREFIX) {
        attempt(secret, services)
    } else if NodeSessionKey::is_session(secret) {
        node(secret, services)
    } else {
        holder(secret, services)
    }
}

/// The hash is looked up, not compared, so the time tells nothing about other secrets.
fn holder(secret: &str, services: &Services) -> Result<Principal, Failure> {
    let hash = tokens::secret_hash(secret);
    let now = services.now();
    let view = services.hive.view();
    let record = view
        .state
        .token_by_hash(&hash)
        .ok_or_else(|| Failure::new(ErrorCode::TokenUnknown, "no token has this secret"))?;
    if record.expires_at.is_some_and(|end| end <= now) {
        let detail = format!("token `{}` has expired", record.name);
        return Err(Failure::new(ErrorCode::TokenExpired, detail));
    }
    Ok(Principal::Token {
        id: record.id,
        scopes: record.scopes.clone(),
    })
}

/// A session is good for as long as the node is welcome.
fn node(secret: &str, services: &Services) -> Result<Principal, Failure> {
    let (node, end) = services.join.sessions.verify(secret).ok_or_else(|| {
        let detail = "this coordinator did not make this session of a node";
        Failure::new(ErrorCode::TokenUnknown, detail)
    })?;
    let now = services.now();
    // One that ends later than a new one would was made by a clock that was ahead.
    if end <= now || end > now.plus(SESSION_TTL_MS) {
        let detail = format!("the session of node `{node}` has ended");
        return Err(Failure::new(ErrorCode::TokenExpired, detail));
    }
    let view = services.hive.view();
    match may_connect(&view.state, node) {
        Ok(()) => Ok(Principal::Node(node)),
        Err(reason) => Err(Failure::from(OperationError::from(reason))),
    }
}

fn attempt(secret: &str, services: &Services) -> Result<Principal, Failure> {
    let (task, fence) = services.task_tokens.verify(secret).ok_or_else(|| {
        Failure::new(
            ErrorCode::TokenUnknown,
            "this coordinator did not make this task token",
        )
    })?;
    let view = services.hive.view();
    let record = view.state.task(task);
    let current = record
        .and_then(|record| record.lease.as_ref())
        .map(|lease| lease.fence);
    if current != Some(fence) {
        let detail = format!("attempt {fence} of `{task}` is not the current one");
        return Err(Failure::new(ErrorCode::FenceStale, detail));
    }
    Ok(Principal::Task {
        task,
        fence,
        run: record.and_then(|record| record.run),
    })
}

/// The caller, who must hold a token with this scope.
pub(crate) fn require(
    headers: &HeaderMap,
    services: &Services,
    scope: Scope,
) -> Result<Principal, Failure> {
    let caller = principal(headers, services)?;
    match &caller {
        Principal::Anonymous => Err(Failure::new(
            ErrorCode::TokenMissing,
            "the `Authorization` header is missing",
        )),
        _ if caller.has(scope) => Ok(caller),
        _ => {
            let detail = format!("the token lacks the scope `{scope}`");
            Err(Failure::new(ErrorCode::ScopeMissing, detail))
        }
    }
}
