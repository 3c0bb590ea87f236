//! Looks through files for secrets that should not lie there, for permissions that are too wide, and
//! for manifests without their lockfile. Reads only; nothing leaves this process but findings, and
//! these show no secret.

mod lockfiles;
mod permissions;
mod rules;
mod walk;

use regex::Regex;
use rules::Rules;
use serde::Serialize;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Files that are looked into.
const FILES_MAX: u64 = 50_000;
/// Bytes of one file; larger ones are counted and passed over.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Bytes of all files.
const BYTES_MAX: u64 = 1 << 30;
/// Findings that are given.
const FINDINGS_MAX: usize = 200;
/// Bytes at the beginning of a file that show whether it is text.
const PROBE_BYTES: usize = 8 << 10;

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    /// Whoever reads it can act in somebody's name.
    High,
    /// It opens what should be closed.
    Medium,
    /// It should be looked at.
    Low,
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What kind.
    pub(crate) rule: &'static str,
    pub(crate) severity: Severity,
    /// Where, below what was scanned.
    pub(crate) file: String,
    /// Counted from 1; none when it is about the file as a whole.
    pub(crate) line: Option<usize>,
    /// What is there, without what is secret about it.
    pub(crate) excerpt: String,
}

/// What was looked at, and what was found.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) findings: Vec<Finding>,
    /// Findings in all, also those that are not given.
    pub(crate) found: u64,
    pub(crate) lockfiles: Vec<lockfiles::Manifest>,
    /// Files that were read.
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// Files that are no text.
    pub(crate) binary: u64,
    /// Files larger than `FILE_BYTES_MAX`.
    pub(crate) large: u64,
    /// Files and directories that could not be read.
    pub(crate) unreadable: u64,
    /// Directories deeper than was asked for.
    pub(crate) deeper: u64,
    /// Whether nothing was left out but binary files.
    pub(crate) complete: bool,
}

/// How deep to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Depth {
    /// Two levels of directories
    Quick,
    /// Eight levels of directories
    Standard,
    /// All levels, up to 64
    Deep,
}

impl Depth {
    const fn levels(self) -> usize {
        match self {
            Self::Quick => 2,
            Self::Standard => 8,
            Self::Deep => 64,
        }
    }
}

/// Scans a directory, or one file.
///
/// # Errors
/// There is nothing at the path, or it cannot be read.
pub(crate) fn scan(root: &Path, depth: Depth) -> io::Result<Report> {
    let rules = Rules::new();
    let mut report = Report::default();
    let metadata = root.symlink_metadata()?;
    if metadata.is_dir() {
        // Said once and for all, instead of as one of many that cannot be read.
        drop(std::fs::read_dir(root)?);
        report.lockfiles = lockfiles::look(root)?;
        for missing in report.lockfiles.iter().filter(|one| one.lockfile.is_none()) {
            report.found += 1;
            report.findings.push(missing.finding());
        }
    }
    let mut walk = walk::Walk::new(root, depth.levels());
    let mut is_cut = false;
    while let Some(path) = walk.next_file() {
        if report.files >= FILES_MAX || report.bytes >= BYTES_MAX {
            is_cut = true;
            break;
        }
        if look_at(root, &path, &rules, &mut report).is_err() {
            report.unreadable += 1;
        }
    }
    report.unreadable += walk.unreadable;
    report.deeper = walk.deeper;
    report.complete = !is_cut && report.unreadable + report.deeper + report.large == 0;
    report.findings.sort_by_key(|finding| finding.severity);
    report.findings.truncate(FINDINGS_MAX);
    Ok(report)
}

fn look_at(root: &Path, path: &Path, rules: &Rules, report: &mut Report) -> io::Result<()> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let name = path.strip_prefix(root).ok();
    let name = name.filter(|name| !name.as_os_str().is_empty());
    let name = name.unwrap_or(path).display().to_string();
    for (rule, severity, excerpt) in permissions::look(path, &metadata) {
        report.add(Finding {
            rule,
            severity,
            file: name.clone(),
            line: None,
            excerpt,
        });
    }
    if metadata.len() > FILE_BYTES_MAX {
        report.large += 1;
        return Ok(());
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    report.files += 1;
    report.bytes += bytes.len() as u64;
    if bytes.iter().take(PROBE_BYTES).any(|byte| *byte == 0) {
        report.binary += 1;
        return Ok(());
    }
    let text = String::from_utf8_lossy(&bytes);
    for found in rules.find(&text) {
        report.add(Finding {
            rule: found.rule,
            severity: found.severity,
            file: name.clone(),
            line: Some(found.line),
            excerpt: found.excerpt,
        });
    }
    Ok(())
}

impl Report {
    fn add(&mut self, finding: Finding) {
        self.found += 1;
        // Graver ones may still come: enough of each severity are kept, and the gravest are given.
        let same = self.findings.iter();
        let same = same.filter(|one| one.severity == finding.severity);
        if same.count() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }
}

/// An expression of this program.
fn expression(text: &str) -> Regex {
    Regex::new(text).expect("expressions of rules are tested")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn rules_of(report: &Report) -> Vec<(&'static str, String, Option<usize>)> {
        let mut rules: Vec<_> = report
            .findings
            .iter()
            .map(|one| (one.rule, one.file.clone(), one.line))
            .collect();
        rules.sort();
        rules
    }

    #[test]
    fn findings_have_their_place_and_show_no_secret() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let key = format!("AKIA{}", "Q7ZL2WX5KD3MN6PR");
        fs::create_dir_all(at("src/deep")).unwrap();
        fs::create_dir_all(at(".git/objects")).unwrap();
        fs::write(at("src/a.txt"), format!("one\ntwo {key}\n")).unwrap();
        fs::write(at(".git/objects/x"), &key).unwrap();
        fs::write(at("src/deep/picture"), [key.as_bytes(), &[0]].concat()).unwrap();
        fs::write(at("src/deep/long"), vec![b'x'; FILE_BYTES_MAX as usize + 1]).unwrap();
        fs::write(at("open.sh"), "true\n").unwrap();
        fs::set_permissions(at("open.sh"), fs::Permissions::from_mode(0o666)).unwrap();
        fs::write(at("Cargo.toml"), "[package]\n").unwrap();
        symlink("/etc", at("elsewhere")).unwrap();
        let report = scan(directory.path(), Depth::Standard).unwrap();
        assert_eq!(
            rules_of(&report),
            [
                ("aws-access-key-id", "src/a.txt".to_owned(), Some(2)),
                ("lockfile-missing", "Cargo.toml".to_owned(), None),
                ("world-writable", "open.sh".to_owned(), None),
            ]
        );
        assert!(!report.findings.iter().any(|one| one.excerpt.contains(&key)));
        assert_eq!((report.binary, report.large, report.found), (1, 1, 3));
        assert!(!report.complete, "a file was too large");
        fs::remove_file(at("src/deep/long")).unwrap();
        fs::write(at("Cargo.lock"), "").unwrap();
        let report = scan(directory.path(), Depth::Standard).unwrap();
        assert!(report.complete, "{report:?}");
        assert_eq!(report.found, 2);
        let one = scan(&at("src/a.txt"), Depth::Quick).unwrap();
        assert_eq!((one.files, one.found), (1, 1));
    }

    #[test]
    fn what_lies_too_deep_is_said_and_what_is_not_there_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("a/b/c/d");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("x"), "nothing").unwrap();
        let quick = scan(directory.path(), Depth::Quick).unwrap();
        assert_eq!((quick.files, quick.deeper, quick.complete), (0, 1, false));
        let deep = scan(directory.path(), Depth::Deep).unwrap();
        assert_eq!((deep.files, deep.complete), (1, true));
        assert!(scan(&directory.path().join("none"), Depth::Deep).is_err());
    }
}
