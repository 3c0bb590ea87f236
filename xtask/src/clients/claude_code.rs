//! Claude Code itself, without a person and with a stand-in for its model: what it does with our
//! tools is what its own code does, only the choice of calls is ours.

use super::bounded;
use super::stand_in::{Call, Course, StandIn};
use super::{Programs, Target, Transport, rest};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Before the names of our tools, where Claude Code offers them.
const PREFIX: &str = "mcp__skep__";
/// Turns of the model; more than the script has.
const TURNS_MAX: &str = "20";

/// What it is to do: submit a plan, wait for its end, read what a task printed.
fn script() -> Vec<Call> {
    let plan = json!({
        "name": "asked-for-by-claude",
        "tasks": {
            "build": { "run": "echo built" },
            "test": { "run": "echo tested", "needs": "build" },
        },
    });
    let call = |tool, input| Call { tool, input };
    vec![
        call("skep_runs_submit", json!({ "plan": plan })),
        call("skep_wait", json!({ "id": "$/run/id" })),
        call("skep_tasks_logs", json!({ "id": "$/document/tasks/0/id" })),
    ]
}

/// Whether the swarm did what was asked for, by its own word.
fn check(target: &Target, course: &Course) -> Result<()> {
    let [submitted, waited, log] = &course.results[..] else {
        anyhow::bail!("the results are {:?}", course.results);
    };
    let run = submitted["run"]["id"].as_str().context("no run")?;
    let document = rest::get(target, &format!("/api/v2/runs/{run}"))?;
    let state = &document["run"]["state"];
    ensure!(
        state == "succeeded" && waited["state"] == *state,
        "the run is {state}, Claude Code was told {waited}"
    );
    // It shows the model what is structured, not the text beside it.
    let log = log["text"].as_str().unwrap_or_default().trim();
    ensure!(["built", "tested"].contains(&log), "the log is `{log}`");
    Ok(())
}

pub(super) fn run(programs: &Programs, target: &Target) -> Result<String> {
    for transport in Transport::ALL {
        let worked = work(programs, target, transport);
        worked.with_context(|| format!("over {}", transport.as_str()))?;
    }
    let calls = script().len();
    Ok(format!(
        "{calls} calls of a script, by HTTP and stdio; the run finished"
    ))
}

fn work(programs: &Programs, target: &Target, transport: Transport) -> Result<()> {
    let script = script();
    let names: Vec<_> = script
        .iter()
        .map(|call| format!("{PREFIX}{}", call.tool))
        .collect();
    let stand_in = StandIn::start(PREFIX, script)?;
    let home = tempfile::tempdir().context("make a home for Claude Code")?;
    let config = home.path().join("mcp.json");
    fs::write(&config, config_of(target, transport).to_string()).context("write its config")?;
    let mut claude = programs.npm.program("claude");
    claude
        .env_clear()
        .envs([("PATH", "/usr/bin:/bin"), ("TERM", "dumb")])
        .env("HOME", home.path())
        .env("ANTHROPIC_API_KEY", "sk-ant-stand-in")
        .env("ANTHROPIC_BASE_URL", format!("http://{}", stand_in.address))
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .env("DISABLE_AUTOUPDATER", "1")
        .current_dir(home.path())
        .args(["-p", "Do what the swarm is there for.", "--bare"])
        .args(["--strict-mcp-config", "--mcp-config"])
        .arg(&config)
        .args(["--allowedTools", &names.join(",")])
        .args(["--output-format", "stream-json", "--verbose"])
        .args(["--max-turns", TURNS_MAX]);
    let ended = bounded::run(&mut claude)?;
    let course = stand_in.course();
    ensure!(
        ended.status.success() && course.is_done && course.faults.is_empty(),
        "{:?}: {:?}\n{}",
        ended.status,
        course.faults,
        ended.said()
    );
    check_session(&ended.stdout, Path::new(&config))?;
    check(target, &course)
}

/// The entry of our server, as a user writes it.
fn config_of(target: &Target, transport: Transport) -> Value {
    let entry = match transport {
        Transport::Http => json!({
            "type": "http",
            "url": target.url(),
            "headers": { "Authorization": target.authorization() },
        }),
        Transport::Stdio => {
            let [program, arguments @ ..] = target.command();
            json!({ "type": "stdio", "command": program, "args": arguments })
        }
    };
    json!({ "mcpServers": { "skep": entry } })
}

/// What Claude Code itself says: the server was connected, and nothing was denied.
fn check_session(stdout: &str, config: &Path) -> Result<()> {
    let events = stdout
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let events: Vec<Value> = events.collect();
    let begin = events.iter().find(|event| event["subtype"] == "init");
    let servers = begin.map(|event| &event["mcp_servers"]);
    let status = servers.map(|servers| &servers[0]["status"]);
    ensure!(
        status == Some(&json!("connected")),
        "with `{}`, the servers are {servers:?}",
        config.display()
    );
    let end = events.iter().find(|event| event["type"] == "result");
    let end = end.context("no result")?;
    ensure!(
        end["is_error"] == false && end["permission_denials"] == json!([]),
        "it ended with {end}"
    );
    Ok(())
}
