//! `skep agent`: look at agents.

use super::Session;
use crate::api::{items, path};
use crate::args::{AgentCommand, ListArgs};
use crate::exit::{Exit, Outcome};
use crate::output::{shown, table, text};
use serde_json::Value;
use skep_client::{ClientError, with_query};
use std::fmt::Write as _;

pub(crate) async fn run(session: &Session, command: AgentCommand) -> Outcome {
    match command {
        AgentCommand::Ls { list: page, kind } => list(session, &page, kind).await,
        AgentCommand::Show { agent } => show(session, &agent).await,
    }
}

async fn list(session: &Session, page: &ListArgs, kind: Option<String>) -> Outcome {
    let filters = [("state", page.state.clone()), ("kind", kind)];
    let given = filters
        .iter()
        .filter_map(|(key, value)| Some((*key, value.as_deref()?)));
    let api = session.api()?;
    let agents = api
        .all(&with_query("/api/v2/agents", given), page.limit)
        .await?;
    session.output.document(&agents, |agents| {
        let rows = items(agents).iter().map(|agent| {
            [
                "/id", "/name", "/kind", "/state", "/role", "/load", "/slots",
            ]
            .map(|field| text(agent, field))
            .to_vec()
        });
        table(
            &["id", "name", "kind", "state", "role", "load", "slots"],
            rows,
        )
    })?;
    Ok(Exit::Ok)
}

/// Of an attached agent what its session says, else what is known of a hosted one.
async fn show(session: &Session, agent: &str) -> Outcome {
    let api = session.api()?;
    let attached: Result<Value, ClientError> = api.client().get(&path(&["sessions", agent])).await;
    let document = match attached {
        Ok(document) => document,
        Err(ClientError::Problem(problem)) if problem.code == "session_not_found" => {
            api.get(&path(&["agents", agent])).await?
        }
        Err(error) => return Err(error.into()),
    };
    session.output.document(&document, agent_text)?;
    Ok(Exit::Ok)
}

/// Each field on a line; what is declared and what was measured stay apart.
fn agent_text(agent: &Value) -> String {
    let mut out = String::new();
    for (field, value) in agent.as_object().into_iter().flatten() {
        if field != "measured" {
            let _ = writeln!(out, "{field:14} {}", shown(value));
        }
    }
    let rows = measured_rows(agent);
    if !rows.is_empty() {
        let header = ["asked for", "finished", "failed", "mean ms", "gates passed"];
        let _ = write!(out, "\nmeasured\n{}", table(&header, rows));
    }
    out
}

fn measured_rows(agent: &Value) -> Vec<Vec<String>> {
    let row = |name: &str, measured: &Value| {
        let fields = ["/finished", "/failed", "/mean_ms", "/gates_passed_rate"];
        let mut row = vec![name.to_owned()];
        row.extend(fields.map(|field| text(measured, field)));
        row
    };
    let Some(measured) = agent.get("measured") else {
        return Vec::new();
    };
    let of_capabilities = measured["by_capability"].as_object();
    let of_capabilities = of_capabilities.into_iter().flatten();
    std::iter::once(row("all", &measured["all"]))
        .chain(of_capabilities.map(|(name, measured)| row(name, measured)))
        .collect()
}
