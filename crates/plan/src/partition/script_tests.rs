//! The scripts of merges are run by a real shell.

use crate::tests::{command, right, task};
use skep_model::work::{CommandWork, Invocation};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory of this test alone, removed in the end.
struct Workspace(PathBuf);

impl Workspace {
    fn new(name: &str) -> Self {
        let directory = format!("skep-plan-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(directory);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.0.join(path)).unwrap()
    }

    fn run(&self, work: &CommandWork, bin: &Path) -> Output {
        let Invocation::Shell(script) = &work.invocation else {
            panic!("a merge is a script")
        };
        let mut shell = Command::new("sh");
        shell.args(["-euc", script]).current_dir(&self.0);
        shell.env_clear().env("PATH", "/usr/bin:/bin");
        shell.envs(&work.env).env("SKEP_BIN", bin);
        shell.output().unwrap()
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn merge(shards: usize, merge: &str) -> CommandWork {
    let plan = task(&format!(
        "run: x, artifacts: ['**'], partition: {{kind: data-parallel, shards: {shards}}}, merge: {merge}"
    ));
    command(&right(&plan, &[]), shards).clone()
}

#[test]
fn files_of_one_path_are_joined_in_the_order_of_the_parts() {
    let work = merge(11, "concatenate");
    let workspace = Workspace::new("concatenate");
    for part in 0..11 {
        let below = |path: &str| format!(".skep-parts/{part:02}/{path}");
        workspace.write(&below("all.txt"), &format!("{part} "));
        workspace.write(&below("deep/er/it's a $name"), &format!("<{part}>"));
        if part % 5 == 0 {
            workspace.write(&below(".hidden"), "h");
        }
    }
    let output = workspace.run(&work, Path::new("/nowhere"));
    assert!(output.status.success(), "{output:?}");
    assert_eq!(workspace.read("all.txt"), "0 1 2 3 4 5 6 7 8 9 10 ");
    assert_eq!(
        workspace.read("deep/er/it's a $name"),
        "<0><1><2><3><4><5><6><7><8><9><10>"
    );
    assert_eq!(workspace.read(".hidden"), "hhh");
    assert!(!workspace.0.join(".skep-parts").exists());
}

#[test]
fn parts_that_handed_nothing_in_are_no_failure_of_a_concatenation() {
    let workspace = Workspace::new("nothing");
    let output = workspace.run(&merge(2, "concatenate"), Path::new("/nowhere"));
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn an_aggregation_calls_skep_with_all_parts_in_order_and_only_with_all() {
    let work = merge(
        2,
        "{kind: aggregate, file: \"d/it's.json\", fields: {n: sum}}",
    );
    let workspace = Workspace::new("aggregate");
    let bin = workspace.0.join("skep");
    workspace.write("skep", "#!/bin/sh\nprintf '%s\\n' \"$@\"\n");
    let executable: fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&bin, executable).unwrap();
    workspace.write("parts/1/d/it's.json", "{}");
    let output = workspace.run(&work, &bin);
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(complaint, "not all of the 2 parts handed in d/it's.json\n");
    workspace.write("parts/0/d/it's.json", "{}");
    let output = workspace.run(&work, &bin);
    assert!(output.status.success(), "{output:?}");
    let arguments = String::from_utf8(output.stdout).unwrap();
    let expected = [
        "merge",
        "aggregate",
        "--fields",
        r#"{"n":"sum"}"#,
        "--output",
        "d/it's.json",
        "--",
        "parts/0/d/it's.json",
        "parts/1/d/it's.json",
    ];
    assert_eq!(arguments.lines().collect::<Vec<_>>(), expected);
}
