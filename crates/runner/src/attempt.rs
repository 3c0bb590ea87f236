//! One attempt from the first directory to the last artifact.

use crate::artifacts;
use crate::attempt_log::{AttemptLog, LogSink};
use crate::cancel::{CancelHandle, StopReason};
use crate::environment::environment;
use crate::error::AttemptError;
use crate::inputs;
use crate::isolation::Confinement;
use crate::order::{EndCause, EndNote, LaunchOrder, ProgramOrder};
use crate::paths::{AttemptPaths, PrivateDirs};
use crate::runner::Runner;
use crate::spec::{AttemptPorts, AttemptSpec, Phase};
use crate::supervised::{OutputSink, SupervisedError};
use crate::tail_buffer::TailBuffer;
use crate::workspace::{Owner, Prepared, Snapshot};
use skep_model::attempt::{AttemptReport, GateReport, Outcome};
use skep_model::limits::{GATE_EVIDENCE_BYTES_MAX, TIMEOUT_MAX_MS};
use skep_model::work::{Gate, Invocation};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// An attempt under way.
pub(crate) struct Attempt<'a> {
    runner: &'a Runner,
    spec: &'a AttemptSpec,
    ports: AttemptPorts<'a>,
    cancel: &'a CancelHandle,
    paths: &'a AttemptPaths,
    task: String,
    input_directories: Vec<String>,
    command_began: Option<Instant>,
    report: AttemptReport,
}

/// Ends an attempt early: an outcome that is no error, or an error.
enum Stop {
    With(Outcome),
    Because(AttemptError),
}

impl<E: Into<AttemptError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Because(error.into())
    }
}

/// A command or gate that is about to run.
struct Program<'a> {
    invocation: &'a Invocation,
    workspace: &'a Prepared,
    private: PrivateDirs,
    timeout_ms: u64,
}

impl<'a> Attempt<'a> {
    pub(crate) fn new(
        runner: &'a Runner,
        spec: &'a AttemptSpec,
        ports: AttemptPorts<'a>,
        cancel: &'a CancelHandle,
        paths: &'a AttemptPaths,
    ) -> Self {
        Self {
            runner,
            spec,
            ports,
            cancel,
            paths,
            task: spec.task.to_string(),
            input_directories: spec.work.inputs.iter().map(inputs::directory_of).collect(),
            command_began: None,
            report: AttemptReport::without_process(spec.task, spec.fence, Outcome::Completed),
        }
    }

    pub(crate) fn run(mut self, log: &AttemptLog) -> AttemptReport {
        let outcome = match self.try_run(log) {
            Ok(()) => Outcome::Completed,
            Err(Stop::With(outcome)) => outcome,
            Err(Stop::Because(error)) => self.outcome_of(error),
        };
        self.paths.remove_leavings();
        self.report.outcome = outcome;
        self.report
    }

    /// Before the command began, an attempt that was stopped ends as that: what failed then is
    /// most likely what the stop cut short.
    fn outcome_of(&self, error: AttemptError) -> Outcome {
        match self.stop_if_asked() {
            Err(Stop::With(stopped)) if self.command_began.is_none() => stopped,
            _ => error.into_outcome(),
        }
    }

    fn try_run(&mut self, log: &AttemptLog) -> Result<(), Stop> {
        self.ports.events.phase(Phase::Preparing);
        self.runner.refuse_weak_isolation(self.spec.isolation)?;
        let work = &self.spec.work;
        crate::allowed_paths::check(self.spec, self.runner.state_dir())?;
        let directory = self.paths.workspace();
        let workspace = Prepared::make(
            &work.workspace,
            &directory,
            self.owner(),
            self.runner.locks(),
        )?;
        inputs::place_inputs(&work.inputs, workspace.directory(), self.ports.source)?;
        self.stop_if_asked()?;
        self.ports.events.phase(Phase::Running);
        self.run_command(&workspace, log)?;
        let snapshot = workspace.snapshot(self.owner(), !work.gates.is_empty())?;
        // A missing artifact shows before the gates take their time.
        let files = self.select(&workspace, log)?;
        if !work.gates.is_empty() {
            self.ports.events.phase(Phase::Verifying);
            self.run_gates(&workspace, snapshot.as_ref())?;
        }
        self.note_duration();
        self.stop_if_asked()?;
        self.ports.events.phase(Phase::HandingIn);
        self.hand_in(&workspace, snapshot.as_ref(), &files)
    }

    fn owner(&self) -> Owner<'_> {
        Owner {
            task: &self.task,
            attempt: self.spec.attempt,
            input_directories: &self.input_directories,
        }
    }

    fn stop_if_asked(&self) -> Result<(), Stop> {
        match self.cancel.reason() {
            None => Ok(()),
            Some(StopReason::Killed) => Err(Stop::With(Outcome::Killed)),
            Some(StopReason::Interrupted) => Err(Stop::With(Outcome::Interrupted)),
        }
    }

    fn run_command(&mut self, workspace: &Prepared, log: &AttemptLog) -> Result<(), Stop> {
        let events = self.ports.events;
        let mut sink = LogSink {
            log,
            on_appended: &|written| events.log_appended(written),
        };
        let program = Program {
            invocation: &self.spec.work.invocation,
            workspace,
            private: private_dirs(self.paths)?,
            timeout_ms: self.spec.work.timeout_ms,
        };
        self.command_began = Some(Instant::now());
        self.report.isolation = Some(self.spec.isolation);
        let ended = self.run_program(&program, &mut sink);
        self.note_duration();
        let end = ended?;
        self.report.exit_code = end.exit_code;
        match (end.cause, end.exit_code) {
            (EndCause::Timeout, _) => Err(Stop::With(Outcome::TimedOut)),
            (EndCause::Stop, _) => self.stop_if_asked(),
            (EndCause::Program, Some(0)) => Ok(()),
            (EndCause::Program, Some(code)) => Err(Stop::With(Outcome::Exited { code })),
            (EndCause::Program, None) => Err(SupervisedError::SupervisorDied.into()),
        }
    }

    /// Runs a process tree, adds what it used, and refuses to go on while some of it lives.
    fn run_program(
        &mut self,
        program: &Program<'_>,
        sink: &mut dyn OutputSink,
    ) -> Result<EndNote, AttemptError> {
        let order = self.order(program);
        let end = self.runner.stages().run(&order, sink, self.cancel)?;
        let usage = &mut self.report.usage;
        usage.user_ms += end.user_ms;
        usage.system_ms += end.system_ms;
        usage.memory_peak_bytes = usage.memory_peak_bytes.max(end.memory_peak_bytes);
        match end.survivors {
            0 => Ok(end),
            count => Err(AttemptError::Survivors(count)),
        }
    }

    fn order(&self, program: &Program<'_>) -> LaunchOrder {
        let options = self.runner.options();
        let directory = program.workspace.directory().to_owned();
        let PrivateDirs { home, temporary } = &program.private;
        let mut read = options.extra_read_paths.clone();
        read.extend(self.spec.work.reads.iter().map(PathBuf::from));
        read.extend(program.workspace.read_paths());
        let mut write = vec![home.clone(), temporary.clone()];
        if program.workspace.is_writable() {
            write.push(directory.clone());
        } else {
            read.push(directory.clone());
        }
        LaunchOrder {
            program: ProgramOrder {
                argv: arguments_of(program.invocation),
                env: environment(self.spec, &options.env_allow_list, home, temporary),
                directory,
                confinement: Confinement {
                    level: self.spec.isolation,
                    read,
                    hidden: self.runner.hidden(),
                    program: Some(self.runner.program().to_owned()),
                    write,
                    memory_bytes: self.spec.memory_bytes,
                },
            },
            timeout_ms: program.timeout_ms.min(TIMEOUT_MAX_MS),
            kill_grace_ms: self.spec.work.kill_grace_ms.min(TIMEOUT_MAX_MS),
        }
    }

    fn run_gates(&mut self, workspace: &Prepared, snapshot: Option<&Snapshot>) -> Result<(), Stop> {
        for gate in &self.spec.work.gates {
            let report = self.run_gate(gate, workspace, snapshot);
            crate::workspace::remove_directory(self.paths.gate().root());
            let report = report?;
            self.ports.events.gate_ended(&report);
            let passed = report.passed;
            self.report.gates.push(report);
            if !passed {
                self.note_duration();
                return Err(Stop::With(Outcome::GateFailed {
                    gate: gate.name.clone(),
                }));
            }
        }
        Ok(())
    }

    fn run_gate(
        &mut self,
        gate: &Gate,
        workspace: &Prepared,
        snapshot: Option<&Snapshot>,
    ) -> Result<GateReport, Stop> {
        let paths = self.paths.gate();
        paths
            .make_root()
            .map_err(|source| directory_error(paths.root(), source))?;
        let copy = workspace.clean_copy(&paths.workspace(), snapshot)?;
        if workspace.copy_needs_inputs() {
            let inputs = &self.spec.work.inputs;
            inputs::place_inputs(inputs, copy.directory(), self.ports.source)?;
        }
        let program = Program {
            invocation: &gate.invocation,
            workspace: &copy,
            private: private_dirs(&paths)?,
            timeout_ms: gate.timeout_ms,
        };
        let mut evidence = TailBuffer::new(GATE_EVIDENCE_BYTES_MAX);
        let began = Instant::now();
        let end = self.run_program(&program, &mut evidence)?;
        if end.cause == EndCause::Stop {
            self.stop_if_asked()?;
        }
        let exit_code = end.exit_code.filter(|_| end.cause == EndCause::Program);
        Ok(GateReport {
            name: gate.name.clone(),
            passed: exit_code == Some(0),
            exit_code,
            duration_ms: milliseconds_since(began),
            output: evidence.into_text(),
        })
    }

    fn select(
        &self,
        workspace: &Prepared,
        log: &AttemptLog,
    ) -> Result<Vec<artifacts::Found>, Stop> {
        let patterns = &self.spec.work.artifacts;
        let selection = artifacts::select(workspace.directory(), patterns)?;
        if !selection.left_out.is_empty() {
            self.note_in_log(log, &selection.left_out)?;
        }
        Ok(selection.files)
    }

    /// Silence about a file that was not handed in would be a lie.
    fn note_in_log(&self, log: &AttemptLog, left_out: &[String]) -> Result<(), Stop> {
        const NAMED_MAX: usize = 20;
        let named = left_out[..left_out.len().min(NAMED_MAX)].join("`, `");
        let line = format!(
            "\n[skep: {} matches are symlinks or not regular files and are not handed in: \
             `{named}`{}]\n",
            left_out.len(),
            if left_out.len() > NAMED_MAX {
                " ..."
            } else {
                ""
            }
        );
        let written = log
            .append(line.as_bytes())
            .map_err(|source| directory_error(&self.paths.log(), source))?;
        self.ports.events.log_appended(written);
        Ok(())
    }

    fn hand_in(
        &mut self,
        workspace: &Prepared,
        snapshot: Option<&Snapshot>,
        files: &[artifacts::Found],
    ) -> Result<(), Stop> {
        let staging = self.paths.staging();
        let sink = self.ports.sink;
        self.report.artifacts = artifacts::hand_in(workspace.directory(), files, &staging, sink)?;
        let patch = self.paths.patch();
        if workspace.write_patch(snapshot, &patch)? {
            let record = artifacts::hand_in_patch(&patch, &staging, sink)?;
            self.report.artifacts.push(record);
        }
        // Last, since it cannot be taken back.
        workspace.make_branch(snapshot, self.owner())?;
        Ok(())
    }

    fn note_duration(&mut self) {
        if let Some(began) = self.command_began {
            self.report.duration_ms = milliseconds_since(began);
        }
    }
}

fn private_dirs(paths: &AttemptPaths) -> Result<PrivateDirs, AttemptError> {
    paths
        .make_private_dirs()
        .map_err(|source| directory_error(paths.root(), source))
}

fn milliseconds_since(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn arguments_of(invocation: &Invocation) -> Vec<String> {
    match invocation {
        Invocation::Argv(arguments) => arguments.clone(),
        // `-c` and not a file: nothing to clean up, and the script is within `SCRIPT_BYTES_MAX`.
        Invocation::Shell(script) => ["sh", "-eu", "-c", script].map(str::to_owned).into(),
    }
}

pub(crate) fn directory_error(path: &Path, source: io::Error) -> AttemptError {
    AttemptError::Directory {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_run_by_a_strict_shell() {
        let script = Invocation::Shell("echo hi".to_owned());
        assert_eq!(arguments_of(&script), ["sh", "-eu", "-c", "echo hi"]);
    }
}
