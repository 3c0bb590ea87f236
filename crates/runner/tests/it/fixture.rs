//! A runner in a temporary directory, an attempt that is valid, and ports that remember.

use skep_model::attempt::{ArtifactRecord, AttemptReport, Fence, GateReport, LogIndex, Outcome};
use skep_model::ids::TaskId;
use skep_model::isolation::IsolationLevel;
use skep_model::work::{ArtifactPattern, CommandWork, Gate, Input, Invocation, Workspace};
use skep_runner::{
    ArtifactSink, ArtifactSource, AttemptEvents, AttemptPorts, AttemptSpec, CancelHandle,
    InputPlace, Phase, PortError, Runner, RunnerOptions,
};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

pub(crate) const STAGES: &str = env!("CARGO_BIN_EXE_skep-attempt-stages");
const WAIT_MAX: Duration = Duration::from_secs(20);

/// A runner and a place outside of what it gives to attempts.
pub(crate) struct Fixture {
    home: tempfile::TempDir,
    pub(crate) runner: Runner,
}

/// A report with what the ports saw.
pub(crate) struct Finished {
    pub(crate) report: AttemptReport,
    pub(crate) log: String,
    pub(crate) phases: Vec<Phase>,
    /// Content of the artifacts by path.
    pub(crate) artifacts: BTreeMap<String, Vec<u8>>,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut RunnerOptions)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut options = RunnerOptions::new(home.path().join("state"), STAGES.into());
        change(&mut options);
        Self {
            runner: Runner::new(options).unwrap(),
            home,
        }
    }

    /// A path outside of every workspace.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn run(&self, spec: &AttemptSpec) -> Finished {
        self.run_with(spec, &CancelHandle::new().unwrap(), &[])
    }

    pub(crate) fn run_with(
        &self,
        spec: &AttemptSpec,
        cancel: &CancelHandle,
        inputs: &[(&str, &str)],
    ) -> Finished {
        let ports = Ports {
            inputs: inputs
                .iter()
                .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
                .collect(),
            ..Ports::default()
        };
        let all = AttemptPorts {
            events: &ports,
            source: &ports,
            sink: &ports,
        };
        let report = self.runner.run(spec, all, cancel);
        Finished {
            log: self.log_of(spec),
            report,
            phases: ports.phases.into_inner().unwrap(),
            artifacts: ports.artifacts.into_inner().unwrap(),
        }
    }

    pub(crate) fn log_of(&self, spec: &AttemptSpec) -> String {
        let bytes = std::fs::read(self.runner.log_path(spec.task, spec.attempt));
        String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
    }

    /// Whether the kernel can build the walls of S1; says so on stderr if not, so that nobody
    /// takes the test for passed. Walls that are built and have a hole are a failure, no skip.
    #[track_caller]
    #[expect(clippy::print_stderr, reason = "a skipped test must be visible")]
    pub(crate) fn has_s1(&self) -> bool {
        let measured = self.runner.probe_isolation().unwrap();
        let open: Vec<_> = measured.probes.iter().filter(|one| !one.blocked).collect();
        if let [launch] = open.as_slice()
            && launch.probe == "launch"
        {
            eprintln!(
                "SKIPPED: this kernel cannot isolate at s1: {}",
                launch.detail
            );
            return false;
        }
        assert_eq!(measured.level, IsolationLevel::S1, "holes: {open:?}");
        true
    }
}

/// A valid attempt without isolation; a test changes what it is about.
pub(crate) fn shell(script: &str) -> AttemptSpec {
    AttemptSpec {
        task: TaskId::from_u128(7),
        attempt: 1,
        fence: Fence {
            epoch: 1,
            index: LogIndex(42),
        },
        work: CommandWork {
            invocation: Invocation::Shell(script.to_owned()),
            env: BTreeMap::new(),
            workspace: Workspace::None,
            inputs: Vec::new(),
            reads: Vec::new(),
            artifacts: Vec::new(),
            gates: Vec::new(),
            timeout_ms: 60_000,
            kill_grace_ms: 5_000,
        },
        env: BTreeMap::new(),
        isolation: IsolationLevel::S0,
        memory_bytes: None,
    }
}

/// The same at S1.
pub(crate) fn walled(script: &str) -> AttemptSpec {
    AttemptSpec {
        isolation: IsolationLevel::S1,
        ..shell(script)
    }
}

pub(crate) fn pattern(glob: &str) -> ArtifactPattern {
    ArtifactPattern {
        name: "result".to_owned(),
        glob: glob.to_owned(),
        required: true,
    }
}

pub(crate) fn gate(name: &str, script: &str) -> Gate {
    Gate {
        name: name.to_owned(),
        invocation: Invocation::Shell(script.to_owned()),
        timeout_ms: 30_000,
    }
}

/// The code of an error outcome.
#[track_caller]
pub(crate) fn error_code(report: &AttemptReport) -> &str {
    match &report.outcome {
        Outcome::Error { code, .. } => code,
        other => panic!("expected an error, got {other:?}"),
    }
}

/// Waits until a condition holds.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + WAIT_MAX;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Whether a process lives; a zombie does not.
pub(crate) fn is_alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
        .is_ok_and(|stat| !stat.rsplit_once(") ").unwrap().1.starts_with('Z'))
}

#[derive(Default)]
struct Ports {
    inputs: Vec<(String, String)>,
    phases: Mutex<Vec<Phase>>,
    artifacts: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl AttemptEvents for Ports {
    fn phase(&self, phase: Phase) {
        self.phases.lock().unwrap().push(phase);
    }

    fn gate_ended(&self, _: &GateReport) {}

    fn log_appended(&self, _: u64) {}
}

impl ArtifactSource for Ports {
    fn fetch(&self, _: &Input, place: &mut dyn InputPlace) -> Result<(), PortError> {
        for (path, text) in &self.inputs {
            place.create(path, false)?.write_all(text.as_bytes())?;
        }
        Ok(())
    }
}

impl ArtifactSink for Ports {
    fn put(&self, record: &ArtifactRecord, file: &Path) -> Result<(), PortError> {
        let bytes = std::fs::read(file)?;
        assert_eq!(record.bytes, bytes.len() as u64);
        assert_eq!(record.blake3, skep_model::attempt::ArtifactHash::of(&bytes));
        self.artifacts
            .lock()
            .unwrap()
            .insert(record.path.clone(), bytes);
        Ok(())
    }
}
