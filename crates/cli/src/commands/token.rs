//! `skep token`: make, list and revoke.

use super::Session;
use crate::args::TokenCommand;
use crate::exit::{Exit, Outcome};
use crate::output::{table, text};
use serde_json::json;

pub(crate) async fn run(session: &Session, command: TokenCommand) -> Outcome {
    let api = session.api()?;
    match command {
        TokenCommand::Ls => {
            let tokens = api.get("/api/v2/tokens").await?;
            session.output.document(&tokens, |page| {
                let rows = crate::api::items(page).iter().map(|token| {
                    ["/id", "/name", "/scopes", "/created_at", "/expires_at"]
                        .map(|field| text(token, field))
                        .to_vec()
                });
                table(&["id", "name", "scopes", "created", "expires"], rows)
            })?;
        }
        TokenCommand::New { name, scopes, ttl } => {
            let body = json!({ "name": name, "scopes": scopes, "ttl_s": ttl });
            let made = api.post("/api/v2/tokens", &body).await?;
            // The secret is the data; it is shown this once.
            session
                .output
                .document(&made, |made| text(made, "/secret"))?;
        }
        TokenCommand::Revoke { token } => {
            let path = format!("/api/v2/tokens/{token}");
            let answer = api.delete(&path).await?;
            session
                .output
                .document(&answer, |_| format!("revoked {token}"))?;
        }
    }
    Ok(Exit::Ok)
}
