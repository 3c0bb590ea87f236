//! `skep plan`: checks a plan and shows its graph; with a coordinator also where it would run.

use super::Session;
use super::explain::candidates;
use crate::args::PlanArgs;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::text;
use crate::plan_input::{PlanBody, read};
use crate::terminal_text::in_a_line;
use serde_json::{Value, json};
use skep_model::work::Work;
use skep_plan::Draft;
use std::fmt::Write as _;

pub(crate) async fn run(session: &Session, args: PlanArgs) -> Outcome {
    let body = read(&args.input)?;
    let examined = match examine(session, &body).await {
        Ok(examined) => Ok(examined),
        // The plan is good; only nobody is there, or lets us ask, to say where it would run.
        Err(failure) if is_about_the_coordinator(failure.exit) => Err(failure.message),
        Err(failure) => return Err(failure),
    };
    let document = document(&body.draft, &examined);
    session
        .output
        .document(&document, |_| shown(&body.draft, &examined))?;
    Ok(Exit::Ok)
}

async fn examine(session: &Session, body: &PlanBody) -> Result<Value, Failure> {
    session
        .api()?
        .post("/api/v2/plans/validate", &body.submission())
        .await
}

const fn is_about_the_coordinator(exit: Exit) -> bool {
    matches!(exit, Exit::Unreachable | Exit::Denied | Exit::Temporary)
}

fn names(draft: &Draft, positions: &[usize]) -> Vec<String> {
    positions
        .iter()
        .map(|position| draft.tasks[*position].name.clone())
        .collect()
}

fn document(draft: &Draft, examined: &Result<Value, String>) -> Value {
    let tasks = draft.tasks.iter().map(|task| {
        let kind = match task.spec.work {
            Work::Noop => "noop",
            Work::Command(_) => "command",
            Work::Described(_) => "described",
        };
        json!({ "name": task.name, "kind": kind, "needs": names(draft, &task.needs) })
    });
    let waves: Vec<_> = draft
        .waves()
        .iter()
        .map(|wave| names(draft, wave))
        .collect();
    json!({
        "name": draft.name,
        "valid": true,
        "tasks": tasks.collect::<Vec<_>>(),
        "waves": waves,
        "critical_path": names(draft, &draft.critical_path()),
        "placement": examined.as_ref().ok().map(|examined| json!({
            "tasks": examined.pointer("/tasks"),
            "placements": examined.pointer("/placements"),
        })),
        "placement_unknown": examined.as_ref().err(),
    })
}

fn shown(draft: &Draft, examined: &Result<Value, String>) -> String {
    let mut out = format!(
        "{}: the plan is valid\n\n{}",
        in_a_line(&draft.name),
        draft.render_graph_with(in_a_line)
    );
    match examined {
        Ok(examined) => out.push_str(&placements(examined)),
        Err(reason) => {
            let _ = write!(out, "\nwhere it would run is not known: {reason}\n");
        }
    }
    out
}

fn placements(examined: &Value) -> String {
    let list = |pointer| examined.pointer(pointer).and_then(Value::as_array);
    let mut out = String::new();
    for (position, placement) in list("/placements").into_iter().flatten().enumerate() {
        let placed_here = |task: &&Value| {
            task.pointer("/placement").and_then(Value::as_u64) == Some(position as u64)
        };
        let tasks: Vec<_> = list("/tasks")
            .into_iter()
            .flatten()
            .filter(placed_here)
            .map(|task| text(task, "/name"))
            .collect();
        let placement = placement.pointer("/placement").unwrap_or(&Value::Null);
        let _ = write!(
            out,
            "\n{}\n{}\n{}\n",
            tasks.join(", "),
            text(placement, "/summary"),
            candidates(placement)
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn draft() -> Draft {
        let text = "name: demo\ntasks:\n  a:\n    kind: noop\n  b:\n    kind: noop\n    needs: a\n";
        let plan = skep_plan::parse(text, "demo.yaml").unwrap();
        skep_plan::expand(&plan, &BTreeMap::new(), "/").unwrap()
    }

    #[test]
    fn without_a_coordinator_the_graph_is_shown_and_the_gap_is_named() {
        let unknown = Err("nobody answers".to_owned());
        let document = document(&draft(), &unknown);
        assert_eq!(document["waves"], json!([["a"], ["b"]]));
        assert_eq!(document["critical_path"], json!(["a", "b"]));
        assert_eq!(document["placement"], Value::Null);
        let shown = shown(&draft(), &unknown);
        assert!(
            shown.contains("b <- a") && shown.contains("not known: nobody answers"),
            "{shown}"
        );
    }

    #[test]
    fn a_name_with_ends_of_lines_stays_in_its_line() {
        let mut draft = draft();
        draft.name = "x\ny".to_owned();
        draft.tasks[0].name = "a[v=1\nstep 9: 9 tasks]".to_owned();
        let shown = shown(&draft, &Err(String::new()));
        assert!(shown.contains(r"x\ny: the plan is valid"), "{shown}");
        assert!(shown.contains(r"b <- a[v=1\nstep 9: 9 tasks]"), "{shown}");
        assert!(!shown.contains("\nstep 9"), "{shown}");
    }

    #[test]
    fn tasks_of_equal_needs_share_a_placement() {
        let examined = json!({
            "tasks": [{"name": "a", "placement": 0}, {"name": "b", "placement": 0}],
            "placements": [{"placement": {"summary": "1 of 1 agents fit", "agents": []}}],
        });
        let shown = placements(&examined);
        assert!(shown.contains("a, b\n1 of 1 agents fit"), "{shown}");
    }
}
