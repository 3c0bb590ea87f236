//! Applies one log entry: dispatches its command and gathers what it does.

use crate::commands::agents::AgentChange;
use crate::commands::register::Process;
use crate::commands::set_node::Said;
use crate::commands::submit::Submission;
use crate::state::State;
use skep_model::attempt::LogIndex;
use skep_model::command::{Actor, Command, LogEntry};
use skep_model::event::Event;
use skep_model::ids::{AgentId, NodeId, RunId, TaskId, TriggerId};
use skep_model::memory::MemoryEffect;
use skep_model::refusal::Refusal;
use skep_model::run::RunRecord;
use skep_model::task::{FinishedTask, TaskState};
use skep_model::time::UnixMillis;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What one log entry did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// What happened, in order.
    pub events: Vec<Event>,
    /// Tasks that became final; the state has forgotten them.
    pub finished: Vec<FinishedTask>,
    /// Runs that became final; the state has forgotten them.
    pub finished_runs: Vec<RunRecord>,
    /// What shared memory holds now, for those who keep its values.
    pub memory: Vec<MemoryEffect>,
    /// For each write of a command that does them one by one: how many events there were when it had
    /// been done or refused.
    pub write_ends: Vec<u32>,
}

/// One log entry while it is applied.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) index: LogIndex,
    pub(crate) seed: u64,
    /// Who asked.
    pub(crate) actor: Actor,
    /// Tasks taken in so far; counts the second part of their sequence.
    pub(crate) admitted: u32,
    pub(crate) applied: Applied,
    /// Tasks that became final and whose children do not know yet.
    pub(crate) ended: VecDeque<EndedNeed>,
    /// Runs without live tasks.
    pub(crate) emptied_runs: BTreeSet<RunId>,
    /// Runs of triggers that ended.
    pub(crate) ended_triggered: BTreeMap<RunId, Led>,
    pub(crate) gone: Gone,
}

/// Which trigger submitted a run, and how many triggers led to it, this one included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Led {
    pub(crate) by: TriggerId,
    pub(crate) depth: u8,
}

/// Who left the state, by the names they had: events tell only their ids.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    /// With whether they were seats of attached agents.
    pub(crate) nodes: BTreeMap<NodeId, (String, bool)>,
    pub(crate) agents: BTreeMap<AgentId, String>,
}

/// A task that became final, as those who wait for it see it.
#[derive(Debug)]
pub(crate) struct EndedNeed {
    pub(crate) task: TaskId,
    pub(crate) state: TaskState,
    pub(crate) children: BTreeSet<TaskId>,
}

impl Step {
    fn new(index: LogIndex, entry: &LogEntry) -> Self {
        Self {
            index,
            seed: entry.seed,
            actor: entry.actor,
            admitted: 0,
            applied: Applied::default(),
            ended: VecDeque::new(),
            emptied_runs: BTreeSet::new(),
            ended_triggered: BTreeMap::new(),
            gone: Gone::default(),
        }
    }

    pub(crate) fn emit(&mut self, event: Event) {
        self.applied.events.push(event);
    }
}

impl State {
    /// Applies one committed entry. Total: a refused request is an event, not an error, and the
    /// same entries give the same state and events everywhere. `index` rises with every call.
    pub fn apply(&mut self, index: LogIndex, entry: &LogEntry) -> Applied {
        self.move_clock(entry.at);
        let mut step = Step::new(index, entry);
        if let Err(reason) = self.dispatch(&mut step, &entry.command) {
            step.emit(Event::Refused { reason });
        }
        self.settle(&mut step);
        self.match_triggers(&mut step);
        step.applied
    }

    fn move_clock(&mut self, at: UnixMillis) {
        if at > self.now {
            self.now = at;
            self.changes.clock();
        }
    }

    /// An error means that nothing was changed.
    #[expect(
        clippy::too_many_lines,
        reason = "one arm per command: parts would lose the check that none is forgotten"
    )]
    fn dispatch(&mut self, step: &mut Step, command: &Command) -> Result<(), Refusal> {
        match command {
            Command::SubmitRun {
                run,
                spec,
                tasks,
                idempotency,
            } => self.submit(
                step,
                &Submission::run(*run, spec, tasks, idempotency.as_ref()),
            ),
            Command::SubmitTasks {
                run,
                tasks,
                idempotency,
            } => self.submit(step, &Submission::tasks(*run, tasks, idempotency.as_ref())),
            Command::CancelRun(run) => self.cancel_run(step, *run),
            Command::PauseRun(run) => self.pause_run(step, *run),
            Command::ResumeRun(run) => self.resume_run(step, *run),
            Command::CancelTask(task) => self.cancel_task(step, *task),
            Command::RetryTask(task) => self.retry_task(step, *task),
            Command::PauseTask(task) => self.pause_task(step, *task),
            Command::ResumeTask(task) => self.resume_task(step, *task),
            Command::UpdateTask {
                task,
                priority,
                labels,
            } => self.update_task(step, *task, *priority, labels.as_ref()),
            Command::AssignTask { task, agent } => self.assign_task(step, *task, *agent),
            Command::GrantLeases(grants) => self.grant_leases(step, grants),
            Command::MoveAttempts(moves) => self.move_attempts(step, moves),
            Command::ReportProgress { node, items } => self.report_progress(step, *node, items),
            Command::ReportResults { node, reports } => self.report_results(step, *node, reports),
            Command::FireTimers => self.fire_timers(step),
            Command::CreateToken(token) => self.create_token(step, token),
            Command::RevokeToken(token) => self.revoke_token(step, *token),
            Command::RegisterNode {
                node,
                instance,
                agent,
                facts,
                starts,
            } => {
                let process = Process {
                    instance: *instance,
                    starts: *starts,
                };
                self.register_node(step, *node, process, *agent, facts)
            }
            Command::ConfirmNode {
                node,
                instance,
                lost,
            } => self.confirm_node(step, *node, *instance, lost),
            Command::AttachAgent {
                seat,
                instance,
                agent,
                spec,
            } => self.attach_agent(step, *seat, *instance, *agent, spec),
            Command::SuspectNode(node) => self.suspect_node(step, *node),
            Command::TrustNode(node) => self.trust_node(step, *node),
            Command::LoseNode(node) => self.lose_node(step, *node),
            Command::NodeLeft { node, instance } => self.node_left(step, *node, *instance),
            Command::DrainNode(node) => self.drain_node(step, *node),
            Command::ResumeNode(node) => self.resume_node(step, *node),
            Command::RemoveNode(node) => self.remove_node(step, *node),
            Command::CreateAgent { agent, spec } => self.create_agent(step, *agent, spec),
            Command::UpdateAgent {
                agent,
                role,
                capabilities,
                slots,
                paused,
            } => {
                let change = AgentChange {
                    role: role.as_ref(),
                    capabilities: capabilities.as_ref(),
                    slots: *slots,
                    paused: *paused,
                };
                self.update_agent(step, *agent, &change)
            }
            Command::RemoveAgent(agent) => self.remove_agent(step, *agent),
            Command::CreateJoinToken(token) => self.create_join_token(step, token),
            Command::RevokeJoinToken(token) => self.revoke_join_token(step, *token),
            Command::EnrolNode {
                node,
                key,
                token,
                name,
            } => self.enrol_node(step, *node, *key, *token, name),
            Command::ApproveNode(node) => self.approve_node(step, *node),
            Command::SetNode {
                node,
                labels,
                region,
                on_disconnect,
            } => {
                let said = Said {
                    labels: labels.as_ref(),
                    region: region.as_deref(),
                    on_disconnect: *on_disconnect,
                };
                self.set_node(step, *node, &said)
            }
            Command::ParkNode { node, for_ms } => self.park_node(step, *node, *for_ms),
            Command::UnparkNode(node) => self.unpark_node(step, *node),
            Command::ConfirmHold {
                node,
                instance,
                since,
            } => self.confirm_hold(step, *node, *instance, *since),
            Command::SetAvailability {
                node,
                instance,
                away,
            } => self.set_availability(step, *node, *instance, away.as_deref()),
            Command::HandBackGrants { node, grants } => self.hand_back_grants(step, *node, grants),
            Command::ReportGate {
                node,
                task,
                fence,
                gate,
            } => self.report_gate(step, *node, (*task, *fence), gate),
            Command::WriteMemory {
                writes,
                all_or_nothing,
                idempotency,
            } => self.write_memory(step, writes, *all_or_nothing, idempotency.as_ref()),
            Command::SetNamespace {
                namespace,
                settings,
            } => self.set_namespace(step, namespace, settings),
            Command::CreateSchedule {
                schedule,
                spec,
                first,
            } => self.create_schedule(step, *schedule, spec, *first),
            Command::PauseSchedule(schedule) => self.pause_schedule(step, *schedule),
            Command::ResumeSchedule { schedule, next } => {
                self.resume_schedule(step, *schedule, *next)
            }
            Command::DeleteSchedule(schedule) => self.delete_schedule(step, *schedule),
            Command::FireSchedule(firing) => self.fire_schedule(step, firing),
            Command::CreateTrigger { trigger, spec } => self.create_trigger(step, *trigger, spec),
            Command::PauseTrigger(trigger) => self.hold_trigger(step, *trigger, true),
            Command::ResumeTrigger(trigger) => self.hold_trigger(step, *trigger, false),
            Command::DeleteTrigger(trigger) => self.delete_trigger(step, *trigger),
            Command::FireTrigger(firing) => self.fire_trigger(step, firing),
        }
    }
}
