//! Rows that do not make a state are refused with what is wrong with them.

use super::RestoreError;
use crate::State;
use crate::script::{World, portrait};
use skep_model::ids::{AgentId, NodeId, RunId, ScheduleId, TaskId};
use skep_model::row::{Row, RowKey};
use skep_model::run::RunState;
use skep_model::task::TaskState;

/// Task 1 is held by node 1, task 2 waits for it, both are of run 1.
const SCRIPT: &str = "node 1; confirm 1; agent 2 on=1; token 1; at 5; task 1; task 2 needs=1; \
     run 1 key=a; grant 1:2; put k; put k ttl=1000 in=n; \
     task 0; schedule 1 first=5; due 1 at=5 next=9 run=2 task=70; \
     task 0; trigger 1 on=node:suspect; suspect 1; act 1 run=3 task=71";

fn rows() -> Vec<Row> {
    World::after(SCRIPT).rows.into_values().collect()
}

/// The rows without one.
fn without(key: &RowKey) -> Vec<Row> {
    let mut rows = World::after(SCRIPT).rows;
    assert!(rows.remove(key).is_some());
    rows.into_values().collect()
}

/// The rows with one that is changed.
fn with(change: impl Fn(&mut Row)) -> Vec<Row> {
    let mut rows = rows();
    rows.iter_mut().for_each(change);
    rows
}

#[track_caller]
fn assert_refused(rows: Vec<Row>, error: &RestoreError) {
    assert_eq!(State::restore(rows).unwrap_err(), *error);
}

#[test]
fn rows_may_come_in_any_order() {
    let mut reversed = rows();
    reversed.reverse();
    let restored = State::restore(reversed).unwrap();
    assert_eq!(restored.check(), Ok(()));
    assert_eq!(portrait(&restored), portrait(&World::after(SCRIPT).state));
}

#[test]
fn a_restored_state_has_nothing_to_write() {
    assert_eq!(State::restore(rows()).unwrap().take_changes(), []);
}

#[test]
fn rows_that_are_stored_twice_are_refused() {
    for row in rows()
        .into_iter()
        .filter(|row| !matches!(row, Row::Clock(_)))
    {
        let mut rows = rows();
        rows.push(row.clone());
        let error = State::restore(rows).unwrap_err();
        let twice = matches!(
            error,
            RestoreError::StoredTwice(_) | RestoreError::Shared(_)
        );
        assert!(twice, "{error}");
    }
}

#[test]
fn rows_that_refer_to_missing_ones_are_refused() {
    let (task, run) = (TaskId::from_u128(1), RunId::from_u128(1));
    let (agent, node) = (AgentId::from_u128(1), NodeId::from_u128(1));
    assert_refused(
        without(&RowKey::Run(run)),
        &RestoreError::RunMissing { task, run },
    );
    let needs = task;
    let task = TaskId::from_u128(2);
    assert_refused(
        without(&RowKey::Task(needs)),
        &RestoreError::NeedMissing { task, needs },
    );
    assert_refused(
        without(&RowKey::Node(node)),
        &RestoreError::HostMissing { agent, node },
    );
    let (task, run) = (TaskId::from_u128(70), RunId::from_u128(2));
    let mut runless = without(&RowKey::Run(run));
    runless.retain(|row| !matches!(row, Row::Task(record) if record.id == task));
    let schedule = ScheduleId::from_u128(1);
    assert_refused(runless, &RestoreError::ScheduleRunMissing { schedule, run });
    let missing = RestoreError::NamespaceMissing {
        namespace: "n".to_owned(),
        key: "k".to_owned(),
    };
    assert_refused(without(&RowKey::Namespace("n".parse().unwrap())), &missing);
}

#[test]
fn a_lease_on_a_missing_node_is_refused() {
    let (task, node) = (TaskId::from_u128(1), NodeId::from_u128(1));
    let mut rows = rows();
    rows.retain(|row| !matches!(row, Row::Node(_) | Row::Agent(_)));
    assert_refused(rows, &RestoreError::HolderMissing { task, node });
}

#[test]
fn final_records_are_refused() {
    let (task, state) = (TaskId::from_u128(2), TaskState::Failed);
    let failed = with(|row| {
        if let Row::Task(record) = row
            && record.id == task
        {
            record.state = state;
        }
    });
    assert_refused(failed, &RestoreError::FinalTask { task, state });
    let failed = with(|row| {
        if let Row::Run(record) = row {
            record.state = RunState::Failed;
        }
    });
    assert_refused(failed, &RestoreError::FinalRun(RunId::from_u128(1)));
}

#[test]
fn a_held_task_without_a_lease_is_refused() {
    let (task, state) = (TaskId::from_u128(1), TaskState::Leased);
    let stripped = with(|row| {
        if let Row::Task(record) = row {
            record.lease = None;
        }
    });
    assert_refused(stripped, &RestoreError::LeaseMismatch { task, state });
}
