//! `skep explain`: why a task does not run yet, agent by agent.

use super::Session;
use crate::api::path;
use crate::exit::{Exit, Outcome};
use crate::output::{shown, table, text};
use serde_json::Value;
use std::fmt::Write as _;

pub(crate) async fn run(session: &Session, task: &str) -> Outcome {
    let answer = session
        .api()?
        .get(&path(&["tasks", task, "explain"]))
        .await?;
    session.output.document(&answer, explanation)?;
    Ok(Exit::Ok)
}

fn explanation(answer: &Value) -> String {
    let mut out = format!("{}: {}\n", text(answer, "/task"), text(answer, "/summary"));
    let needs = answer.pointer("/waits_for").and_then(Value::as_array);
    for need in needs.into_iter().flatten() {
        let _ = writeln!(out, "  needs {}", shown(need));
    }
    let placement = answer.pointer("/placement").unwrap_or(&Value::Null);
    out.push_str(&text(placement, "/summary"));
    out.push('\n');
    out.push_str(&candidates(placement));
    out
}

/// The agents of a placement, each with why it fits or not.
pub(crate) fn candidates(placement: &Value) -> String {
    let agents = placement.pointer("/agents").and_then(Value::as_array);
    let rows: Vec<_> = agents.into_iter().flatten().map(candidate).collect();
    if rows.is_empty() {
        return "no node is known: start one with `skep node start`".to_owned();
    }
    table(&["node", "agent", "fits", "score", "why"], rows)
}

fn candidate(agent: &Value) -> Vec<String> {
    let fits = agent.pointer("/fits").and_then(Value::as_bool) == Some(true);
    let failed_before = agent.pointer("/failed_before").and_then(Value::as_bool) == Some(true);
    let reasons = agent.pointer("/reasons").and_then(Value::as_array);
    let mut why: Vec<_> = reasons.into_iter().flatten().map(shown).collect();
    if failed_before {
        why.push("this node failed the task before".to_owned());
    }
    vec![
        text(agent, "/node_name"),
        text(agent, "/agent_name"),
        if fits { "yes" } else { "no" }.to_owned(),
        text(agent, "/score"),
        why.join("; "),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_agent_is_named_with_its_reasons() {
        let answer = json!({
            "task": "task_1", "summary": "it waits for an agent", "waits_for": ["task_0"],
            "placement": {"summary": "no agent fits", "agents": [
                {"node_name": "n1", "agent_name": "a1", "fits": false, "score": null,
                 "failed_before": false, "reasons": ["lacks `rust`", "is full"]},
                {"node_name": "n2", "agent_name": "a2", "fits": true, "score": 730,
                 "failed_before": true, "reasons": []},
            ]},
        });
        let shown = explanation(&answer);
        for wanted in [
            "needs task_0",
            "no agent fits",
            "lacks `rust`; is full",
            "730",
            "before",
        ] {
            assert!(shown.contains(wanted), "{wanted} is missing in\n{shown}");
        }
    }

    #[test]
    fn a_swarm_without_nodes_is_told_how_to_get_one() {
        assert!(candidates(&json!({"agents": []})).contains("skep node start"));
    }
}
