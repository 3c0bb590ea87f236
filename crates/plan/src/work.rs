//! What an attempt of one instance does: its command, workspace, variables, artifacts, gates.

use crate::error::{ErrorCode, Problem, Problems};
use crate::file::{
    ArtifactFile, CommandFile, GateFile, GitFile, GitResultFile, Kind, TaskFile, WorkspaceFile,
};
use crate::position::At;
use crate::read::variable_part;
use crate::settings::Settings;
use crate::substitute::{Scope, resolve};
use skep_model::limits;
use skep_model::work::{
    ArtifactPattern, CommandWork, DescribedWork, Gate, GitResult, Invocation, Work, Workspace,
};
use std::collections::BTreeMap;

/// What an instance is built from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Instance<'a> {
    pub(crate) task: &'a TaskFile,
    pub(crate) settings: Settings<'a>,
    pub(crate) scope: Scope<'a>,
    /// What the part of a partition finds besides.
    pub(crate) variables: &'a [(&'static str, String)],
    pub(crate) base_dir: &'a str,
}

impl Instance<'_> {
    /// What the task does. Inputs are added when their tasks have ids.
    pub(crate) fn work(&self, problems: &mut Problems) -> Work {
        if self
            .task
            .kind
            .as_ref()
            .is_some_and(|at| at.value == Kind::Noop)
        {
            self.check_noop(problems);
            return Work::Noop;
        }
        if let Some(instructions) = &self.task.instructions {
            return Work::Described(Box::new(self.described(instructions, problems)));
        }
        let timeout_ms = self
            .settings
            .timeout_ms()
            .unwrap_or(limits::TIMEOUT_DEFAULT_MS);
        let mut work = self.bare(&self.task.command, timeout_ms, problems);
        let artifacts = self.task.artifacts.iter();
        work.artifacts = artifacts
            .map(|file| self.artifact(file, problems))
            .collect();
        let gates = self.task.gates.iter().enumerate();
        work.gates = gates
            .map(|(i, file)| self.gate(i, file, timeout_ms, problems))
            .collect();
        Work::Command(Box::new(work))
    }

    /// What undoes the task: its own command in the settings of the task.
    pub(crate) fn compensation(&self, problems: &mut Problems) -> Option<Work> {
        let file = self.task.compensate.as_ref()?;
        let own = file.timeout.as_ref().map(|at| at.value.ms);
        let timeout_ms = own.or_else(|| self.settings.timeout_ms());
        let timeout_ms = timeout_ms.unwrap_or(limits::TIMEOUT_DEFAULT_MS);
        let work = self.bare(&file.command, timeout_ms, problems);
        Some(Work::Command(Box::new(work)))
    }

    fn described(&self, instructions: &At<String>, problems: &mut Problems) -> DescribedWork {
        let mut text = |text: &At<String>| {
            let filled = self.scope.fill(text, problems);
            if filled.len() > limits::INSTRUCTIONS_BYTES_MAX {
                let (bytes, max) = (filled.len(), limits::INSTRUCTIONS_BYTES_MAX);
                let message = format!(
                    "with its values the text has {bytes} bytes; INSTRUCTIONS_BYTES_MAX is {max}"
                );
                let fix = "shorten the values, or hand them over as artifacts";
                let problem = Problem::new(ErrorCode::TooLong, message, fix);
                problems.add(text.position, problem);
            }
            filled
        };
        DescribedWork {
            instructions: text(instructions),
            expected: self.task.expected.as_ref().map(text),
            inputs: Vec::new(),
            timeout_ms: self.settings.timeout_ms(),
        }
    }

    fn check_noop(&self, problems: &mut Problems) {
        let task = self.task;
        let has_more = !task.gates.is_empty()
            || !task.artifacts.is_empty()
            || !task.inputs.is_empty()
            || task.compensate.is_some();
        if has_more {
            let message = "a task of the kind `noop` runs nothing, so it has no inputs, artifacts, \
                           gates or compensation";
            let fix = "remove them, or remove `kind` and add `run`";
            problems.add(
                task.position,
                Problem::new(ErrorCode::TwoCommands, message, fix),
            );
        }
    }

    fn bare(&self, command: &CommandFile, timeout_ms: u64, problems: &mut Problems) -> CommandWork {
        let reads = self.settings.reads().iter();
        CommandWork {
            invocation: self.invocation(command, problems),
            env: self.env(problems),
            workspace: self.workspace(problems),
            reads: reads
                .map(|path| resolve(self.base_dir, &self.scope.fill(path, problems)))
                .collect(),
            inputs: Vec::new(),
            artifacts: Vec::new(),
            gates: Vec::new(),
            timeout_ms,
            kill_grace_ms: limits::KILL_GRACE_MS,
        }
    }

    fn invocation(&self, command: &CommandFile, problems: &mut Problems) -> Invocation {
        if let Some(argv) = &command.argv {
            let words = argv
                .value
                .iter()
                .map(|word| self.scope.fill(word, problems));
            return Invocation::Argv(words.collect());
        }
        let run = command.run.as_ref();
        let script = run
            .map(|run| self.scope.fill(run, problems))
            .unwrap_or_default();
        if script.len() > limits::SCRIPT_BYTES_MAX {
            let (bytes, max) = (script.len(), limits::SCRIPT_BYTES_MAX);
            let message =
                format!("with its values the script has {bytes} bytes; SCRIPT_BYTES_MAX is {max}");
            let fix = "read long values from `$SKEP_PARAM_...` instead";
            let problem = Problem::new(ErrorCode::TooLong, message, fix);
            problems.add(run.and_then(|run| run.position), problem);
        }
        Invocation::Shell(script)
    }

    fn env(&self, problems: &mut Problems) -> BTreeMap<String, String> {
        let mut env = self.settings.env(self.scope, problems);
        for (name, value) in self.scope.params {
            env.insert(format!("SKEP_PARAM_{}", variable_part(name)), value.clone());
        }
        for (axis, value) in self.scope.matrix {
            env.insert(
                format!("SKEP_MATRIX_{}", variable_part(axis)),
                value.clone(),
            );
        }
        for (name, value) in self.variables {
            env.insert((*name).to_owned(), value.clone());
        }
        if env.len() > limits::ENV_VARS_MAX {
            let (given, max) = (env.len(), limits::ENV_VARS_MAX);
            let message = format!("the task has {given} variables; ENV_VARS_MAX is {max}");
            let fix = "remove some from `env` or `params`";
            problems.add(
                self.task.position,
                Problem::new(ErrorCode::TooLong, message, fix),
            );
        }
        let too_long = |value: &&String| value.len() > limits::ENV_VALUE_BYTES_MAX;
        if let Some((name, value)) = env.iter().find(|(_, value)| too_long(value)) {
            let (bytes, max) = (value.len(), limits::ENV_VALUE_BYTES_MAX);
            let message =
                format!("the variable `{name}` has {bytes} bytes; ENV_VALUE_BYTES_MAX is {max}");
            let fix = "keep it in a file of the workspace";
            problems.add(
                self.task.position,
                Problem::new(ErrorCode::TooLong, message, fix),
            );
        }
        env
    }

    fn workspace(&self, problems: &mut Problems) -> Workspace {
        let file = self.settings.pick(|settings| settings.workspace.as_ref());
        match file.map(|at| &at.value) {
            None | Some(WorkspaceFile::None) => Workspace::None,
            Some(WorkspaceFile::Dir { dir, writable }) => Workspace::Dir {
                path: resolve(self.base_dir, &self.scope.fill(dir, problems)),
                writable: *writable,
            },
            Some(WorkspaceFile::Git(git)) => self.git(git, problems),
        }
    }

    fn git(&self, file: &GitFile, problems: &mut Problems) -> Workspace {
        let reference = file
            .reference
            .as_ref()
            .map(|text| self.scope.fill(text, problems));
        Workspace::Git {
            repository: resolve(self.base_dir, &self.scope.fill(&file.git, problems)),
            reference: reference.unwrap_or_else(|| "HEAD".to_owned()),
            result: match &file.result {
                None | Some(GitResultFile::Discard) => GitResult::Discard,
                Some(GitResultFile::Patch) => GitResult::Patch,
                Some(GitResultFile::Branch(name)) => {
                    GitResult::Branch(self.scope.fill(name, problems))
                }
            },
        }
    }

    fn artifact(&self, file: &ArtifactFile, problems: &mut Problems) -> ArtifactPattern {
        let glob = self.scope.fill(&file.glob, problems);
        let name = file
            .name
            .as_ref()
            .map(|name| self.scope.fill(name, problems));
        ArtifactPattern {
            name: name.unwrap_or_else(|| glob.clone()),
            glob,
            required: file.required.as_ref().is_none_or(|at| at.value),
        }
    }

    fn gate(
        &self,
        position: usize,
        file: &GateFile,
        timeout_ms: u64,
        problems: &mut Problems,
    ) -> Gate {
        let name = file
            .name
            .as_ref()
            .map(|name| self.scope.fill(name, problems));
        Gate {
            name: name.unwrap_or_else(|| format!("gate-{}", position + 1)),
            invocation: self.invocation(&file.command, problems),
            timeout_ms: file.timeout.as_ref().map_or(timeout_ms, |at| at.value.ms),
        }
    }
}
