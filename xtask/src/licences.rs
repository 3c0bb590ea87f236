//! Licences, bans and sources of third-party crates, by the lists in `deny.toml`.

mod expression;

use crate::step::Summary;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use cargo_metadata::{Metadata, MetadataCommand, Package};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// File with the lists, in the format of cargo-deny.
const FILE: &str = "deny.toml";
/// How cargo names the public registry, whatever mirror serves it.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// What we read of `deny.toml`. Keys that are not here are refused, so that none is ignored.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    graph: Graph,
    /// Advisories need the network; cargo-deny itself checks them.
    #[expect(dead_code, reason = "named here so that the key is known")]
    advisories: toml::Table,
    licenses: Licences,
    bans: Bans,
    sources: Sources,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Graph {
    targets: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Licences {
    allow: BTreeSet<String>,
    #[expect(dead_code, reason = "named here so that the key is known")]
    private: toml::Table,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Bans {
    #[expect(dead_code, reason = "parsing is the check: it refuses any other value")]
    multiple_versions: Lenient,
    #[expect(dead_code, reason = "parsing is the check: it refuses any other value")]
    wildcards: Strict,
    #[expect(dead_code, reason = "workspace crates name each other by path")]
    allow_wildcard_paths: bool,
    deny: Vec<Ban>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
    /// The crate is welcome, but only once.
    #[serde(default)]
    deny_multiple_versions: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Sources {
    #[expect(dead_code, reason = "parsing is the check: it refuses any other value")]
    unknown_git: Strict,
    #[expect(dead_code, reason = "parsing is the check: it refuses any other value")]
    unknown_registry: Strict,
    /// URLs of repositories that may be used nevertheless.
    allow_git: Vec<String>,
}

/// The only value we know how to check for this key.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Lenient {
    Allow,
}

/// The only value we know how to check for this key.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Strict {
    Deny,
}

/// What the rules look at in one crate of the graph.
#[derive(Debug, Clone)]
struct Crate {
    name: String,
    version: String,
    licence: Option<String>,
    source: Option<String>,
    wildcards: Vec<String>,
}

impl From<&Package> for Crate {
    fn from(package: &Package) -> Self {
        let any = |dependency: &&cargo_metadata::Dependency| {
            dependency.path.is_none() && dependency.req.to_string() == "*"
        };
        Self {
            name: package.name.to_string(),
            version: package.version.to_string(),
            licence: package.license.clone(),
            source: package.source.as_ref().map(|source| source.repr.clone()),
            wildcards: package
                .dependencies
                .iter()
                .filter(any)
                .map(|d| d.name.clone())
                .collect(),
        }
    }
}

/// Fails when a crate of the graph is against the lists.
pub(crate) fn check(workspace: &Workspace) -> Result<Summary> {
    let rules = load_rules(&workspace.read(FILE)?)?;
    let crates: Vec<Crate> = graph(workspace, &rules)?
        .packages
        .iter()
        .map(Crate::from)
        .collect();
    let complaints = judge(&rules, &crates);
    if complaints.is_empty() {
        return Ok(vec![]);
    }
    bail!(
        "third-party crates are against `{FILE}`:\n  {}",
        complaints.join("\n  ")
    );
}

fn load_rules(text: &str) -> Result<Rules> {
    toml::from_str(text).with_context(|| {
        format!("parse `{FILE}`: a key that this check does not know has to be taught to it first")
    })
}

fn graph(workspace: &Workspace, rules: &Rules) -> Result<Metadata> {
    let platforms = rules.graph.targets.iter();
    let options = platforms.flat_map(|target| ["--filter-platform".to_owned(), target.clone()]);
    MetadataCommand::new()
        .current_dir(&workspace.root)
        .other_options(options.collect::<Vec<_>>())
        .exec()
        .context("read the graph of all crates")
}

fn judge(rules: &Rules, crates: &[Crate]) -> Vec<String> {
    let each = crates.iter().flat_map(|found| judge_crate(rules, found));
    each.chain(duplicates(&rules.bans, crates)).collect()
}

fn judge_crate(rules: &Rules, found: &Crate) -> Vec<String> {
    let name = format!("`{} {}`", found.name, found.version);
    let Some(source) = &found.source else {
        let wildcard = |target| format!("{name} takes any version of `{target}`: name one");
        return found.wildcards.iter().map(wildcard).collect();
    };
    let mut complaints = Vec::new();
    if source != REGISTRY
        && !rules
            .sources
            .allow_git
            .iter()
            .any(|url| is_from(source, url))
    {
        complaints.push(format!(
            "{name} comes from `{source}`: only the public registry may be used"
        ));
    }
    let banned = |ban: &&Ban| ban.name == found.name && !ban.deny_multiple_versions;
    for ban in rules.bans.deny.iter().filter(banned) {
        complaints.push(format!("{name} is banned: {}", ban.reason));
    }
    match found
        .licence
        .as_deref()
        .map(|text| (text, expression::allows(text, &rules.licenses.allow)))
    {
        Some((_, Ok(true))) => {}
        Some((text, Ok(false))) => {
            complaints.push(format!(
                "{name} has the licence `{text}`, which is not on the list"
            ));
        }
        Some((text, Err(error))) => {
            complaints.push(format!(
                "{name} has the licence `{text}`, which is not SPDX: {error}"
            ));
        }
        None => complaints.push(format!("{name} names no licence")),
    }
    complaints
}

/// Whether a source is this git repository, at any revision.
fn is_from(source: &str, url: &str) -> bool {
    let rest = source
        .strip_prefix("git+")
        .and_then(|source| source.strip_prefix(url));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['?', '#']))
}

fn duplicates(bans: &Bans, crates: &[Crate]) -> Vec<String> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for found in crates {
        versions
            .entry(&found.name)
            .or_default()
            .insert(&found.version);
    }
    let single = bans.deny.iter().filter(|ban| ban.deny_multiple_versions);
    let said = single.filter_map(|ban| {
        let found = versions
            .get(ban.name.as_str())
            .filter(|found| found.len() > 1)?;
        let list = found.iter().copied().collect::<Vec<_>>().join(", ");
        Some(format!(
            "`{}` is in the graph as {list}: {}",
            ban.name, ban.reason
        ))
    });
    said.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = r#"
        graph = { targets = [] }
        advisories = {}
        licenses = { allow = ["MIT"], private = {} }
        sources = { unknown-git = "deny", unknown-registry = "deny", allow-git = [] }
        [bans]
        multiple-versions = "allow"
        wildcards = "deny"
        allow-wildcard-paths = true
        deny = [
            { crate = "bad", reason = "too slow" },
            { crate = "one", deny-multiple-versions = true, reason = "once" },
        ]
    "#;

    fn good() -> Crate {
        Crate {
            name: "good".to_owned(),
            version: "1.0.0".to_owned(),
            licence: Some("MIT OR LGPL-2.1".to_owned()),
            source: Some(REGISTRY.to_owned()),
            wildcards: vec![],
        }
    }

    #[track_caller]
    fn check(crates: &[Crate], expected: &[&str]) {
        assert_eq!(judge(&load_rules(RULES).unwrap(), crates), expected);
    }

    #[test]
    fn each_rule_is_applied() {
        check(&[good()], &[]);
        let bad = Crate {
            name: "bad".to_owned(),
            ..good()
        };
        check(&[bad], &["`bad 1.0.0` is banned: too slow"]);
        let copyleft = Crate {
            licence: Some("MIT AND GPL-3.0".to_owned()),
            ..good()
        };
        let said = "`good 1.0.0` has the licence `MIT AND GPL-3.0`, which is not on the list";
        check(&[copyleft], &[said]);
        check(
            &[Crate {
                licence: None,
                ..good()
            }],
            &["`good 1.0.0` names no licence"],
        );
        let git = Crate {
            source: Some("git+https://example.org/x".to_owned()),
            ..good()
        };
        let said = "`good 1.0.0` comes from `git+https://example.org/x`: only the public registry \
                    may be used";
        check(&[git], &[said]);
        let ours = Crate {
            source: None,
            wildcards: vec!["x".to_owned()],
            ..good()
        };
        check(
            &[ours],
            &["`good 1.0.0` takes any version of `x`: name one"],
        );
    }

    #[test]
    fn a_second_version_fails_only_where_the_list_says_so() {
        let version = |name: &str, version: &str| Crate {
            name: name.to_owned(),
            version: version.to_owned(),
            ..good()
        };
        check(
            &[
                version("good", "1.0.0"),
                version("good", "2.0.0"),
                version("one", "1.0.0"),
            ],
            &[],
        );
        let said = "`one` is in the graph as 1.0.0, 2.0.0: once";
        check(&[version("one", "1.0.0"), version("one", "2.0.0")], &[said]);
    }

    #[test]
    fn a_git_source_is_taken_only_from_a_repository_on_the_list() {
        let url = "https://example.org/x";
        let table = [
            ("git+https://example.org/x?branch=a#1", true),
            ("git+https://example.org/xy#1", false),
            ("registry+https://example.org/x", false),
        ];
        for (source, expected) in table {
            assert_eq!(is_from(source, url), expected, "{source}");
        }
        let allowed = format!("allow-git = [\"{url}\"]");
        let rules = load_rules(&RULES.replace("allow-git = []", &allowed)).unwrap();
        let source = Some(format!("git+{url}#1"));
        assert!(judge_crate(&rules, &Crate { source, ..good() }).is_empty());
    }

    #[test]
    fn a_key_or_value_that_would_be_ignored_is_refused() {
        let changes = [
            ("targets = []", "targets = [], all-features = true"),
            (
                "multiple-versions = \"allow\"",
                "multiple-versions = \"deny\"",
            ),
            ("unknown-git = \"deny\"", "unknown-git = \"warn\""),
        ];
        for (from, to) in changes {
            assert!(load_rules(&RULES.replace(from, to)).is_err(), "{to}");
        }
    }
}
