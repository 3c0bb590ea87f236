//! Tokens as callers see them: never with their secret.

use crate::rfc3339::Timestamp;
use serde::Serialize;
use skep_model::ids::TokenId;
use skep_model::token::{Scope, TokenRecord};

/// A token.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct TokenView {
    /// The token.
    pub id: TokenId,
    /// Its name.
    pub name: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends, if it does.
    pub expires_at: Option<Timestamp>,
}

impl From<&TokenRecord> for TokenView {
    fn from(record: &TokenRecord) -> Self {
        Self {
            id: record.id,
            name: record.name.clone(),
            scopes: record.scopes.clone(),
            created_at: record.created_at.into(),
            expires_at: record.expires_at.map(Timestamp),
        }
    }
}
