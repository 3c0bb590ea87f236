//! Compares the dependencies between our crates with `layers.toml`, edge by edge.

use crate::step::Summary;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use cargo_metadata::DependencyKind;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// File with the allowed edges.
const FILE: &str = "layers.toml";

/// Third-party crates that bring in a runtime, a socket, a file or a log; a pure crate may not
/// depend on them.
const IMPURE: [&str; 11] = [
    "axum",
    "hyper",
    "hyper-util",
    "reqwest",
    "rusqlite",
    "rustix",
    "tempfile",
    "tokio",
    "tokio-tungstenite",
    "tokio-util",
    "tracing",
];

/// Height of a crate; dependencies point down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(untagged)]
enum Level {
    Number(u32),
    Word(OutsideLevels),
}

/// The word for crates outside the levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OutsideLevels {
    Tool,
}

/// What `layers.toml` says about one crate.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Layer {
    level: Level,
    /// Does no I/O; see [`IMPURE`].
    #[serde(default)]
    pure: bool,
    /// Crates of lower levels that it is built on.
    #[serde(default)]
    uses: BTreeSet<String>,
    /// Crates of its own level that it is built on.
    #[serde(default)]
    beside: BTreeSet<String>,
    /// Crates of its own or lower levels that only its tests use.
    #[serde(default)]
    tests: BTreeSet<String>,
}

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Layers(BTreeMap<String, Layer>);

impl Layers {
    /// Reads the file in the root.
    pub(crate) fn load(workspace: &Workspace) -> Result<Self> {
        toml::from_str(&workspace.read(FILE)?).with_context(|| format!("parse `{FILE}`"))
    }

    /// Names of the crates that do no I/O.
    pub(crate) fn pure(&self) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(|(_, layer)| layer.pure)
            .map(|(name, _)| name.as_str())
    }
}

/// Direct dependencies of one crate, as its manifest states them.
#[derive(Debug, Default, Clone)]
struct Dependencies {
    /// Workspace crates it is built on.
    uses: BTreeSet<String>,
    /// Workspace crates its tests use.
    tests: BTreeSet<String>,
    /// Third-party crates it is built on.
    foreign: BTreeSet<String>,
}

/// Fails when an edge is not listed, goes up, or is listed and not there.
pub(crate) fn check(workspace: &Workspace) -> Result<Summary> {
    let complaints = compare(&Layers::load(workspace)?, &read_graph(workspace));
    if complaints.is_empty() {
        return Ok(vec![]);
    }
    bail!(
        "dependencies and `{FILE}` differ:\n  {}",
        complaints.join("\n  ")
    );
}

fn read_graph(workspace: &Workspace) -> BTreeMap<String, Dependencies> {
    let members: BTreeSet<_> = workspace
        .members()
        .map(|package| package.name.to_string())
        .collect();
    let dependencies_of = |package: &cargo_metadata::Package| {
        let mut found = Dependencies::default();
        for dependency in &package.dependencies {
            let name = dependency.name.clone();
            let ours = members.contains(&name);
            match (ours, dependency.kind == DependencyKind::Development) {
                (true, true) => found.tests.insert(name),
                (true, false) => found.uses.insert(name),
                (false, true) => false,
                (false, false) => found.foreign.insert(name),
            };
        }
        found
    };
    workspace
        .members()
        .map(|package| (package.name.to_string(), dependencies_of(package)))
        .collect()
}

fn compare(layers: &Layers, graph: &BTreeMap<String, Dependencies>) -> Vec<String> {
    let mut complaints = Vec::new();
    for name in layers.0.keys().filter(|name| !graph.contains_key(*name)) {
        complaints.push(format!(
            "`{name}` is listed and is not in the workspace: remove its table"
        ));
    }
    for (name, dependencies) in graph {
        match layers.0.get(name) {
            Some(layer) => compare_crate(name, layer, dependencies, layers, &mut complaints),
            None => complaints.push(format!(
                "`{name}` has no table: add `[{name}]` with its level"
            )),
        }
    }
    complaints
}

fn compare_crate(
    name: &str,
    layer: &Layer,
    actual: &Dependencies,
    layers: &Layers,
    complaints: &mut Vec<String>,
) {
    let listed: BTreeSet<_> = layer.uses.union(&layer.beside).cloned().collect();
    for target in actual.uses.difference(&listed) {
        complaints.push(format!(
            "`{name}` uses `{target}`, which its `uses` does not list"
        ));
    }
    for target in actual.tests.difference(&layer.tests) {
        complaints.push(format!(
            "tests of `{name}` use `{target}`, which `tests` does not list"
        ));
    }
    for target in listed
        .difference(&actual.uses)
        .chain(layer.tests.difference(&actual.tests))
    {
        complaints.push(format!(
            "`{name}` lists `{target}` and does not use it: remove it"
        ));
    }
    if layer.pure {
        for target in IMPURE
            .iter()
            .filter(|target| actual.foreign.contains(**target))
        {
            complaints.push(format!("`{name}` is pure and may not use `{target}`"));
        }
    }
    let kinds = [
        ("uses", &layer.uses, Reach::Below),
        ("beside", &layer.beside, Reach::Beside),
        ("tests", &layer.tests, Reach::BelowOrBeside),
    ];
    for (key, targets, reach) in kinds {
        for target in targets {
            let Some(other) = layers.0.get(target) else {
                continue;
            };
            if !reach.allows(layer.level, other.level) {
                complaints.push(format!(
                    "`{name}` ({}) lists `{target}` ({}) under `{key}`, which is for {}",
                    show(layer.level),
                    show(other.level),
                    reach.words()
                ));
            }
        }
    }
}

/// Where an edge may point.
#[derive(Debug, Clone, Copy)]
enum Reach {
    Below,
    Beside,
    BelowOrBeside,
}

impl Reach {
    fn allows(self, from: Level, to: Level) -> bool {
        match self {
            Self::Below => to < from,
            Self::Beside => to == from && to != Level::Word(OutsideLevels::Tool),
            Self::BelowOrBeside => to <= from && to != Level::Word(OutsideLevels::Tool),
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Below => "lower levels",
            Self::Beside => "the same level",
            Self::BelowOrBeside => "the same or lower levels",
        }
    }
}

fn show(level: Level) -> String {
    match level {
        Level::Number(number) => format!("level {number}"),
        Level::Word(OutsideLevels::Tool) => "tool".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYERS: &str = r#"
        [low]
        level = 0
        pure = true
        [left]
        level = 1
        uses = ["low"]
        [right]
        level = 1
        uses = ["low"]
        beside = ["left"]
        tests = ["left"]
        [runner]
        level = "tool"
        uses = ["right"]
    "#;

    /// `edges` are words like `left>low`, `right~left` (tests) and `low>tokio`.
    fn graph(edges: &str) -> BTreeMap<String, Dependencies> {
        let ours = ["low", "left", "right", "runner"];
        let mut graph: BTreeMap<String, Dependencies> = ours
            .iter()
            .map(|name| ((*name).to_owned(), Dependencies::default()))
            .collect();
        for edge in edges.split_whitespace() {
            let (from, to) = edge.split_once(['>', '~']).unwrap();
            let found = graph.get_mut(from).unwrap();
            let kind = if edge.contains('~') {
                &mut found.tests
            } else {
                &mut found.uses
            };
            let kind = if ours.contains(&to) {
                kind
            } else {
                &mut found.foreign
            };
            kind.insert(to.to_owned());
        }
        graph
    }

    #[track_caller]
    fn check(layers: &str, edges: &str, expected: &[&str]) {
        assert_eq!(
            compare(&toml::from_str(layers).unwrap(), &graph(edges)),
            expected
        );
    }

    const EDGES: &str = "left>low right>low right>left right~left runner>right";

    #[test]
    fn a_graph_that_is_listed_edge_by_edge_passes() {
        check(LAYERS, EDGES, &[]);
    }

    #[test]
    fn an_unlisted_edge_and_a_stale_edge_fail() {
        let edges = EDGES.replace("left>low ", "") + " left~low";
        let expected = [
            "tests of `left` use `low`, which `tests` does not list",
            "`left` lists `low` and does not use it: remove it",
        ];
        check(LAYERS, &edges, &expected);
        let edges = format!("{EDGES} runner>low low>tokio");
        let expected = [
            "`low` is pure and may not use `tokio`",
            "`runner` uses `low`, which its `uses` does not list",
        ];
        check(LAYERS, &edges, &expected);
    }

    #[test]
    fn an_edge_up_sideways_or_into_a_tool_fails_even_when_listed() {
        let layers = LAYERS.replace("pure = true", "uses = [\"left\"]");
        let said = "`low` (level 0) lists `left` (level 1) under `uses`, which is for lower levels";
        check(&layers, &format!("{EDGES} low>left"), &[said]);
        let layers = LAYERS.replace("pure = true", "tests = [\"runner\"]");
        let said = "`low` (level 0) lists `runner` (tool) under `tests`, which is for the same or \
                    lower levels";
        check(&layers, &format!("{EDGES} low~runner"), &[said]);
        let layers = LAYERS.replace(
            "\"low\"]\n        beside = ",
            "\"low\", \"left\"]\n        #",
        );
        let said =
            "`right` (level 1) lists `left` (level 1) under `uses`, which is for lower levels";
        check(&layers, EDGES, &[said]);
    }

    #[test]
    fn a_crate_without_a_table_and_a_table_without_a_crate_fail() {
        let layers = LAYERS.replace("[runner]", "[gone]");
        let expected = [
            "`gone` is listed and is not in the workspace: remove its table",
            "`runner` has no table: add `[runner]` with its level",
        ];
        check(&layers, EDGES, &expected);
    }
}
