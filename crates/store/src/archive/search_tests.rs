//! The full text search, on real files.

use super::tests::{failed, with_history};
use crate::SearchHit;
use crate::fixtures::{finished, run, run_id};
use skep_coordinator::ports::Journal;
use skep_model::run::RunState;
use std::sync::Arc;

#[test]
fn search_finds_names_labels_errors_and_runs_once_they_are_indexed() {
    let mut labelled = finished(1, Some(run_id(1)), "compile-frontend");
    Arc::make_mut(&mut labelled.record.spec)
        .labels
        .insert("team".to_owned(), "bees".to_owned());
    let tasks = vec![labelled, failed(2, "deploy"), finished(3, None, "other")];
    let mut fixture = with_history(tasks, vec![run(1, "Grand Release", RunState::Succeeded)]);
    assert_eq!(
        fixture.archive.search("compile", None, 10).unwrap().behind,
        4
    );
    assert!(
        fixture
            .archive
            .search("compile", None, 10)
            .unwrap()
            .hits
            .is_empty()
    );
    assert!(
        fixture.journal.index_search(2).unwrap() == 3,
        "two tasks and a run"
    );
    assert!(!fixture.journal.idle().unwrap());
    for (text, expected) in [
        ("compile", vec!["compile-frontend"]),
        ("COMPILE-front", vec!["compile-frontend"]),
        ("team=bees", vec!["compile-frontend"]),
        ("fire disk", vec!["deploy"]),
        ("workspace_failed", vec!["deploy"]),
        ("succeeded", vec!["other", "compile-frontend"]),
        ("grand rel", vec!["run Grand Release", "compile-frontend"]),
        ("grand other", vec![]),
        ("\" OR * NEAR( name: -", vec![]),
        ("deploy\" OR \"other", vec![]),
        ("", vec![]),
    ] {
        let page = fixture.archive.search(text, None, 10).unwrap();
        let names: Vec<_> = page
            .hits
            .iter()
            .map(|hit| match hit {
                SearchHit::Run(run) => format!("run {}", run.spec.name),
                SearchHit::Task(task) => task.record.spec.name.clone(),
            })
            .collect();
        assert_eq!(names, expected, "{text:?}");
        assert_eq!((page.behind, page.next), (0, None));
    }
}

#[test]
fn search_goes_on_at_its_cursor() {
    let tasks = (0..5)
        .map(|number| finished(number, None, &format!("same {number}")))
        .collect();
    let mut fixture = with_history(tasks, vec![]);
    fixture.journal.index_search(100).unwrap();
    let (mut cursor, mut total) = (None, 0);
    loop {
        let page = fixture.archive.search("same", cursor, 2).unwrap();
        total += page.hits.len();
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(total, 5);
}

#[test]
fn a_damaged_row_is_left_out_of_the_search_and_stops_nothing() {
    let tasks = (1..=3)
        .map(|number| finished(number, None, &format!("same {number}")))
        .collect();
    let mut fixture = with_history(tasks, vec![]);
    let connection = rusqlite::Connection::open(fixture.archive.path()).unwrap();
    let damage = "UPDATE tasks SET body = zeroblob(20) WHERE seq = 2";
    assert_eq!(connection.execute(damage, []).unwrap(), 1);
    assert_eq!(fixture.journal.index_search(10).unwrap(), 3);
    let page = fixture.archive.search("same", None, 10).unwrap();
    assert_eq!((page.hits.len(), page.behind), (2, 0));
}
