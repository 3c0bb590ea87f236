//! One page for each stable error code: those of the API, of plans, of node sessions, of attempts
//! and of the command line itself. `docs/errors/` is generated from here.

mod titles;

use crate::exit::Exit;
use serde_json::{Map, Value};
use skep_plan::ErrorCode as PlanCode;
use skep_wire::FaultCode;
use titles::{fault_title, plan_title};

/// Codes that only the command line gives: code, exit code, title, what to do.
const COMMAND_LINE: &[(&str, Exit, &str, &str)] = &[
    (
        "artifact_damaged",
        Exit::Failed,
        "A downloaded artifact does not match its hash",
        "Fetch it again. If it happens again, run `skep doctor`: the coordinator's disk may be failing.",
    ),
    (
        "config_invalid",
        Exit::Invalid,
        "A configuration file is not usable",
        "The detail names file, line and key. `skep config validate` checks all files.",
    ),
    (
        "coordinator_halted",
        Exit::Storage,
        "The coordinator stopped rather than lie",
        "The disk refused to make the log durable. Nothing that was acknowledged is lost. Check the disk and its free space, then start the coordinator again.",
    ),
    (
        "coordinator_stopped",
        Exit::Failed,
        "The coordinator stopped",
        "Start it again with `skep up`; work goes on where it was.",
    ),
    (
        "coordinator_unreachable",
        Exit::Unreachable,
        "No coordinator answers",
        "Start one with `skep up`, or set SKEP_URL to the one you mean.",
    ),
    (
        "data_dir_in_use",
        Exit::Conflict,
        "Another process owns the data directory",
        "Stop the other coordinator, or choose another directory with SKEP_HOME.",
    ),
    (
        "events_lost",
        Exit::Failed,
        "The event stream has a gap",
        "The cursor is older than what the coordinator keeps. Start again without --after.",
    ),
    (
        "file_unreadable",
        Exit::NotFound,
        "A file cannot be read",
        "Check the path and its permissions.",
    ),
    (
        "hash_malformed",
        Exit::Invalid,
        "This is not an artifact hash",
        "Give the 64 hexadecimal digits that `skep artifact ls` shows.",
    ),
    (
        "id_malformed",
        Exit::Invalid,
        "This is not an id",
        "Ids look like run_ or task_ and 26 characters; `skep run ls` and `skep task ls` show them.",
    ),
    (
        "io_failed",
        Exit::Failed,
        "Reading or writing a file failed",
        "The detail says what the system answered.",
    ),
    (
        "key_unknown",
        Exit::NotFound,
        "There is no such configuration value",
        "`skep config show` lists them.",
    ),
    (
        "listen_failed",
        Exit::Failed,
        "The address cannot be listened on",
        "Choose another address with --listen.",
    ),
    (
        "listen_not_loopback",
        Exit::Invalid,
        "Plain HTTP must not leave the machine",
        "Listen on a loopback address such as 127.0.0.1:8600.",
    ),
    (
        "no_home",
        Exit::Invalid,
        "This user has no home directory",
        "Set SKEP_HOME to a directory for all data.",
    ),
    (
        "no_nodes",
        Exit::Conflict,
        "No node takes work",
        "Start one with `skep node start`.",
    ),
    (
        "no_randomness",
        Exit::Failed,
        "The system gives no randomness",
        "Wait until the machine has booted completely.",
    ),
    (
        "node_failed",
        Exit::Failed,
        "The node stopped",
        "The detail says why; its results are safe on disk and are sent when it starts again.",
    ),
    (
        "node_name_invalid",
        Exit::Invalid,
        "This cannot be the name of a node",
        "Use 1 to 128 letters, digits, `-`, `_` and `.`, not starting with `.`.",
    ),
    (
        "node_not_found",
        Exit::NotFound,
        "No node has this name",
        "`skep node ls` lists them.",
    ),
    (
        "node_not_started",
        Exit::Failed,
        "The node could not start",
        "The detail says why. A state directory belongs to one node process at a time.",
    ),
    (
        "output_missing",
        Exit::Invalid,
        "With --json an artifact needs a file to go to",
        "Add --output FILE.",
    ),
    (
        "pair_malformed",
        Exit::Invalid,
        "This should look like KEY=VALUE",
        "Write the key, an equals sign and the value.",
    ),
    (
        "params_malformed",
        Exit::Invalid,
        "The parameter file is not usable",
        "It should hold one object of texts, numbers and truth values, e.g. `dir: src`.",
    ),
    (
        "plan_invalid",
        Exit::Invalid,
        "The plan has errors",
        "Each error names line, column, value and fix. `skep plan FILE` checks without running; `skep schema plan` prints the schema.",
    ),
    (
        "plan_missing",
        Exit::Invalid,
        "No plan file was given",
        "Give the path of a plan, e.g. `skep run plan.yaml`.",
    ),
    (
        "plan_too_large",
        Exit::Invalid,
        "The plan file is too large",
        "Move large scripts and data into files that tasks read.",
    ),
    (
        "port_taken",
        Exit::Conflict,
        "The port is taken",
        "Another coordinator may run already (`skep doctor`); or choose a port with --listen.",
    ),
    (
        "proficiency_unknown",
        Exit::Invalid,
        "This is not a proficiency",
        "Use basic, intermediate, expert or specialist.",
    ),
    (
        "state_unknown",
        Exit::Invalid,
        "This is not a state",
        "Use `done` or the name of a state of a task or run.",
    ),
    (
        "stop_failed",
        Exit::Failed,
        "The coordinator did not stop in order",
        "Nothing that was acknowledged is lost: the log is replayed at the next start.",
    ),
    (
        "store_damaged",
        Exit::Storage,
        "The stored data contradicts itself",
        "Run the version of Skep that wrote it. If that does not help, restore the data directory from a copy.",
    ),
    (
        "store_unusable",
        Exit::Storage,
        "The data directory cannot be used",
        "The detail says which file and why, and what to do about it.",
    ),
    (
        "strategy_unknown",
        Exit::Invalid,
        "There is no such scheduling strategy",
        "Use capability-weighted or round-robin.",
    ),
    (
        "swarm_stalled",
        Exit::TimedOut,
        "The swarm did not finish the measurement",
        "`skep node ls` shows whether nodes take work.",
    ),
    (
        "token_not_stored",
        Exit::Storage,
        "The first token could not be stored",
        "Check the disk and start the coordinator again.",
    ),
    (
        "token_unreadable",
        Exit::Denied,
        "The token file cannot be read",
        "Run the command as the user who runs `skep up`, or set SKEP_TOKEN.",
    ),
    (
        "url_invalid",
        Exit::Invalid,
        "This is not a coordinator's address",
        "It looks like http://127.0.0.1:8600.",
    ),
    (
        "usage",
        Exit::Usage,
        "The command line is not understood",
        "`--help` after any command shows what it takes.",
    ),
    (
        "wait_timed_out",
        Exit::TimedOut,
        "The wait took longer than --timeout",
        "What was waited for goes on; wait again, or look with `skep watch`.",
    ),
];

/// Codes of attempts that could not do their work; shown with the attempt.
const ATTEMPTS: &[(&str, &str, &str)] = &[
    (
        "artifact_failed",
        "An artifact could not be taken in",
        "The file changed or vanished while it was read, or the coordinator did not take it. The attempt is tried again if its policy says so.",
    ),
    (
        "artifact_limit",
        "Too many or too large artifacts",
        "Hand in fewer or smaller files, e.g. one archive. The detail names the limit.",
    ),
    (
        "artifact_missing",
        "A required artifact was not made",
        "Nothing matched the pattern. Check the path, relative to the workspace, or set `required: false`.",
    ),
    (
        "artifact_refused",
        "An artifact may not be handed in",
        "Only regular files inside the workspace are taken: no links, devices or paths with `..`.",
    ),
    (
        "branch_taken",
        "The result branch exists already",
        "Choose another branch name, or remove the branch.",
    ),
    (
        "directory_failed",
        "A directory of the attempt could not be made",
        "Check the node's disk and the permissions of its state directory.",
    ),
    (
        "input_failed",
        "An input could not be placed",
        "The artifact could not be fetched, or its path would leave the workspace.",
    ),
    (
        "isolation_unavailable",
        "The node cannot isolate the task as asked",
        "Run it on a node whose measured level is high enough (`skep node show`).",
    ),
    (
        "launch_failed",
        "The command could not be started",
        "Check that the program exists on the node and may be executed.",
    ),
    (
        "processes_left",
        "A process of the attempt could not be ended",
        "Look at the node: a process hangs in the kernel.",
    ),
    (
        "refused_by_node",
        "The node handed the task back",
        "The detail says why, e.g. that it had no free slot.",
    ),
    (
        "supervisor_failed",
        "The attempt's supervisor failed",
        "The detail says what happened; the node's log has more.",
    ),
    (
        "workspace_failed",
        "The workspace could not be made",
        "Check that the directory or repository is on the node and the reference exists.",
    ),
];

/// All pages, as file name and Markdown text.
pub(crate) fn all() -> Value {
    let mut pages: Map<String, Value> = skep_operations::error_pages()
        .into_iter()
        .map(|(file, text)| (file, Value::String(text)))
        .collect();
    let mut add = |code: &str, seen: String, title: &str, advice: &str| {
        let text = format!("# `{code}`: {title}\n\n{seen}\n\n## What to do\n\n{advice}\n");
        pages
            .entry(format!("{code}.md"))
            .or_insert(Value::String(text));
    };
    for (code, exit, title, advice) in COMMAND_LINE {
        add(code, format!("Exit code: {}.", *exit as u8), title, advice);
    }
    for (code, title, advice) in ATTEMPTS {
        add(
            code,
            "Shown as the reason why an attempt ended.".to_owned(),
            title,
            advice,
        );
    }
    for code in PlanCode::ALL {
        let advice = "The error names the line, the column, the wrong value and what to write \
                      instead. `skep plan FILE` checks without running anything.";
        add(
            code.as_str(),
            "Exit code: 6. HTTP status: 422.".to_owned(),
            plan_title(*code),
            advice,
        );
    }
    for code in FaultCode::ALL {
        let advice = "Nodes of the same version do not send this. Run the same version of Skep on \
                      both ends; a program of your own should follow docs/nodes.md.";
        let seen = "Answered to a node on `/mcpx`, in `error.data.code`.".to_owned();
        add(code.as_str(), seen, fault_title(code), advice);
    }
    Value::Object(pages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// The codes that stand behind `Failure::new(Exit::…,` in the sources.
    fn codes_in(directory: &Path, codes: &mut Vec<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                codes_in(&path, codes);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for part in text.split("Failure::new(").skip(1) {
                let arguments: String = part.chars().take(120).collect();
                let mut quoted = arguments.split('"');
                if let (Some(before), Some(code)) = (quoted.next(), quoted.next())
                    && before.trim().starts_with("Exit::")
                    && before.trim().ends_with(',')
                    && before.matches(',').count() == 1
                {
                    codes.push(code.to_owned());
                }
            }
        }
    }

    #[test]
    fn every_code_of_the_command_line_has_a_page() {
        let mut codes = Vec::new();
        codes_in(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
            &mut codes,
        );
        assert!(codes.len() > 30, "the search finds {} codes", codes.len());
        let pages = all();
        let missing: Vec<_> = codes
            .iter()
            .filter(|code| *code != "reader_gone" && pages.get(format!("{code}.md")).is_none())
            .collect();
        assert!(missing.is_empty(), "no page for {missing:?}");
    }
}
