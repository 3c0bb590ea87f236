//! One attempt on its thread: the runner, its ports, and the end of the output.

use crate::attempt_env::{Surroundings, variables};
use crate::error::chain;
use crate::inbox::{Inbox, Note, Question};
use crate::input_cache::InputCache;
use crate::log_plan::Output;
use crate::log_shipper::{LogShipper, backoff_ms};
use crate::staging::Staging;
use crate::throughput::Throughput;
use crate::{CANCEL_CHECK_MS, LOG_FLUSH_MS};
use serde::Deserialize;
use skep_client::{Client, ClientError};
use skep_model::attempt::{ArtifactHash, ArtifactRecord, AttemptReport, GateReport, Outcome};
use skep_model::ids::TaskId;
use skep_model::work::{CommandWork, Input};
use skep_runner::{
    ArtifactSink, ArtifactSource, AttemptEvents, AttemptPorts, AttemptSpec, CancelHandle, Glob,
    InputPlace, Phase, PortError, Runner,
};
use skep_wire::payload::{
    Assignment, AttemptKey, GateMessage, GateRequest, NodeAnswer, NodeRequest, ResolveRequest,
};
use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What all attempts of a node share.
#[derive(Debug)]
pub(crate) struct Workshop {
    pub(crate) runner: Arc<Runner>,
    /// Shows the node's own token.
    pub(crate) client: Client,
    /// Fingerprint of the authority that the node pinned, hexadecimal; attempts are told.
    pub(crate) authority: Option<String>,
    pub(crate) cache: InputCache,
    pub(crate) staging: Staging,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) runtime: Handle,
    /// Owns what goes on beside the attempts: output on its way, files to remove.
    pub(crate) side_tasks: TaskTracker,
    /// Ends the side tasks.
    pub(crate) stop: CancellationToken,
    /// How fast artifacts go to the coordinator.
    pub(crate) uploads: Throughput,
}

impl Workshop {
    /// Starts a task that lasts until the node ends, at the longest.
    pub(crate) fn spawn(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<Option<()>> {
        let stop = self.stop.clone();
        self.side_tasks
            .spawn_on(stop.run_until_cancelled_owned(task), &self.runtime)
    }

    /// Removes the kept files of an attempt, if it has any, without making the caller wait.
    pub(crate) fn release(self: &Arc<Self>, key: AttemptKey) {
        if self.staging.holds(key) {
            let workshop = Arc::clone(self);
            let remove = move || {
                // Other attempts here may be given them as inputs.
                workshop.cache.adopt(workshop.staging.files_of(key));
                workshop.staging.release(key);
            };
            self.side_tasks.spawn_blocking_on(remove, &self.runtime);
        }
    }
}

/// One attempt, ready to run.
#[derive(Debug)]
pub(crate) struct AttemptJob {
    pub(crate) workshop: Arc<Workshop>,
    pub(crate) assignment: Box<Assignment>,
    pub(crate) work: Box<CommandWork>,
    pub(crate) cancel: CancelHandle,
}

/// A report without a process behind it.
pub(crate) fn report_without_process(key: AttemptKey, outcome: Outcome) -> Box<AttemptReport> {
    Box::new(AttemptReport::without_process(key.task, key.fence, outcome))
}

/// Says that the attempt finished, also when its thread panics: the brain must hear it once.
struct Farewell {
    inbox: Arc<Inbox>,
    key: AttemptKey,
    report: Option<Box<AttemptReport>>,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        let report = self.report.take().unwrap_or_else(|| {
            let outcome = Outcome::Error {
                code: "node_panicked".to_owned(),
                message: "the node broke while it ran the attempt; its log says where".to_owned(),
            };
            report_without_process(self.key, outcome)
        });
        self.inbox.push(Note::Finished(report));
    }
}

impl AttemptJob {
    /// Runs the attempt to its end and tells the inbox. Blocks.
    pub(crate) fn run(self) {
        let Self {
            workshop,
            assignment,
            work,
            cancel,
        } = self;
        let key = assignment.key();
        let inbox = Arc::clone(&workshop.inbox);
        let mut farewell = Farewell {
            inbox: Arc::clone(&inbox),
            key,
            report: None,
        };
        let (output, follower) = watch::channel(Output::default());
        let shipper = LogShipper {
            client: workshop.client.clone(),
            runner: Arc::clone(&workshop.runner),
            task: assignment.task,
            attempt: assignment.attempt,
        };
        let shipping = workshop.spawn(shipper.run(follower));
        let events = Events {
            inbox,
            key,
            output: &output,
            gates_left: Cell::new(work.gates.len()),
        };
        let files = Files {
            workshop: &workshop,
            assignment: &assignment,
            cancel: &cancel,
            listings: OnceCell::new(),
        };
        let memory_bytes = assignment.resources.memory_bytes;
        let surroundings = Surroundings {
            coordinator: &workshop.client.answering_url(),
            authority: workshop.authority.as_deref(),
            program: workshop.runner.program(),
        };
        let spec = AttemptSpec {
            task: assignment.task,
            attempt: assignment.attempt,
            fence: assignment.fence,
            work: *work,
            env: variables(&assignment, surroundings),
            isolation: assignment.isolation,
            memory_bytes: (memory_bytes > 0).then_some(memory_bytes),
        };
        let ports = AttemptPorts {
            events: &events,
            source: &files,
            sink: &files,
        };
        let report = workshop.runner.run(&spec, ports, &cancel);
        output.send_modify(|output| output.ended = true);
        let patience = Duration::from_millis(LOG_FLUSH_MS);
        // What is not sent by then is sent later; the result does not wait for it.
        let flushing = async { tokio::time::timeout(patience, shipping).await };
        if workshop.runtime.block_on(flushing).is_err() {
            tracing::debug!(attempt = %key, "the result goes ahead of the end of the output");
        }
        farewell.report = Some(Box::new(report));
    }
}

struct Events<'a> {
    inbox: Arc<Inbox>,
    key: AttemptKey,
    output: &'a watch::Sender<Output>,
    gates_left: Cell<usize>,
}

impl AttemptEvents for Events<'_> {
    fn phase(&self, phase: Phase) {
        match phase {
            Phase::Running => self.inbox.push(Note::Started(self.key)),
            Phase::Verifying => self.inbox.push(Note::Verifying(self.key)),
            Phase::Preparing | Phase::HandingIn => {}
        }
    }

    /// Told as it happens, unless the result follows at once.
    fn gate_ended(&self, gate: &GateReport) {
        let left = self.gates_left.get().saturating_sub(1);
        self.gates_left.set(left);
        if gate.passed && left > 0 {
            let request = NodeRequest::Gate(GateRequest {
                attempt: self.key,
                gate: GateMessage::Report(gate.clone()),
            });
            self.inbox.push(Note::Ask(Question {
                request: Box::new(request),
                reply: None,
            }));
        }
    }

    fn log_appended(&self, written: u64) {
        self.output.send_modify(|output| output.written = written);
    }
}

/// Brings inputs and takes artifacts.
struct Files<'a> {
    workshop: &'a Workshop,
    assignment: &'a Assignment,
    cancel: &'a CancelHandle,
    /// What the tasks handed in from which it takes inputs; empty when the session did not say.
    listings: OnceCell<BTreeMap<TaskId, Vec<ArtifactRecord>>>,
}

#[derive(Deserialize)]
struct ArtifactPage {
    items: Vec<ArtifactRecord>,
}

impl ArtifactSource for Files<'_> {
    fn fetch(&self, input: &Input, place: &mut dyn InputPlace) -> Result<(), PortError> {
        let glob = Glob::parse(&input.glob)?;
        let client = &self.workshop.client;
        let listed = self.listing(input.from)?;
        for record in listed.iter().filter(|record| glob.matches(&record.path)) {
            if self.cancel.reason().is_some() {
                return Err("the attempt was stopped".into());
            }
            let mut target = place.create(&record.path, record.executable)?;
            self.workshop.cache.copy_to(record, &mut target, |draft| {
                self.unless_stopped(client.download_artifact(record.blake3, draft))
            })?;
        }
        Ok(())
    }
}

impl ArtifactSink for Files<'_> {
    fn put(&self, record: &ArtifactRecord, file: &Path) -> Result<(), PortError> {
        let kept = self
            .workshop
            .staging
            .keep(self.assignment.key(), record.blake3, file)?;
        self.workshop
            .runtime
            .block_on(self.upload(record.blake3, &kept))
    }
}

impl Files<'_> {
    /// What a task handed in. The session is asked once for all inputs; what it does not tell is
    /// asked for over HTTP, which also says in full why there is nothing to see.
    fn listing(&self, task: TaskId) -> Result<Vec<ArtifactRecord>, PortError> {
        let runtime = &self.workshop.runtime;
        let told = self
            .listings
            .get_or_init(|| runtime.block_on(self.resolve()));
        if let Some(artifacts) = told.get(&task) {
            return Ok(artifacts.clone());
        }
        // Shows the attempt's own token: it may see what its run handed in, no more.
        let own = self
            .workshop
            .client
            .with_token(self.assignment.token.reveal())?;
        let path = format!("/api/v2/tasks/{task}/artifacts");
        let page: ArtifactPage = self.unless_stopped(own.get(&path))?;
        Ok(page.items)
    }

    /// Waits for an answer, but no longer than the attempt is wanted.
    fn unless_stopped<T>(
        &self,
        asked: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, PortError> {
        self.workshop.runtime.block_on(async {
            tokio::select! {
                answer = asked => answer.map_err(Into::into),
                () = self.stopped() => Err("the attempt was stopped".into()),
            }
        })
    }

    /// Asks over the session for what all inputs are taken from.
    async fn resolve(&self) -> BTreeMap<TaskId, Vec<ArtifactRecord>> {
        let (reply, answer) = oneshot::channel();
        let request = NodeRequest::Resolve(ResolveRequest {
            attempt: self.assignment.key(),
            wanted: Vec::new(),
        });
        self.workshop.inbox.push(Note::Ask(Question {
            request: Box::new(request),
            reply: Some(reply),
        }));
        let answer = tokio::select! {
            answer = answer => answer,
            () = self.stopped() => return BTreeMap::new(),
        };
        match answer.map(|answer| answer.map(|answer| *answer)) {
            Ok(Ok(NodeAnswer::Resolve(answer))) => answer
                .items
                .into_iter()
                .filter(|item| item.state.is_some())
                .map(|item| (item.task, item.artifacts))
                .collect(),
            other => {
                let attempt = self.assignment.key();
                tracing::debug!(%attempt, ?other, "inputs are looked for over HTTP");
                BTreeMap::new()
            }
        }
    }

    /// Uploads until it is done, refused for good, or the attempt is stopped: the node's lease
    /// bounds it.
    async fn upload(&self, hash: ArtifactHash, file: &Path) -> Result<(), PortError> {
        let mut failures = 0;
        loop {
            let since = Instant::now();
            let error = tokio::select! {
                done = self.workshop.client.upload_artifact(hash, file) => match done {
                    Ok(bytes) => {
                        let took = since.elapsed();
                        self.workshop.uploads.add(bytes, took, std::time::Instant::now());
                        return Ok(());
                    }
                    Err(error) => error,
                },
                () = self.stopped() => return Err("the attempt was stopped".into()),
            };
            if !error.is_retryable() {
                return Err(error.into());
            }
            failures += 1;
            self.pause(&error, failures).await;
        }
    }

    async fn pause(&self, error: &ClientError, failures: u32) {
        tracing::warn!(
            attempt = %self.assignment.key(), failures, cause = %chain(error),
            "an artifact could not be uploaded and is tried again"
        );
        let until = Instant::now() + Duration::from_millis(backoff_ms(failures));
        tokio::select! {
            () = tokio::time::sleep_until(until) => {}
            () = self.stopped() => {}
        }
    }

    async fn stopped(&self) {
        while self.cancel.reason().is_none() {
            tokio::time::sleep(Duration::from_millis(CANCEL_CHECK_MS)).await;
        }
    }
}
