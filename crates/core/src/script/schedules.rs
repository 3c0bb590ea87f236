//! The statements about schedules: `schedule ID` takes the tasks that were drafted, numbered from 0,
//! as its template; `due ID at=TIME next=TIME run=ID task=ID` acts on a due time, and without `at`
//! it is somebody who asks.

use super::statements::idempotency;
use super::{Words, World};
use skep_model::command::Command;
use skep_model::ids::{RunId, ScheduleId, TaskId};
use skep_model::run::RunSpec;
use skep_model::schedule::{Firing, Missed, Overlap, ScheduleSpec, Timing};
use skep_model::template::Template;
use skep_model::time::UnixMillis;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

fn time(words: &Words<'_>, key: &str) -> Option<UnixMillis> {
    words.number(key).map(UnixMillis)
}

impl World {
    pub(super) fn schedule_command(&mut self, words: &Words<'_>) -> Command {
        let schedule = ScheduleId::from_u128(words.id());
        match words.verb {
            "schedule" => Command::CreateSchedule {
                schedule,
                spec: Box::new(self.schedule_spec(words)),
                first: time(words, "first"),
            },
            "pause-schedule" => Command::PauseSchedule(schedule),
            "resume-schedule" => Command::ResumeSchedule {
                schedule,
                next: time(words, "next"),
            },
            "delete-schedule" => Command::DeleteSchedule(schedule),
            "due" => Command::FireSchedule(Box::new(Firing {
                schedule,
                due: time(words, "at"),
                next: time(words, "next"),
                run: RunId::from_u128(words.number("run").unwrap().into()),
                tasks: words
                    .options_named("task")
                    .map(|id| TaskId::from_u128(id.parse().unwrap()))
                    .collect(),
                idempotency: idempotency(words),
            })),
            other => panic!("no statement `{other}` about schedules"),
        }
    }

    fn schedule_spec(&mut self, words: &Words<'_>) -> ScheduleSpec {
        let tasks = std::mem::take(&mut self.draft);
        let name = words.option("name").map(str::to_owned);
        ScheduleSpec {
            name: name.unwrap_or_else(|| format!("s{}", words.id())),
            timing: Timing::Every { every_ms: 1_000 },
            overlap: match words.option("overlap") {
                None | Some("skip") => Overlap::Skip,
                Some("queue") => Overlap::Queue,
                Some("allow") => Overlap::Allow,
                Some(other) => panic!("no overlap `{other}`"),
            },
            missed: if words.has("drops") {
                Missed::None
            } else {
                Missed::Once
            },
            template: Arc::new(Template {
                run: RunSpec {
                    name: "r".to_owned(),
                    labels: BTreeMap::new(),
                    weight: 10,
                    trace_parent: None,
                    strategy: None,
                },
                ids: tasks.len() as u32,
                tasks,
            }),
        }
    }

    pub(super) fn show_schedules(&self) -> String {
        let mut text = String::new();
        for schedule in self.state.schedules() {
            let held = if schedule.paused { "held" } else { "active" };
            writeln!(
                text,
                "{} is {held}, next {:?}, waiting {:?}, live {:?}, fired {}, skipped {}, last {:?}",
                schedule.id,
                schedule.next,
                schedule.waiting,
                schedule.live,
                schedule.fired,
                schedule.skipped,
                schedule.last.as_ref().map(|last| &last.outcome),
            )
            .unwrap();
        }
        text
    }
}
