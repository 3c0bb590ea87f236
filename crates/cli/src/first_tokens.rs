//! The tokens that commands and nodes of this user have from the first start on.

use crate::exit::{Exit, Failure};
use crate::places::{Places, read_token, write_private};
use crate::server::random_bytes;
use crate::system_ports::{SystemClock, SystemEntropy};
use skep_coordinator::Hive;
use skep_coordinator::ports::{Clock, Entropy};
use skep_model::command::{Actor, Command};
use skep_model::ids::TokenId;
use skep_model::token::{Scope, TokenRecord};
use std::path::Path;

/// Makes sure that the commands and the nodes of this user have tokens.
pub(crate) async fn ensure_tokens(hive: &Hive, places: &Places) -> Result<(), Failure> {
    let (admin, node) = (places.admin_token(), places.node_token());
    ensure_token(hive, &admin, "cli", Scope::Admin, "swu1_").await?;
    ensure_token(hive, &node, "local nodes", Scope::Node, "swn1_").await
}

/// Makes sure that the token file holds a token that the coordinator knows.
async fn ensure_token(
    hive: &Hive,
    path: &Path,
    name: &str,
    scope: Scope,
    prefix: &str,
) -> Result<(), Failure> {
    if path.exists() {
        let secret = read_token(path)?;
        let hash = *blake3::hash(secret.as_bytes()).as_bytes();
        if hive.view().state.token_by_hash(&hash).is_some() {
            return Ok(());
        }
    }
    let bytes = random_bytes()?;
    let secret = format!("{prefix}{}", blake3::Hash::from_bytes(bytes).to_hex());
    // The file comes first: a token in the log that nobody holds is harmless, the reverse is not.
    write_private(path, secret.as_bytes())?;
    let record = TokenRecord {
        id: TokenId::from_u128(SystemEntropy.id()),
        name: name.to_owned(),
        hash: *blake3::hash(secret.as_bytes()).as_bytes(),
        scopes: vec![scope],
        created_at: SystemClock.wall(),
        expires_at: None,
    };
    hive.propose(Actor::Coordinator, Command::CreateToken(Box::new(record)))
        .await
        .map(drop)
        .map_err(|error| Failure::new(Exit::Storage, "token_not_stored", error.to_string()))
}
