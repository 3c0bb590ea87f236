//! A client that submits what is planned and repeats a request, key and all, until it is answered.

use crate::history::{Answer, Submission};
use crate::http::Server;
use crate::random::Random;
use crate::signals::Signals;
use crate::workload::Planned;
use serde_json::Value;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Longest time in which a request is repeated. Every outage of the play is far shorter.
const GIVE_UP_AFTER: Duration = Duration::from_mins(1);
const REPEAT_AFTER: Duration = Duration::from_millis(40);
/// Requests in a hundred that are sent once more although they were answered.
const SENT_AGAIN_PERCENT: u64 = 15;

/// Why a request has no answer.
enum NoAnswer {
    /// It may have one next time.
    Broken(String),
    /// It never will.
    Refused(String),
}

impl From<anyhow::Error> for NoAnswer {
    fn from(error: anyhow::Error) -> Self {
        Self::Broken(format!("{error:#}"))
    }
}

/// What all clients work on.
#[derive(Debug)]
pub(crate) struct Work {
    planned: Vec<Planned>,
    next: AtomicUsize,
    done: Mutex<Vec<Submission>>,
    /// Requests that had to be repeated because they were not answered.
    repeated: AtomicUsize,
}

impl Work {
    pub(crate) fn new(planned: Vec<Planned>) -> Self {
        Self {
            planned,
            next: AtomicUsize::new(0),
            done: Mutex::default(),
            repeated: AtomicUsize::new(0),
        }
    }

    /// Submits, as fast as the pace allows, until nothing is left.
    pub(crate) fn submit_all(&self, server: &Server, signals: &Signals, mut random: Random) {
        loop {
            let place = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(planned) = self.planned.get(place) else {
                return;
            };
            if !signals.wait_for_pace(planned.tasks_before) {
                return;
            }
            let answers_wanted = 1 + usize::from(random.chance(SENT_AGAIN_PERCENT));
            let submission = self.submit(planned, answers_wanted, server, signals);
            if let Ok(mut done) = self.done.lock() {
                done.push(submission);
            }
        }
    }

    fn submit(
        &self,
        planned: &Planned,
        answers_wanted: usize,
        server: &Server,
        signals: &Signals,
    ) -> Submission {
        let mut submission = planned.submission.clone();
        let start = Instant::now();
        while submission.answers.len() < answers_wanted {
            match ask(planned, server) {
                Ok(answer) => submission.answers.push(answer),
                Err(NoAnswer::Refused(why)) => {
                    submission.given_up = Some(why);
                    break;
                }
                Err(NoAnswer::Broken(why)) => {
                    self.repeated.fetch_add(1, Ordering::Relaxed);
                    if start.elapsed() > GIVE_UP_AFTER || signals.is_stopped() {
                        submission.given_up = Some(why);
                        break;
                    }
                    thread::sleep(REPEAT_AFTER);
                }
            }
        }
        submission
    }

    /// What was submitted, and how many requests were repeated.
    pub(crate) fn into_done(self) -> (Vec<Submission>, usize) {
        let done = self
            .done
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        (done, self.repeated.into_inner())
    }
}

/// Submits a request that has to be accepted as it is.
pub(crate) fn submit_once(planned: &Planned, server: &Server) -> anyhow::Result<Submission> {
    let mut submission = planned.submission.clone();
    match ask(planned, server) {
        Ok(answer) => submission.answers.push(answer),
        Err(NoAnswer::Broken(why) | NoAnswer::Refused(why)) => {
            anyhow::bail!("submit `{}`: {why}", submission.key)
        }
    }
    Ok(submission)
}

fn ask(planned: &Planned, server: &Server) -> Result<Answer, NoAnswer> {
    let submission = &planned.submission;
    let answer = server.post(planned.route, &submission.key, &planned.body)?;
    if (400..500).contains(&answer.status) && answer.status != 429 {
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        return Err(NoAnswer::Refused(format!(
            "the answer is {}: {body}",
            answer.status
        )));
    }
    let body = answer.json()?;
    if !planned.is_run() {
        let tasks = body["tasks"].as_array().into_iter().flatten();
        let tasks = tasks.filter_map(Value::as_str).map(str::to_owned).collect();
        return Ok(Answer { run: None, tasks });
    }
    let run = body["run"]["id"].as_str();
    let run = run.ok_or_else(|| NoAnswer::Refused(format!("the answer names no run: {body}")))?;
    // A repeated answer does not name the tasks: ask for them in both cases.
    let shown = server.get(&format!("/api/v2/runs/{run}"))?;
    let id_of = |name: &String| {
        let tasks = shown["tasks"].as_array().into_iter().flatten();
        let mut found = tasks.filter(|task| task["name"] == **name);
        found
            .next()
            .and_then(|task| task["id"].as_str())
            .map(str::to_owned)
    };
    let tasks: Option<Vec<_>> = submission
        .asked
        .iter()
        .map(|asked| id_of(&asked.name))
        .collect();
    let tasks = tasks.ok_or_else(|| NoAnswer::Refused(format!("`{run}` lacks tasks: {shown}")))?;
    Ok(Answer {
        run: Some(run.to_owned()),
        tasks,
    })
}
