//! Commands on nodes, what machines can do, backups, logs and diagnosis.

use super::analysis::{checked, known_all};
use super::call::{Call, Failure, Outcome};
use super::contract::{ContractTool, Effect, Group, text, texts};
use super::swarm::items;
use super::task;
use crate::fault::Fault;
use serde_json::{Value, json};

pub(super) static TOOLS: &[ContractTool] = &[
    ContractTool {
        name: "terminal_execute",
        group: Group::System,
        about: "Runs a command as an isolated task on a node; gives its exit code and output.",
        parameters: &[
            text("command", "A script for sh; with `args` the program alone.").required(),
            texts("args", ""),
        ],
        effect: Effect::Writes,
        handle: |call| Box::pin(execute(call)),
    },
    ContractTool {
        name: "features_detect",
        group: Group::System,
        about: "Shows what each node can do: processor, memory, GPUs, isolation, capabilities.",
        parameters: &[text(
            "component",
            "cpu, memory, gpu, isolation, capabilities or models; all unless said.",
        )],
        effect: Effect::Reads,
        handle: |call| Box::pin(features(call)),
    },
    ContractTool {
        name: "backup_create",
        group: Group::System,
        about: "Copies all data of the coordinator to a directory of its machine, and checks it.",
        parameters: &[
            texts(
                "components",
                "store, artifacts, logs. The first two are always in it.",
            ),
            text("destination", "Absolute path of a new directory there."),
        ],
        effect: Effect::Writes,
        handle: |call| Box::pin(backup(call)),
    },
    ContractTool {
        name: "restore_system",
        group: Group::System,
        about: "Checks a backup and stages it: it takes the place of all data at the next start.",
        parameters: &[text(
            "backupId",
            "Of backup_create; or the path of a backup on the coordinator's machine.",
        )
        .required()],
        effect: Effect::Removes,
        handle: |call| Box::pin(restore(call)),
    },
    ContractTool {
        name: "log_analysis",
        group: Group::System,
        about: "Counts in the log of a task what matches patterns, levels, and lines that are alike.",
        parameters: &[
            text("logFile", "Id of the task whose log it is.").required(),
            texts("patterns", "Regular expressions."),
        ],
        effect: Effect::Reads,
        handle: |call| Box::pin(log(call)),
    },
    ContractTool {
        name: "diagnostic_run",
        group: Group::System,
        about: "Examines the coordinator, with `store` also every stored hash; gives remedies.",
        parameters: &[texts(
            "components",
            "Any of log, archive, disk, clock, nodes, store; all unless said.",
        )],
        effect: Effect::Reads,
        handle: |call| Box::pin(diagnose(call)),
    },
];

async fn execute(call: Call) -> Outcome {
    let command = call.required_text("command")?;
    let work = if call.value("args").is_some() {
        let argv: Vec<_> = std::iter::once(command).chain(call.texts("args")).collect();
        json!({ "name": "terminal", "argv": argv, "retries": 0 })
    } else {
        json!({ "name": "terminal", "run": command, "retries": 0 })
    };
    let submitted = call.operate("tasks.submit", work).await?;
    let id = submitted["id"].as_str().unwrap_or_default();
    let waited = call.wait(id).await?;
    if !waited.is_final {
        return Ok(json!({
            "taskId": id,
            "status": waited.state,
            "finished": false,
            "exitCode": null,
            "message": "it goes on: ask task_results for its exit code and output",
        }));
    }
    let mut result = task::of_task(&call, &waited.document).await?;
    result["finished"] = json!(true);
    if waited.state == "succeeded" {
        return Ok(result);
    }
    let reason = result["reason"].as_str().unwrap_or_default();
    let detail = format!("the command is {}: {reason}", waited.state);
    Err(Failure::new(Fault::WorkFailed, detail).with(result))
}

async fn features(call: Call) -> Outcome {
    const COMPONENTS: [&str; 6] = [
        "cpu",
        "memory",
        "gpu",
        "isolation",
        "capabilities",
        "models",
    ];
    let component = call
        .text("component")
        .filter(|component| *component != "all");
    known_all("component", component.as_slice(), &COMPONENTS)?;
    let (nodes, _) = items(&call.caller, "nodes.list", &json!({})).await?;
    let features = nodes.iter().map(|node| {
        let mut features = json!({ "node": node["name"], "system": node["system"] });
        let all = COMPONENTS.into_iter();
        for part in all.filter(|part| component.is_none_or(|wanted| wanted == *part)) {
            features[part] = feature(node, part);
        }
        features
    });
    let features: Vec<_> = features.collect();
    Ok(json!({ "component": component.unwrap_or("all"), "nodes": features }))
}

fn feature(node: &Value, part: &str) -> Value {
    let hardware = &node["hardware"];
    match part {
        "cpu" => json!({ "processor": hardware["processor"], "cores": hardware["cores"] }),
        "memory" => json!({ "bytes": hardware["memory_bytes"] }),
        "gpu" => hardware["gpus"].clone(),
        "isolation" => json!({ "level": node["isolation"], "probes": node["probes"] }),
        other => node[other].clone(),
    }
}

async fn backup(call: Call) -> Outcome {
    let wanted = call.texts("components");
    known_all("components", &wanted, &["store", "artifacts", "logs"])?;
    let no_logs = !wanted.is_empty() && !wanted.contains(&"logs");
    let mut arguments = json!({ "no_logs": no_logs });
    if let Some(destination) = call.text("destination") {
        arguments["destination"] = json!(destination);
    }
    let made = call.operate("system.backup", arguments).await?;
    let mut components = vec!["store", "artifacts"];
    components.extend((!no_logs).then_some("logs"));
    Ok(json!({
        "backupId": made["id"],
        "path": made["path"],
        "bytes": made["bytes"],
        "components": components,
        "backup": made,
    }))
}

async fn restore(call: Call) -> Outcome {
    let id = call.required_text("backupId")?;
    let staged = call.operate("system.restore", json!({ "backup": id }));
    let staged = staged.await?;
    Ok(json!({
        "backupId": staged["id"],
        "status": "staged",
        "applied": false,
        "takesEffect": staged["takes_effect"],
        "message": "staged and checked; the next start of the coordinator begins with it, keeps the \
                    present data aside, and loses what is written until then",
        "verified": staged,
    }))
}

async fn log(call: Call) -> Outcome {
    let id = call.required_text("logFile")?;
    if !matches!(
        crate::swarm_uri::Named::by_id(id),
        Some(crate::swarm_uri::Named::Task(_))
    ) {
        let detail = format!(
            "`logFile` is `{id}`; want the id of a task: Skep reads the logs that it keeps, not files \
             of a machine"
        );
        return Err(Failure::argument(detail));
    }
    let arguments = json!({ "id": id, "patterns": call.texts("patterns") });
    let summary = call.operate("tasks.summarise_log", arguments).await?;
    Ok(json!({ "logFile": id, "analysis": summary }))
}

async fn diagnose(call: Call) -> Outcome {
    const COMPONENTS: [&str; 6] = ["log", "archive", "disk", "clock", "nodes", "store"];
    let wanted = call.texts("components");
    let full = wanted.is_empty() || wanted.contains(&"store");
    let mut checked = checked(&call, &COMPONENTS, full).await?;
    let checks = checked["components"].as_array().into_iter().flatten();
    let remedies: Vec<_> = checks
        .filter(|check| check["remedy"].is_string())
        .map(|check| json!({ "component": check["name"], "remedy": check["remedy"] }))
        .collect();
    checked["remedies"] = json!(remedies);
    Ok(checked)
}
