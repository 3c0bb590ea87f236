//! Measures what isolation this machine really gives, by trying to break out of a throw-away
//! attempt.

use super::Confinement;
use super::probe::ProbeTargets;
use super::socket_address;
use crate::cancel::CancelHandle;
use crate::order::{LaunchOrder, PROBE_STAGE, ProgramOrder};
use crate::supervised::{Stages, SupervisedError};
use crate::tail_buffer::TailBuffer;
use skep_model::isolation::{IsolationLevel, ProbeResult};
use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A probe run that takes longer has failed.
const PROBE_TIMEOUT_MS: u64 = 20_000;
/// Bytes of the probe's answer that are read.
const PROBE_OUTPUT_BYTES_MAX: usize = 256 << 10;
/// Fewer answers than this mean that the probe program was cut short.
const PROBES_MIN: usize = 25;

/// The isolation of this machine, with the evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeasuredIsolation {
    /// The highest level whose every probe was stopped.
    pub level: IsolationLevel,
    /// What was tried at S1 and how it went; one `launch` entry if it could not be started.
    pub probes: Vec<ProbeResult>,
}

/// Why the isolation could not be measured at all (which is not the same as "too weak").
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The probe's targets could not be laid out.
    #[error("prepare the isolation probe in `{path}`")]
    Prepare {
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The path of the probe program cannot be handed over.
    #[error("the path of the supervisor program `{0}` is not UTF-8: install it elsewhere")]
    ProgramPath(PathBuf),
}

/// Runs the probe program at S1 below `directory` and judges its answers.
pub(crate) fn measure(stages: &Stages, directory: &Path) -> Result<MeasuredIsolation, ProbeError> {
    let prepare = |source| ProbeError::Prepare {
        path: directory.to_owned(),
        source,
    };
    let workspace = directory.join("inside");
    let outside = directory.join("outside");
    for path in [&workspace, &outside] {
        std::fs::create_dir_all(path).map_err(prepare)?;
    }
    let canary = outside.join("canary");
    std::fs::write(&canary, b"no attempt may read this\n").map_err(prepare)?;
    let socket = outside.join("socket");
    let _listener = socket_address::of(&socket)
        .and_then(|address| UnixListener::bind(address.path()))
        .map_err(prepare)?;
    let bystander = Bystander::start().map_err(prepare)?;
    let targets = ProbeTargets {
        canary,
        socket,
        process: bystander.0.id().cast_signed(),
        home: std::env::home_dir().filter(|home| home.is_dir()),
    };
    let order = probe_order(stages.program(), &targets, workspace)?;
    let cancel = CancelHandle::new().map_err(prepare)?;
    let mut answer = TailBuffer::new(PROBE_OUTPUT_BYTES_MAX);
    let probes = match stages.run(&order, &mut answer, &cancel) {
        Ok(_) => parse(&answer.into_text()),
        Err(error) => vec![not_launched(&error)],
    };
    let level = judge(&probes);
    Ok(MeasuredIsolation { level, probes })
}

/// A process outside of the sandbox for the probe to signal and trace: not the node itself, which
/// a hole would leave stopped.
struct Bystander(Child);

impl Bystander {
    fn start() -> io::Result<Self> {
        Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(Self)
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        // Should this fail, it ends with its stdin, which closes here too.
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

fn probe_order(
    program: &Path,
    targets: &ProbeTargets,
    workspace: PathBuf,
) -> Result<LaunchOrder, ProbeError> {
    let program_text = program
        .to_str()
        .ok_or_else(|| ProbeError::ProgramPath(program.to_owned()))?;
    let targets = serde_json::to_string(targets)
        .map_err(|_| ProbeError::ProgramPath(targets.canary.clone()))?;
    Ok(LaunchOrder {
        program: ProgramOrder {
            argv: vec![program_text.to_owned(), PROBE_STAGE.to_owned(), targets],
            env: BTreeMap::new(),
            directory: workspace.clone(),
            confinement: Confinement {
                level: IsolationLevel::S1,
                read: vec![program.to_owned()],
                hidden: Vec::new(),
                program: None,
                write: vec![workspace],
                memory_bytes: None,
            },
        },
        timeout_ms: PROBE_TIMEOUT_MS,
        kill_grace_ms: 0,
    })
}

fn parse(answer: &str) -> Vec<ProbeResult> {
    answer
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

fn not_launched(error: &SupervisedError) -> ProbeResult {
    ProbeResult {
        probe: "launch".to_owned(),
        blocked: false,
        detail: crate::error::with_causes(error),
    }
}

fn judge(probes: &[ProbeResult]) -> IsolationLevel {
    if probes.len() >= PROBES_MIN && probes.iter().all(|probe| probe.blocked) {
        IsolationLevel::S1
    } else {
        IsolationLevel::S0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probes(count: usize) -> Vec<ProbeResult> {
        let one = ProbeResult {
            probe: "read_outside".to_owned(),
            blocked: true,
            detail: "Permission denied".to_owned(),
        };
        vec![one; count]
    }

    #[test]
    fn one_open_hole_means_no_isolation() {
        let mut open = probes(PROBES_MIN);
        assert_eq!(judge(&open), IsolationLevel::S1);
        open[3].blocked = false;
        assert_eq!(judge(&open), IsolationLevel::S0);
    }

    #[test]
    fn a_probe_that_was_cut_short_proves_nothing() {
        assert_eq!(judge(&probes(PROBES_MIN - 1)), IsolationLevel::S0);
    }
}
