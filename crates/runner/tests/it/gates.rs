//! Gates: order, evidence, and that they see a clean copy.

use crate::fixture::{Fixture, gate, shell};
use skep_model::attempt::Outcome;
use skep_model::limits::GATE_EVIDENCE_BYTES_MAX;
use skep_runner::Phase;

#[test]
fn the_first_failing_gate_decides_and_its_evidence_is_kept() {
    let fixture = Fixture::new();
    let mut spec = shell("echo 41 > answer");
    spec.work.gates = vec![
        gate("exists", "test -e answer"),
        gate(
            "right",
            "yes noise | head -c 100000; echo want 42, got $(cat answer); exit 9",
        ),
        gate("never", "true"),
    ];
    spec.work.artifacts = vec![crate::fixture::pattern("answer")];
    let finished = fixture.run(&spec);
    let report = finished.report;
    let expected = Outcome::GateFailed {
        gate: "right".to_owned(),
    };
    assert_eq!(report.outcome, expected);
    let gates: Vec<_> = report
        .gates
        .iter()
        .map(|gate| (gate.name.as_str(), gate.passed, gate.exit_code))
        .collect();
    assert_eq!(
        gates,
        [("exists", true, Some(0)), ("right", false, Some(9))]
    );
    let evidence = &report.gates[1].output;
    assert!(evidence.ends_with("want 42, got 41\n"), "{evidence}");
    assert!(evidence.len() <= GATE_EVIDENCE_BYTES_MAX);
    assert!(finished.artifacts.is_empty() && report.artifacts.is_empty());
}

#[test]
fn a_gate_sees_a_copy_that_no_other_gate_touched() {
    let fixture = Fixture::new();
    let mut spec = shell("echo good > file; ln -s file link; echo evil > $TMPDIR/left");
    spec.work.gates = vec![
        gate(
            "first",
            "test \"$(cat link)\" = good; echo changed > file; touch new",
        ),
        gate(
            "second",
            "test \"$(cat file)\" = good; test ! -e new; test -L link; test ! -e $TMPDIR/left",
        ),
    ];
    spec.work.artifacts = vec![crate::fixture::pattern("file")];
    let finished = fixture.run(&spec);
    let report = &finished.report;
    assert_eq!(report.outcome, Outcome::Completed, "{:?}", report.gates);
    assert_eq!(finished.artifacts["file"], b"good\n");
    assert!(finished.phases.contains(&Phase::Verifying));
}

#[test]
fn a_gate_that_does_not_end_has_failed() {
    let fixture = Fixture::new();
    let mut spec = shell("true");
    spec.work.kill_grace_ms = 100;
    spec.work.gates = vec![gate("slow", "sleep 300")];
    spec.work.gates[0].timeout_ms = 200;
    let report = fixture.run(&spec).report;
    assert!(matches!(report.outcome, Outcome::GateFailed { .. }));
    assert_eq!(report.gates[0].exit_code, None);
}
