//! The configuration as commands see it.

use crate::hive::{TestHive, command, skep_in};
use std::path::Path;
use tempfile::TempDir;

fn with_files(user: &str, project: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (place, text) in [("home/config", user), (".skep", project)] {
        std::fs::create_dir_all(directory.path().join(place)).unwrap();
        std::fs::write(directory.path().join(place).join("config.toml"), text).unwrap();
    }
    directory
}

fn explained(directory: &Path, key: &str) -> (String, String) {
    let answer = skep_in(directory, &["--json", "config", "explain", key])
        .expect(0)
        .json();
    let text = |field: &str| answer[field].as_str().unwrap().to_owned();
    (text("value"), text("origin"))
}

#[test]
fn each_value_is_shown_with_where_it_comes_from() {
    let directory = with_files(
        "progress = \"none\"\nstrategy = \"round-robin\"\n",
        "progress = \"plain\"\n",
    );
    let (value, origin) = explained(directory.path(), "progress");
    assert_eq!(value, "plain");
    assert!(origin.ends_with(".skep/config.toml:1"), "{origin}");
    let (value, origin) = explained(directory.path(), "strategy");
    assert_eq!(value, "round-robin");
    assert!(origin.ends_with("home/config/config.toml:2"), "{origin}");
    assert_eq!(explained(directory.path(), "listen").1, "default");

    let arguments = [
        "--json",
        "config",
        "explain",
        "progress",
        "--progress",
        "none",
    ];
    let flagged = skep_in(directory.path(), &arguments).expect(0).json();
    assert_eq!(
        (&flagged["value"], &flagged["origin"]),
        (&"none".into(), &"flag --progress".into())
    );
    let mut asked = command(directory.path(), &["--json", "config", "explain", "url"]);
    let answer = asked
        .env("SKEP_URL", "http://localhost:5")
        .output()
        .unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(answer["value"], "http://localhost:5");
    assert_eq!(answer["origin"], "environment variable SKEP_URL");
}

#[test]
fn an_empty_variable_counts_as_one_that_is_not_set() {
    let directory = with_files("", "");
    let mut asked = command(directory.path(), &["--json", "config", "show"]);
    for variable in ["SKEP_HOME", "SKEP_URL", "SKEP_AUTHORITY", "SKEP_TOKEN"] {
        asked.env(variable, "");
    }
    for variable in ["XDG_STATE_HOME", "XDG_CONFIG_HOME"] {
        asked.env(variable, directory.path().join("xdg"));
    }
    let answer = asked.output().unwrap();
    assert!(answer.status.success(), "{answer:?}");
    let shown: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap();
    let origin = |key: &str| {
        let items = shown["items"].as_array().unwrap();
        let entry = items.iter().find(|entry| entry["key"] == key).unwrap();
        entry["origin"].as_str().unwrap().to_owned()
    };
    assert_eq!(origin("url"), "default");
    assert_eq!(origin("token"), "none");
    assert_eq!(origin("state_dir"), "XDG directories");

    // Whoever writes an empty flag meant something else.
    skep_in(directory.path(), &["--home", "", "config", "show"]).expect(64);
}

#[test]
fn a_wrong_file_stops_every_command_that_would_use_it() {
    let directory = with_files("", "\ncolour = \"red\"\nprogress = \"fancy\"\n");
    for arguments in [["run", "ls"], ["config", "validate"]] {
        let arguments = [&["--json"], arguments.as_slice()].concat();
        let error = skep_in(directory.path(), &arguments).expect(6).json_error();
        assert_eq!(error["code"], "config_invalid");
        let lines: Vec<_> = error["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| &error["line"])
            .collect();
        assert_eq!(lines, [2, 3], "{error}");
    }
    let report = skep_in(directory.path(), &["--json", "doctor"])
        .expect(1)
        .json();
    let failed: Vec<_> = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["status"] == "fail")
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    assert_eq!(failed, ["configuration"], "{report}");
}

#[test]
fn a_secret_is_never_shown() {
    let hive = TestHive::start(0);
    let secret = std::fs::read_to_string(hive.path().join("home/state/token")).unwrap();
    for arguments in [["config", "show"], ["token", "ls"]] {
        let arguments = [&["--json"], arguments.as_slice()].concat();
        let answer = hive.skep(&arguments).expect(0);
        assert!(!answer.text().contains(secret.trim()), "{arguments:?}");
    }
}
