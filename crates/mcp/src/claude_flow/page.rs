//! The page about the contract: what is served, what is not and why, and what is different.

use super::contract::{ContractTool, Effect, Group};
use super::not_served::NOT_SERVED;
use super::resources::SERVED;
use super::served;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Tools of the contract of 2.0.0-alpha.88, without those that came with 2.7.
const CONTRACT_TOOLS: usize = 87;
/// Those that came with 2.7.
const ADDED_LATER: [&str; 3] = ["agents_spawn_parallel", "query_control", "query_list"];

const BEGIN: &str = include_str!("page_begin.md");
const END: &str = include_str!("page_end.md");

/// The page, as Markdown.
pub fn page() -> String {
    let of_contract = || served().filter(|tool| tool.group != Group::Alias);
    let mut page = BEGIN.to_owned();
    let count = of_contract().count();
    let mut line = |text: String| {
        page.push_str(&text);
        page.push('\n');
    };
    line(format!(
        "\n## Served: {count} of {CONTRACT_TOOLS}\n\n| tool | group | does |\n|---|---|---|"
    ));
    of_contract().for_each(|tool| line(row(tool)));
    line(
        "\nNames that texts of Claude-Flow call although it never served them:\n\n| tool | group | \
         does |\n|---|---|---|"
            .to_owned(),
    );
    let aliases = served().filter(|tool| tool.group == Group::Alias);
    aliases.for_each(|tool| line(row(tool)));
    line("\nResources:\n\n| address | shows |\n|---|---|".to_owned());
    for (uri, _, about) in SERVED {
        line(format!("| `{uri}` | {about} |"));
    }
    line(
        "\n## Not yet\n\nThese are not listed; calling one is the error \
         [`mcp_tool_not_served`](errors/mcp_tool_not_served.md).\n"
            .to_owned(),
    );
    for (reason, names) in by_reason() {
        line(format!("* {names}: {reason}"));
    }
    page.push_str(END);
    page
}

fn row(tool: &ContractTool) -> String {
    let mark = match tool.effect {
        Effect::Reads => "",
        Effect::Writes => " (writes)",
        Effect::Removes => " (may remove)",
    };
    format!(
        "| `{}` | {} | {}{mark} |",
        tool.name,
        tool.group.as_str(),
        tool.about
    )
}

/// Tools that are not served, together when the reason is the same.
fn by_reason() -> Vec<(&'static str, String)> {
    let mut done = BTreeSet::new();
    let mut lines = Vec::new();
    for (_, reason) in NOT_SERVED {
        if !done.insert(reason) {
            continue;
        }
        let mut names = String::new();
        for (name, _) in NOT_SERVED.iter().filter(|(_, other)| other == reason) {
            let separator = if names.is_empty() { "" } else { ", " };
            let later = if ADDED_LATER.contains(name) {
                " (since 2.7)"
            } else {
                ""
            };
            write!(names, "{separator}`{name}`{later}").expect("writing to memory");
        }
        lines.push((*reason, names));
    }
    lines
}
