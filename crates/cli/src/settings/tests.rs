//! Tests of the configuration's layers.

use super::*;

struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn new(user: Option<&str>, project: Option<&str>) -> Self {
        let files = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        for (place, text) in [("home/config", user), ("work/.skep", project)] {
            let place = files.directory.path().join(place);
            std::fs::create_dir_all(&place).unwrap();
            if let Some(text) = text {
                std::fs::write(place.join(FILE_NAME), text).unwrap();
            }
        }
        files
    }

    fn load(&self, below: &str) -> Settings {
        let places = Places::resolve(Some(&self.directory.path().join("home"))).unwrap();
        let here = self.directory.path().join("work").join(below);
        std::fs::create_dir_all(&here).unwrap();
        Settings::load(&places, &here)
    }
}

#[test]
fn the_project_counts_more_than_the_user_and_both_more_than_the_default() {
    let user = "progress = \"none\"\nlisten = \"127.0.0.1:9000\"\n";
    let project = "# ours\nprogress = \"plain\"\n";
    let settings = Files::new(Some(user), Some(project)).load("");
    assert_eq!(settings.problems, []);
    let progress = settings.setting(Key::Progress);
    assert_eq!(progress.value, "plain");
    assert!(
        progress.origin.ends_with("work/.skep/config.toml:2"),
        "{}",
        progress.origin
    );
    assert_eq!(settings.listen().port(), 9000);
    assert_eq!(settings.setting(Key::Strategy).origin, "default");
}

#[test]
fn a_project_is_searched_up_to_the_top_of_its_repository_only() {
    let files = Files::new(None, Some("progress = \"none\"\n"));
    assert_eq!(
        files.load("deep/er").files.len(),
        0,
        "no repository: only here"
    );
    std::fs::create_dir(files.directory.path().join("work/.git")).unwrap();
    assert_eq!(files.load("deep/er").progress(), Progress::None);
    std::fs::create_dir(files.directory.path().join("work/deep/.git")).unwrap();
    assert_eq!(
        files.load("deep/er").files.len(),
        0,
        "the file lies above the repository"
    );
}

#[test]
fn everything_that_is_wrong_is_said_with_its_line() {
    for (project, line, words) in [
        ("\ncolour = \"red\"\n", Some(2), "unknown key `colour`"),
        ("progress = 3\n", Some(1), "should be a text"),
        ("progress = \"fancy\"\n", Some(1), "use auto, plain or none"),
        ("\n\nlisten = \"here\"\n", Some(3), "not an address"),
        ("strategy = \"best\"\n", Some(1), "capability-weighted"),
        ("url = \"ftp://x\"\n", Some(1), "http"),
        (
            "url = \"http://example.org\"\n",
            Some(1),
            "may not send commands to `example.org`",
        ),
        ("a = \n", Some(1), "TOML"),
    ] {
        let settings = Files::new(None, Some(project)).load("");
        let [problem] = settings.problems.as_slice() else {
            panic!("{project}: {:?}", settings.problems);
        };
        assert_eq!(problem.line, line, "{project}");
        assert!(problem.to_string().contains(words), "{project}: {problem}");
        assert_eq!(settings.failure().unwrap().exit, Exit::Invalid);
    }
}

#[test]
fn a_user_may_name_a_coordinator_elsewhere() {
    let settings = Files::new(Some("url = \"http://example.org:1\"\n"), None).load("");
    assert_eq!(settings.problems, []);
    assert_eq!(
        settings.given(Key::Url).unwrap().value,
        "http://example.org:1"
    );
}

#[test]
fn what_is_kept_is_said_in_days_and_kept_for_the_named_defaults_without() {
    let settings = Files::new(None, None).load("");
    assert_eq!(settings.retention(), RetentionPolicy::default());
    assert_eq!(settings.retention().check(), Ok(()));
    assert!(!settings.announces());
    let user = "history_days = 1\nevents_days = 2\nannounce = true\n";
    let settings = Files::new(Some(user), None).load("");
    assert_eq!(settings.problems, []);
    let retention = settings.retention();
    assert_eq!(
        (retention.history_kept_ms, retention.events_kept_ms),
        (DAY_MS, 2 * DAY_MS)
    );
    assert_eq!(retention.check(), Ok(()));
    assert!(settings.announces());
}

#[test]
fn only_the_user_says_what_is_removed_and_announced() {
    for (user, project, words) in [
        ("history_days = 0\n", "", "use 1 to 36500"),
        ("events_days = 36501\n", "", "use 1 to 36500"),
        ("events_days = -1\n", "", "use 1 to 36500"),
        ("events_days = \"7\"\n", "", "a whole number"),
        ("announce = \"yes\"\n", "", "true or false"),
        ("authority = \"ab12\"\n", "", "64 hexadecimal digits"),
        ("authority = \"\"\n", "", "64 hexadecimal digits"),
        (
            "",
            "history_days = 1\n",
            "a project may not set `history_days`",
        ),
        (
            "",
            "events_days = 1\n",
            "a project may not set `events_days`",
        ),
        ("", "announce = true\n", "a project may not set `announce`"),
        (
            "",
            "authority = \"ab12\"\n",
            "a project may not set `authority`",
        ),
    ] {
        let settings = Files::new(Some(user), Some(project)).load("");
        let [problem] = settings.problems.as_slice() else {
            panic!("{user}{project}: {:?}", settings.problems);
        };
        assert!(problem.to_string().contains(words), "{problem}");
    }
}

#[test]
fn interfaces_are_a_list_of_names_and_networks_in_the_users_file() {
    let load = |user: &str| Files::new(Some(user), None).load("");
    let named = load("interfaces = [\"eth0\", \"192.168.1.0/24\"]\n");
    assert_eq!(named.problems, []);
    assert_eq!(named.interfaces().to_string(), "eth0,192.168.1.0/24");
    assert_eq!(load("").interfaces(), InterfaceFilter::default());
    for (wrong, words) in [
        ("interfaces = \"eth0\"\n", "should be a list of texts"),
        ("interfaces = [1]\n", "should be a list of texts"),
        ("interfaces = [\"10.0.0.0/99\"]\n", "no interface rule"),
    ] {
        let said = load(wrong).problems[0].to_string();
        assert!(said.contains(words), "{said}");
    }
    let of_a_project = Files::new(None, Some("interfaces = [\"eth0\"]\n")).load("");
    let said = of_a_project.problems[0].to_string();
    assert!(
        said.contains("a project may not set `interfaces`"),
        "{said}"
    );
}
