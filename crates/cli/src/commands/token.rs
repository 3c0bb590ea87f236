//! `skep token`: make, list and revoke.

use super::Session;
use super::node::pairs;
use crate::api::{Api, path};
use crate::args::{JoinTokenArgs, TokenCommand};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{table, text};
use serde_json::{Value, json};
use skep_model::ids::{JoinTokenId, TokenId};

pub(crate) async fn run(session: &Session, command: TokenCommand) -> Outcome {
    let api = session.api()?;
    match command {
        TokenCommand::Ls => list(session, &api).await?,
        TokenCommand::New { name, scopes, ttl } => {
            let body = json!({ "name": name, "scopes": scopes, "ttl_s": ttl });
            let made = api.post("/api/v2/tokens", &body).await?;
            // The secret is the data; it is shown this once.
            session
                .output
                .document(&made, |made| text(made, "/secret"))?;
        }
        TokenCommand::Join(args) => {
            let made = api
                .post("/api/v2/join-tokens", &new_join_token(&args)?)
                .await?;
            session
                .output
                .document(&made, |made| text(made, "/token"))?;
        }
        TokenCommand::Revoke { id } => {
            let family = if id.parse::<JoinTokenId>().is_ok() {
                "join-tokens"
            } else {
                id.parse::<TokenId>().map_err(|_| not_an_id(&id))?;
                "tokens"
            };
            let answer = api.delete(&path(&[family, &id])).await?;
            session
                .output
                .document(&answer, |_| format!("revoked {id}"))?;
        }
    }
    Ok(Exit::Ok)
}

/// Tokens of both kinds in one document.
async fn list(session: &Session, api: &Api) -> Result<(), Failure> {
    let tokens = api.get("/api/v2/tokens").await?;
    let joins = api.get("/api/v2/join-tokens").await?;
    let document = json!({ "items": tokens["items"], "join_tokens": joins["items"] });
    session.output.document(&document, |document| {
        let rows = crate::api::items(document).iter().map(|token| {
            ["/id", "/name", "/scopes", "/created_at", "/expires_at"]
                .map(|field| text(token, field))
                .to_vec()
        });
        let tokens = table(&["id", "name", "scopes", "created", "expires"], rows);
        let joins = document["join_tokens"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        if joins.is_empty() {
            return tokens;
        }
        let rows = joins.iter().map(|token| {
            let uses = format!("{}/{}", text(token, "/uses"), text(token, "/uses_max"));
            let over = token["over"].as_bool() == Some(true);
            vec![
                text(token, "/id"),
                text(token, "/kind"),
                uses,
                text(token, "/expires_at"),
                if over { "over" } else { "open" }.to_owned(),
            ]
        });
        let joins = table(&["join token", "kind", "uses", "expires", "state"], rows);
        format!("{tokens}\n\n{joins}")
    })?;
    Ok(())
}

fn new_join_token(args: &JoinTokenArgs) -> Result<Value, Failure> {
    Ok(json!({
        "kind": args.kind,
        "ttl_s": args.ttl,
        "uses": args.uses,
        "preset": {
            "labels": pairs("label", &args.labels)?,
            "pool": args.pool,
            "ephemeral": args.ephemeral,
            "needs_approval": args.needs_approval,
        },
    }))
}

fn not_an_id(id: &str) -> Failure {
    let message = format!("`{id}` is not the id of a token");
    Failure::new(Exit::Invalid, "id_malformed", message)
        .hint("ids start with `token_` or `join_`; `skep token ls` shows them")
}
