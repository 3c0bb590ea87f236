//! What watches admit, how they are written, and what the work that follows is told.

use super::*;
use crate::attempt::LogIndex;
use crate::memory::MemoryVersion;
use crate::task::TaskState;

fn task(name: &str, state: TaskState) -> Happened {
    Happened::Task {
        task: TaskId::from_u128(1),
        name: name.to_owned(),
        run: Some(RunId::from_u128(2)),
        state,
    }
}

fn entry(namespace: &str, key: &str, change: EntryChange) -> Happened {
    Happened::Memory {
        namespace: namespace.parse().unwrap(),
        key: key.parse().unwrap(),
        version: MemoryVersion(7),
        change,
    }
}

#[test]
fn a_watch_admits_what_it_says_and_nothing_else() {
    let labels = BTreeMap::from([("kind".to_owned(), "ci".to_owned())]);
    let failed = task("build-7", TaskState::Failed);
    let written = entry("hooks", "edits/a.rs", EntryChange::Written);
    for (watch, happened, expected) in [
        ("task", &failed, true),
        ("task failed,expired", &failed, true),
        ("task succeeded", &failed, false),
        ("task failed name=build-*", &failed, true),
        ("task failed name=test-*", &failed, false),
        ("task label=kind=ci", &failed, true),
        ("task label=kind=cd", &failed, false),
        ("run failed", &failed, false),
        ("memory written namespace=hooks", &written, true),
        ("memory namespace=* key=edits/*.rs", &written, true),
        ("memory deleted namespace=hooks", &written, false),
        ("memory namespace=hook", &written, false),
    ] {
        let parsed: Watch = watch.parse().unwrap();
        assert_eq!(parsed.admits(happened, &labels), expected, "{watch}");
    }
}

#[test]
fn a_watch_survives_its_text() {
    for text in [
        "task",
        "task failed,expired name=b* label=a=b label=c=d=e",
        "run succeeded,cancelled",
        "memory written,deleted namespace=run/* key=a?",
        "node lost,left name=gpu-*",
        "agent offline",
    ] {
        let watch: Watch = text.parse().unwrap();
        assert_eq!(watch.to_string(), text);
    }
}

#[test]
fn what_cannot_be_watched_is_refused_with_what_can() {
    let long = format!("task name={}", "a".repeat(600));
    for (text, said) in [
        ("", "`task`, `run`, `memory`, `node`, `agent`"),
        ("push", "`push` cannot be watched"),
        ("task running", "`succeeded`, `failed`"),
        ("run lost", "a run is never `lost`"),
        ("node gone", "`joining`, `ready`, `draining`"),
        ("task key=a", "has no `key`"),
        ("task name=a name=b", "`name=` once"),
        ("memory written", "needs `namespace=`"),
        ("agent removed name=", "1 to 512"),
        (&long, "TRIGGER_PATTERN_BYTES_MAX"),
    ] {
        let error = text.parse::<Watch>().unwrap_err().to_string();
        assert!(error.contains(said), "`{text}`: {error}");
    }
    let unfinished = Watch::Task(TaskWatch {
        states: [TaskState::Running].into(),
        ..TaskWatch::default()
    });
    assert!(unfinished.check().is_err());
}

#[test]
fn what_others_chose_reaches_the_work_as_variables_without_control_characters() {
    let occurrence = |happened| Occurrence {
        cause: EventCursor {
            index: LogIndex(4),
            ordinal: 2,
        },
        at: UnixMillis(1),
        happened,
        depth: 1,
    };
    let key = "a'; rm -rf $HOME `x`";
    let of_entry = occurrence(entry("swarm", key, EntryChange::Written));
    let variables = of_entry.variables("t");
    assert_eq!(variables["SKEP_TRIGGER_KEY"], key);
    assert_eq!(variables["SKEP_TRIGGER_EVENT"], "4.2");
    assert_eq!(variables["SKEP_TRIGGER_CHANGE"], "written");
    assert!(!variables.contains_key("SKEP_TRIGGER_NAME"));
    assert!(of_entry.labels().values().all(|value| value != key));
    let of_task = occurrence(task("a\0b\nc", TaskState::Failed)).variables("t");
    assert_eq!(of_task["SKEP_TRIGGER_NAME"], "abc");
    let names = variables.keys().chain(of_task.keys());
    for name in names {
        assert!(TRIGGER_VARIABLES.contains(&name.as_str()), "{name}");
    }
    let mut labels = of_entry.labels();
    labels.extend(occurrence(task("a", TaskState::Failed)).labels());
    assert!(labels.keys().eq(sorted(TRIGGER_LABELS).iter()));
}

fn sorted<const N: usize>(mut names: [&'static str; N]) -> [&'static str; N] {
    names.sort_unstable();
    names
}
