//! One page for each stable error code: those of the API, of plans, of node sessions, of attempts
//! and of the command line itself. `docs/errors/` is generated from here.

mod command_line;
mod operating;
mod titles;

use command_line::COMMAND_LINE;
use operating::OPERATING;
use serde_json::{Map, Value};
use skep_plan::ErrorCode as PlanCode;
use skep_wire::FaultCode;
use titles::{fault_title, plan_title};

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
    for (code, exit, title, advice) in COMMAND_LINE.iter().chain(OPERATING) {
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
    for fault in skep_mcp::Fault::ALL {
        let seen =
            "Told to a client of the Model Context Protocol, in `error.data.code` or in the \
                    result of a tool."
                .to_owned();
        add(fault.as_str(), seen, fault.title(), fault.advice());
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
