//! Files that are handed in, and inputs that are placed.

use crate::fixture::{Fixture, error_code, pattern, shell};
use skep_model::attempt::{ArtifactRecord, GateReport, Outcome};
use skep_model::ids::TaskId;
use skep_model::work::Input;
use skep_runner::{
    ArtifactSink, ArtifactSource, AttemptEvents, AttemptPorts, CancelHandle, InputPlace, Phase,
    PortError,
};
use std::path::Path;

#[test]
fn matching_files_are_handed_in_with_their_hash() {
    let fixture = Fixture::new();
    let mut spec = shell(
        "mkdir -p out/deep; echo a > out/a.txt; echo b > out/deep/b.txt; echo c > other; \
         printf '#!/bin/sh' > out/run.sh; chmod +x out/run.sh",
    );
    spec.work.artifacts = vec![pattern("out/**")];
    let finished = fixture.run(&spec);
    assert_eq!(finished.report.outcome, Outcome::Completed);
    let listed: Vec<_> = finished
        .report
        .artifacts
        .iter()
        .map(|one| (one.path.as_str(), one.bytes, one.executable))
        .collect();
    let expected = [
        ("out/a.txt", 2, false),
        ("out/deep/b.txt", 2, false),
        ("out/run.sh", 9, true),
    ];
    assert_eq!(listed, expected);
    assert_eq!(finished.artifacts["out/deep/b.txt"], b"b\n");
}

#[test]
fn what_may_not_be_handed_in_is_an_error_with_a_code() {
    let fixture = Fixture::new();
    std::fs::write(fixture.path("secret"), "secret").unwrap();
    let secret = fixture.path("secret").display().to_string();
    for (script, glob, code) in [
        (format!("ln -s {secret} x"), "x", "artifact_refused"),
        ("mkfifo x".to_owned(), "x", "artifact_refused"),
        ("true".to_owned(), "../../../../secret", "artifact_refused"),
        ("true".to_owned(), "/etc/passwd", "artifact_refused"),
        ("ln -s / x".to_owned(), "x/etc/passwd", "artifact_missing"),
        ("true".to_owned(), "nothing/*", "artifact_missing"),
        (format!("ln -s {secret} x"), "*", "artifact_missing"),
        (
            "i=0; while [ $i -lt 1001 ]; do : > f$i; i=$((i+1)); done".to_owned(),
            "*",
            "artifact_limit",
        ),
        ("truncate -s 2G x".to_owned(), "x", "artifact_limit"),
    ] {
        let mut spec = shell(&script);
        spec.work.artifacts = vec![pattern(glob)];
        let finished = fixture.run(&spec);
        assert_eq!(
            error_code(&finished.report),
            code,
            "`{glob}` after `{script}`"
        );
        assert!(finished.artifacts.is_empty(), "`{glob}` after `{script}`");
    }
}

#[test]
fn a_declared_file_whose_name_cannot_be_reported_fails_the_attempt_and_is_named() {
    const NOT_UTF8: &str = r"$(printf 'r\351sum\351')";
    const NEWLINE: &str = r"$(printf 'two\nlines')";
    let fixture = Fixture::new();
    let not_utf8 = ("artifact_name_not_utf8", "`out/r\u{fffd}sum\u{fffd}");
    let control = ("artifact_refused", r"`out/two\nlines");
    for (script, glob, (code, shown)) in [
        (format!("echo a > \"out/{NOT_UTF8}\""), "out/*", not_utf8),
        (
            format!("echo a > \"out/{NOT_UTF8}\""),
            "out/r?sum?",
            not_utf8,
        ),
        (
            format!("mkdir \"out/{NOT_UTF8}\"; echo a > \"out/{NOT_UTF8}/x\""),
            "**/x",
            not_utf8,
        ),
        (format!("echo a > \"out/{NEWLINE}\""), "out/", control),
    ] {
        let mut spec = shell(&format!("mkdir out; echo fine > out/fine; {script}"));
        spec.work.artifacts = vec![pattern(glob)];
        spec.work.artifacts[0].required = false;
        let finished = fixture.run(&spec);
        let Outcome::Error {
            code: found,
            message,
        } = &finished.report.outcome
        else {
            panic!("`{glob}` after `{script}`: {:?}", finished.report.outcome);
        };
        assert_eq!(found, code, "`{glob}` after `{script}`");
        assert!(message.contains(shown), "{message}");
        assert!(message.contains("rename the file"), "{message}");
        assert!(finished.artifacts.is_empty(), "`{glob}` after `{script}`");
    }
}

#[test]
fn a_name_that_cannot_be_reported_does_no_harm_where_no_pattern_asks_for_it() {
    let fixture = Fixture::new();
    let mut spec =
        shell(r#"echo a > "$(printf 'r\351')"; echo b > "$(printf 'x\ny')"; echo c > c"#);
    spec.work.artifacts = vec![pattern("c")];
    let finished = fixture.run(&spec);
    assert_eq!(finished.report.outcome, Outcome::Completed);
    assert_eq!(finished.artifacts.keys().collect::<Vec<_>>(), ["c"]);
}

#[test]
fn symlinks_under_a_wildcard_are_left_out_and_said_so() {
    let fixture = Fixture::new();
    let mut spec = shell("echo real > real; ln -s /etc/passwd link");
    spec.work.artifacts = vec![pattern("*")];
    let finished = fixture.run(&spec);
    assert_eq!(finished.report.outcome, Outcome::Completed);
    assert_eq!(finished.artifacts.keys().collect::<Vec<_>>(), ["real"]);
    assert!(
        finished.log.contains("not handed in: `link`"),
        "{}",
        finished.log
    );
}

#[test]
fn an_optional_artifact_may_be_missing() {
    let fixture = Fixture::new();
    let mut spec = shell("true");
    spec.work.artifacts = vec![pattern("report.html")];
    spec.work.artifacts[0].required = false;
    assert_eq!(fixture.run(&spec).report.outcome, Outcome::Completed);
}

fn input(into: &str) -> Input {
    Input {
        from: TaskId::from_u128(1),
        name: "build".to_owned(),
        glob: "**".to_owned(),
        into: into.to_owned(),
    }
}

#[test]
fn inputs_are_there_before_the_command_starts() {
    let fixture = Fixture::new();
    let mut spec = shell("cat deps/build/lib/a deps/build/b");
    spec.work.inputs = vec![input("./deps")];
    let cancel = CancelHandle::new().unwrap();
    let files = [("lib/a", "A"), ("b", "B")];
    let finished = fixture.run_with(&spec, &cancel, &files);
    assert_eq!(finished.log, "AB");
}

#[test]
fn inputs_are_not_written_into_a_directory_that_is_not_writable() {
    let fixture = Fixture::new();
    let mut spec = shell("true");
    spec.work.workspace = skep_model::work::Workspace::Dir {
        path: fixture.path("state").display().to_string(),
        writable: false,
    };
    spec.work.inputs = vec![input("deps")];
    assert_eq!(error_code(&fixture.run(&spec).report), "workspace_failed");
    assert!(!fixture.path("state/deps").exists());
}

#[test]
fn inputs_cannot_leave_the_workspace() {
    let fixture = Fixture::new();
    for (into, path) in [
        ("deps", "../../../stolen"),
        ("deps", "/tmp/skep-stolen"),
        ("../deps", "x"),
        ("/tmp", "x"),
        ("a/../../b", "x"),
    ] {
        let mut spec = shell("true");
        spec.work.inputs = vec![input(into)];
        let cancel = CancelHandle::new().unwrap();
        let finished = fixture.run_with(&spec, &cancel, &[(path, "x")]);
        let code = error_code(&finished.report);
        assert_eq!(code, "input_failed", "`{path}` into `{into}`");
        assert!(!std::path::Path::new("/tmp/skep-stolen").exists());
    }
}

/// Stops the attempt while it takes its inputs, and can then not go on with them.
struct CutShort(CancelHandle);

impl ArtifactSource for CutShort {
    fn fetch(&self, _: &Input, _: &mut dyn InputPlace) -> Result<(), PortError> {
        self.0.interrupt();
        Err("it was cut short".into())
    }
}

impl AttemptEvents for CutShort {
    fn phase(&self, phase: Phase) {
        assert_eq!(phase, Phase::Preparing);
    }

    fn gate_ended(&self, gate: &GateReport) {
        panic!("{gate:?}");
    }

    fn log_appended(&self, written: u64) {
        panic!("{written} bytes of output");
    }
}

impl ArtifactSink for CutShort {
    fn put(&self, record: &ArtifactRecord, _: &Path) -> Result<(), PortError> {
        panic!("{record:?}");
    }
}

#[test]
fn an_attempt_that_is_stopped_while_its_inputs_come_has_not_failed() {
    let fixture = Fixture::new();
    let mut spec = shell("echo ran");
    spec.work.inputs = vec![input(".")];
    let cancel = CancelHandle::new().unwrap();
    let stops = CutShort(cancel.clone());
    let ports = AttemptPorts {
        events: &stops,
        source: &stops,
        sink: &stops,
    };
    let report = fixture.runner.run(&spec, ports, &cancel);
    assert_eq!(report.outcome, Outcome::Interrupted);
}
