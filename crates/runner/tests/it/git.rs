//! Git workspaces: worktrees, patches, branches, and that a repository runs nothing.

use crate::fixture::{Fixture, error_code, gate, shell, walled};
use skep_model::attempt::Outcome;
use skep_model::work::{GitResult, Workspace};
use skep_runner::CancelHandle;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs git for a test, in a repository.
#[track_caller]
fn git(repository: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(repository)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .args(["-c", "user.name=Test", "-c", "user.email=test@example.org"])
        .args(arguments)
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// A repository with one commit and a hook for everything that drops a file.
fn repository(fixture: &Fixture) -> PathBuf {
    let path = fixture.path("repository");
    std::fs::create_dir(&path).unwrap();
    git(&path, &["init", "--quiet", "--initial-branch=main"]);
    std::fs::write(path.join("file"), "one\n").unwrap();
    std::fs::write(path.join(".gitignore"), "ignored\n").unwrap();
    git(&path, &["add", "."]);
    git(&path, &["commit", "--quiet", "-m", "first"]);
    let evil = format!("#!/bin/sh\ntouch {}\n", fixture.path("evil").display());
    for hook in [
        "post-checkout",
        "pre-commit",
        "post-index-change",
        "reference-transaction",
    ] {
        let hook = path.join(".git/hooks").join(hook);
        std::fs::write(&hook, &evil).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&hook, mode).unwrap();
    }
    let monitor = path.join(".git/hooks/post-checkout");
    git(
        &path,
        &["config", "core.fsmonitor", &monitor.display().to_string()],
    );
    path
}

fn workspace(repository: &Path, result: GitResult) -> Workspace {
    Workspace::Git {
        repository: repository.display().to_string(),
        reference: "HEAD".to_owned(),
        result,
    }
}

#[track_caller]
fn assert_untouched(fixture: &Fixture, repository: &Path) {
    assert!(
        !fixture.path("evil").exists(),
        "a program of the repository ran"
    );
    assert_eq!(std::fs::read(repository.join("file")).unwrap(), b"one\n");
    let worktrees = std::fs::read_dir(repository.join(".git/worktrees"));
    assert_eq!(
        worktrees.map_or(0, Iterator::count),
        0,
        "a worktree is left"
    );
}

const CHANGES: &str = "echo two >> file; printf '\\000\\001' > binary; mkdir d; echo new > d/new; \
     echo junk > ignored";

#[test]
fn changes_are_handed_in_as_a_patch_that_applies() {
    let fixture = Fixture::new();
    let repository = repository(&fixture);
    let mut spec = shell(CHANGES);
    spec.work.workspace = workspace(&repository, GitResult::Patch);
    let finished = fixture.run(&spec);
    assert_eq!(
        finished.report.outcome,
        Outcome::Completed,
        "{}",
        finished.log
    );
    assert_untouched(&fixture, &repository);
    let patch = fixture.path("patch");
    std::fs::write(&patch, &finished.artifacts["changes.patch"]).unwrap();
    git(&repository, &["config", "--unset", "core.fsmonitor"]);
    git(&repository, &["apply", &patch.display().to_string()]);
    assert_eq!(
        std::fs::read(repository.join("file")).unwrap(),
        b"one\ntwo\n"
    );
    assert_eq!(std::fs::read(repository.join("binary")).unwrap(), b"\0\x01");
    assert!(repository.join("d/new").exists() && !repository.join("ignored").exists());
}

#[test]
fn changes_are_committed_to_a_branch_beside_the_users_checkout() {
    let fixture = Fixture::new();
    let repository = repository(&fixture);
    let mut spec = shell(CHANGES);
    spec.work.workspace = workspace(&repository, GitResult::Branch("skep/work".to_owned()));
    let first = fixture.run(&spec);
    assert_eq!(
        first.report.outcome,
        Outcome::Completed,
        "{:?}",
        first.report
    );
    assert_untouched(&fixture, &repository);
    git(&repository, &["config", "--unset", "core.fsmonitor"]);
    assert_eq!(git(&repository, &["show", "skep/work:file"]), "one\ntwo\n");
    assert_eq!(
        git(&repository, &["rev-parse", "skep/work~1", "main"])
            .lines()
            .count(),
        2
    );

    // Another attempt of the same task may replace it, as the first report may be lost.
    spec.attempt = 2;
    assert_eq!(fixture.run(&spec).report.outcome, Outcome::Completed);

    spec.task = skep_model::ids::TaskId::from_u128(8);
    let other = fixture.run(&spec);
    assert_eq!(error_code(&other.report), "branch_taken");
    assert_eq!(other.log, "", "it was refused before the command ran");
}

#[test]
fn a_branch_that_the_user_has_is_never_moved() {
    let fixture = Fixture::new();
    let repository = repository(&fixture);
    let before = git(&repository, &["rev-parse", "main"]);
    for branch in ["main", "../evil", "-f", "a..b"] {
        let mut spec = shell(CHANGES);
        spec.work.workspace = workspace(&repository, GitResult::Branch(branch.to_owned()));
        let report = fixture.run(&spec).report;
        assert!(
            matches!(report.outcome, Outcome::Error { .. }),
            "{branch}: {report:?}"
        );
    }
    assert_eq!(git(&repository, &["rev-parse", "main"]), before);
}

#[test]
fn a_repository_without_commits_is_refused_in_words() {
    let fixture = Fixture::new();
    let path = fixture.path("empty");
    std::fs::create_dir(&path).unwrap();
    git(&path, &["init", "--quiet"]);
    for reference in ["HEAD", "no-such-branch", "--help"] {
        let mut spec = shell("true");
        spec.work.workspace = Workspace::Git {
            repository: path.display().to_string(),
            reference: reference.to_owned(),
            result: GitResult::Patch,
        };
        let report = fixture.run(&spec).report;
        assert_eq!(error_code(&report), "workspace_failed");
        let text = format!("{:?}", report.outcome);
        assert!(
            text.contains(&format!("`{reference}` names no commit")),
            "{text}"
        );
    }
}

#[test]
fn a_gate_sees_what_would_be_handed_in_and_nothing_else() {
    let fixture = Fixture::new();
    let repository = repository(&fixture);
    let mut spec = shell(CHANGES);
    spec.work.workspace = workspace(&repository, GitResult::Patch);
    spec.work.gates = vec![
        gate(
            "changes",
            "grep two file; test -e d/new; test ! -e ignored; rm -r d",
        ),
        gate("clean", "test -e d/new"),
        gate("bad", "exit 1"),
    ];
    let finished = fixture.run(&spec);
    let passed: Vec<_> = finished
        .report
        .gates
        .iter()
        .map(|gate| gate.passed)
        .collect();
    assert_eq!(passed, [true, true, false], "{:?}", finished.report.gates);
    assert!(finished.artifacts.is_empty());
    assert_untouched(&fixture, &repository);
}

#[test]
fn inputs_are_no_changes() {
    let fixture = Fixture::new();
    let repository = repository(&fixture);
    let mut spec = shell("cat deps/build/x > copy");
    spec.work.workspace = workspace(&repository, GitResult::Patch);
    spec.work.inputs = vec![skep_model::work::Input {
        from: spec.task,
        name: "build".to_owned(),
        glob: "**".to_owned(),
        into: "deps".to_owned(),
    }];
    spec.work.gates = vec![gate("inputs", "cmp copy deps/build/x")];
    let cancel = CancelHandle::new().unwrap();
    let finished = fixture.run_with(&spec, &cancel, &[("x", "text\n")]);
    assert_eq!(
        finished.report.outcome,
        Outcome::Completed,
        "{:?}",
        finished.report
    );
    let patch = String::from_utf8_lossy(&finished.artifacts["changes.patch"]).into_owned();
    assert!(patch.contains("copy") && !patch.contains("deps"), "{patch}");
}

#[test]
fn what_an_attempt_plants_in_its_worktree_does_not_run_outside() {
    let fixture = Fixture::new();
    let repository = repository(&fixture);
    let evil = fixture.path("evil");
    let plant = format!(
        "git init -q nested; cd nested; echo x > x; git add x; \
         git -c user.name=a -c user.email=b commit -qm x; \
         git config core.fsmonitor 'touch {evil}'; cd ..; \
         git init -q fake; cd fake; git config core.fsmonitor 'touch {evil}'; \
         git config filter.x.clean 'touch {evil}'; cd ..; \
         echo '* filter=x' > .gitattributes; \
         echo \"gitdir: $PWD/fake/.git\" > .git",
        evil = evil.display()
    );
    let mut spec = shell(&plant);
    spec.work.workspace = workspace(&repository, GitResult::Patch);
    let finished = fixture.run(&spec);
    assert_eq!(
        finished.report.outcome,
        Outcome::Completed,
        "{:?}",
        finished.report
    );
    assert_untouched(&fixture, &repository);
}

#[test]
fn git_can_be_asked_inside_the_sandbox_but_its_data_not_changed() {
    let fixture = Fixture::new();
    if !fixture.has_s1() {
        return;
    }
    let repository = repository(&fixture);
    let at = repository.display();
    let script = format!(
        "echo two >> file; git -c core.fsmonitor=false diff --stat; git log --oneline; \
         ! touch {at}/.git/x; ! touch {at}/x; ! cat {at}/file; ! git commit -qam no"
    );
    let mut spec = walled(&script);
    spec.work.workspace = workspace(&repository, GitResult::Patch);
    let finished = fixture.run(&spec);
    assert_eq!(
        finished.report.outcome,
        Outcome::Completed,
        "{}",
        finished.log
    );
    assert!(finished.log.contains("1 file changed"), "{}", finished.log);
    assert!(finished.log.contains("first"), "{}", finished.log);
    assert_untouched(&fixture, &repository);
}

#[test]
fn a_sweep_removes_the_worktrees_of_a_crashed_node() {
    let fixture = Fixture::new();
    let repository = repository(&fixture);
    let log = fixture
        .runner
        .log_path(skep_model::ids::TaskId::from_u128(9), 1);
    let attempt = log.parent().unwrap();
    std::fs::create_dir_all(attempt).unwrap();
    std::fs::write(&log, "kept").unwrap();
    let work = attempt.join("work");
    git(
        &repository,
        &[
            "-c",
            "core.hooksPath=/dev/null",
            "worktree",
            "add",
            "-q",
            "--detach",
            &work.display().to_string(),
        ],
    );
    let admin = repository.join(".git/worktrees/work");
    std::fs::write(attempt.join("work.git-admin"), admin.display().to_string()).unwrap();
    std::fs::create_dir(attempt.join("home")).unwrap();
    fixture.runner.sweep().unwrap();
    assert!(!admin.exists() && !work.exists() && !attempt.join("home").exists());
    assert_eq!(std::fs::read(&log).unwrap(), b"kept");
}
