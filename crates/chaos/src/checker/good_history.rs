//! A history in which every promise is kept, and the pieces it is made of.

use crate::history::{
    Answer, Asked, Event, Execution, History, ListedTask, Recovery, Stream, Submission,
};
use serde_json::{Value, json};

fn asked(name: &str) -> Asked {
    Asked {
        name: name.to_owned(),
        is_counted: false,
        at_most_once: false,
        attempts_max: 3,
        needs: Vec::new(),
    }
}

pub(super) fn event(cursor: &str, kind: &str, task: &str, data: &Value) -> Event {
    let body = json!({"cursor": cursor, "event": kind, "task": task, "data": data});
    Event::read(body).unwrap()
}

pub(super) fn submitted(cursor: &str, task: &str) -> Event {
    event(cursor, "task_submitted", task, &json!({"state": "ready"}))
}

pub(super) fn leased(cursor: &str, task: &str, attempt: u64, index: u64) -> Event {
    let data = json!({"attempt": attempt, "fence": {"epoch": 1, "index": index}});
    event(cursor, "task_leased", task, &data)
}

pub(super) fn ended(cursor: &str, task: &str, attempt: u64) -> Event {
    event(
        cursor,
        "attempt_ended",
        task,
        &json!({"attempt": attempt, "ended": "lost"}),
    )
}

pub(super) fn finished(cursor: &str, task: &str, state: &str, attempts: u64) -> Event {
    event(
        cursor,
        "task_finished",
        task,
        &json!({"state": state, "attempts": attempts}),
    )
}

pub(super) fn listed(id: &str, state: &str, attempts: u64) -> ListedTask {
    ListedTask {
        id: id.to_owned(),
        state: state.to_owned(),
        attempts,
    }
}

pub(super) fn execution(task: &str, attempt: u64, fence: &str) -> Execution {
    Execution {
        task: task.to_owned(),
        attempt,
        fence: fence.to_owned(),
    }
}

pub(super) fn recovery(took_ms: Option<u64>) -> Recovery {
    Recovery {
        node: "n1".to_owned(),
        took_ms,
        bound_ms: 40_000,
    }
}

/// `a` needs two attempts; `b` needs `a`; `once` is an at-most-once task.
pub(super) fn good() -> History {
    let answer = Answer {
        run: None,
        tasks: ["a", "b", "once"].map(str::to_owned).to_vec(),
    };
    let once = Asked {
        is_counted: true,
        at_most_once: true,
        attempts_max: 1,
        ..asked("once")
    };
    let submission = Submission {
        key: "key-1".to_owned(),
        asked: vec![
            Asked {
                is_counted: true,
                ..asked("a")
            },
            Asked {
                needs: vec![0],
                ..asked("b")
            },
            once,
        ],
        answers: vec![answer.clone(), answer],
        given_up: None,
    };
    let events = vec![
        submitted("1.0", "a"),
        submitted("1.1", "b"),
        submitted("1.2", "once"),
        leased("2.0", "a", 1, 2),
        leased("2.1", "once", 1, 2),
        ended("3.0", "a", 1),
        finished("3.1", "once", "succeeded", 1),
        leased("5.0", "a", 2, 5),
        finished("6.0", "a", "succeeded", 2),
        leased("7.0", "b", 1, 7),
        finished("8.0", "b", "succeeded", 1),
    ];
    let stream = Stream {
        name: "stream".to_owned(),
        connections: 2,
        events: events[..10].to_vec(),
        problems: Vec::new(),
    };
    History {
        submissions: vec![submission],
        listed: vec![
            listed("a", "succeeded", 2),
            listed("b", "succeeded", 1),
            listed("once", "succeeded", 1),
        ],
        streams: vec![stream],
        all_events: events,
        executions: vec![
            execution("a", 1, "1.2"),
            execution("a", 2, "1.5"),
            execution("once", 1, "1.2"),
        ],
        recoveries: vec![recovery(Some(40_000))],
        node_stops: 0,
        orphans: Vec::new(),
        breakdowns: Vec::new(),
    }
}
