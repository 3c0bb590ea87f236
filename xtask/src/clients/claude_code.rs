//! Claude Code itself, without a person and with a stand-in for its model: what it does with our
//! tools is what its own code does, only the choice of calls is ours.

use super::bounded;
use super::stand_in::{Call, Course, StandIn};
use super::{Programs, Target, Transport, rest};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Before the names of our tools, where Claude Code offers them.
const PREFIX: &str = "mcp__skep__";
/// Turns of the model; more than the script has.
const TURNS_MAX: &str = "20";

/// A piece of work with the swarm.
struct Scenario {
    name: &'static str,
    /// Makes what it finds; gives what `check` needs to know of that.
    prepare: fn(&Target) -> Result<Value>,
    /// Its calls, one after the other.
    script: fn() -> Vec<Call>,
    /// Whether the swarm did what was asked for, by its own word.
    check: fn(&Target, &Value, &Course) -> Result<()>,
}

const SCENARIOS: [Scenario; 2] = [
    Scenario {
        name: "submit and wait",
        prepare: |_| Ok(Value::Null),
        script: submitting,
        check: submitted_run_finished,
    },
    Scenario {
        name: "claim and complete",
        prepare: run_that_waits_for_an_agent,
        script: working,
        check: run_was_finished_by_the_agent,
    },
];

const fn call(tool: &'static str, input: Value) -> Call {
    Call { tool, input }
}

/// Submits a plan, waits for its end, reads what a task printed.
fn submitting() -> Vec<Call> {
    let plan = json!({
        "name": "asked-for-by-claude",
        "tasks": {
            "build": { "run": "echo built" },
            "test": { "run": "echo tested", "needs": "build" },
        },
    });
    vec![
        call("skep_runs_submit", json!({ "plan": plan })),
        call("skep_wait", json!({ "id": "$/run/id" })),
        call("skep_tasks_logs", json!({ "id": "$/document/tasks/0/id" })),
    ]
}

fn submitted_run_finished(target: &Target, _: &Value, course: &Course) -> Result<()> {
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

/// A run in whose middle is a task that only an agent can do.
fn run_that_waits_for_an_agent(target: &Target) -> Result<Value> {
    let plan = json!({
        "name": "needs-an-agent",
        "tasks": {
            "prepare": { "run": "echo prepared" },
            "review": {
                "needs": "prepare",
                "instructions": "Read what was prepared and say whether it is good.",
                "requires": ["reviewing"],
            },
            "publish": { "needs": "review", "run": "echo published" },
        },
    });
    rest::post(target, "/api/v2/runs", &json!({ "plan": plan }))
}

/// Registers, asks for work, claims what it is given, tells of its progress, completes it, and waits
/// for the end of the run.
fn working() -> Vec<Call> {
    let session = json!({ "capabilities": ["reviewing"], "client": "claude-code" });
    let note = json!({ "id": "$1/id", "task": "$3/task", "fence": "$3/fence", "note": "reading" });
    let done = json!({
        "id": "$1/id", "task": "$3/task", "fence": "$3/fence", "result": { "good": true },
    });
    vec![
        call("skep_sessions_register", session),
        call(
            "skep_sessions_request_work",
            json!({ "id": "$1/id", "wait_ms": 20_000 }),
        ),
        call(
            "skep_sessions_claim",
            json!({ "id": "$1/id", "task": "$2/assignment/task" }),
        ),
        call(
            "skep_call",
            json!({ "operation": "sessions.progress", "arguments": note }),
        ),
        call("skep_sessions_complete", done),
        call("skep_wait", json!({ "id": "$3/run" })),
    ]
}

fn run_was_finished_by_the_agent(target: &Target, run: &Value, course: &Course) -> Result<()> {
    let (Some(session), Some(waited)) = (course.results.first(), course.results.last()) else {
        anyhow::bail!("there are no results");
    };
    let id = run["run"]["id"].as_str().context("no run")?;
    ensure!(
        waited["id"] == id && waited["state"] == "succeeded",
        "Claude Code was told {waited}"
    );
    let review = run["tasks"]["review"].as_str().context("no task")?;
    let review = rest::get(target, &format!("/api/v2/tasks/{review}"))?;
    ensure!(
        review["state"] == "succeeded" && review["agent"] == session["id"],
        "the task is {review}, the session {session}"
    );
    let run = rest::get(target, &format!("/api/v2/runs/{id}"))?;
    let state = &run["run"]["state"];
    ensure!(state == "succeeded", "the run is {state}");
    Ok(())
}

pub(super) fn run(programs: &Programs, target: &Target) -> Result<String> {
    for scenario in &SCENARIOS {
        for transport in Transport::ALL {
            let worked = work(programs, target, transport, scenario);
            let way = || format!("{} over {}", scenario.name, transport.as_str());
            worked.with_context(way)?;
        }
    }
    let names = SCENARIOS.map(|scenario| scenario.name).join("; ");
    Ok(format!("{names}: by HTTP and stdio, and the runs finished"))
}

fn work(
    programs: &Programs,
    target: &Target,
    transport: Transport,
    scenario: &Scenario,
) -> Result<()> {
    let prepared = (scenario.prepare)(target).context("prepare")?;
    let home = tempfile::tempdir().context("make a home for Claude Code")?;
    let stand_in = StandIn::start(PREFIX, (scenario.script)())?;
    let config = home.path().join("mcp.json");
    fs::write(&config, config_of(target, transport).to_string()).context("write its config")?;
    let mut claude = claude(programs, home.path(), &config, &stand_in);
    let names = (scenario.script)();
    let names: Vec<_> = names
        .iter()
        .map(|call| format!("{PREFIX}{}", call.tool))
        .collect();
    claude.args(["--allowedTools", &names.join(",")]);
    let ended = bounded::run(&mut claude)?;
    let course = stand_in.course();
    ensure!(
        ended.status.success() && course.is_done && course.faults.is_empty(),
        "{:?}: {:?}\n{}",
        ended.status,
        course.faults,
        ended.said()
    );
    check_session(&ended.stdout, &config)?;
    (scenario.check)(target, &prepared, &course)
}

/// Claude Code without a person, with nothing of this machine but the server in its config.
fn claude(programs: &Programs, home: &Path, config: &Path, stand_in: &StandIn) -> Command {
    let mut claude = programs.npm.program("claude");
    claude
        .env_clear()
        .envs([("PATH", "/usr/bin:/bin"), ("TERM", "dumb")])
        .env("HOME", home)
        .env("ANTHROPIC_API_KEY", "sk-ant-stand-in")
        .env("ANTHROPIC_BASE_URL", format!("http://{}", stand_in.address))
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .env("DISABLE_AUTOUPDATER", "1")
        .current_dir(home)
        .args(["-p", "Do what the swarm is there for.", "--bare"])
        .args(["--strict-mcp-config", "--mcp-config"])
        .arg(config)
        .args(["--output-format", "stream-json", "--verbose"])
        .args(["--max-turns", TURNS_MAX]);
    claude
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
