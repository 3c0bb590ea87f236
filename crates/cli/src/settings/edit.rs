//! Changes the user's configuration file: only the lines of what is changed, so that comments and
//! everything else stay.

use super::peers::MEMORY;
use super::{FILE_NAME, Key, Problem, Settings, read_small};
use crate::places::{Places, write_private};
use parking_lot::Mutex;
use serde_json::Value;
use skep_operations::{
    Changes, Configuration, ConfigurationError, SettingProblem, SettingView, SettingsView,
};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use toml::de::DeTable;

/// The user's file, as the coordinator's operations see it.
#[derive(Debug)]
pub(crate) struct ConfigurationFile {
    path: PathBuf,
    /// Two changes must not lose each other.
    changing: Mutex<()>,
}

impl ConfigurationFile {
    pub(crate) fn of(places: &Places) -> Self {
        Self {
            path: places.config.join(FILE_NAME),
            changing: Mutex::new(()),
        }
    }

    /// What the file holds; nothing where there is none.
    fn text(&self) -> Result<String, ConfigurationError> {
        match read_small(&self.path) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(source) => Err(self.failed("read", source)),
        }
    }

    fn failed(&self, step: &'static str, source: io::Error) -> ConfigurationError {
        ConfigurationError::File {
            step,
            path: self.path.clone(),
            source,
        }
    }

    fn read(&self, text: &str) -> Settings {
        let mut settings = Settings::default();
        settings.take_text(&self.path, text, false);
        settings
    }

    /// The file with these changes.
    fn changed(&self, changes: &Changes) -> Result<String, ConfigurationError> {
        let text = self.text()?;
        let before = problems(&self.read(&text));
        if !before.is_empty() {
            return Err(ConfigurationError::Wrong(before));
        }
        let (text, mut wrong) = edited(&text, changes);
        wrong.extend(problems(&self.read(&text)));
        if wrong.is_empty() {
            Ok(text)
        } else {
            Err(ConfigurationError::Wrong(wrong))
        }
    }
}

impl Configuration for ConfigurationFile {
    fn settings(&self) -> Result<SettingsView, ConfigurationError> {
        let settings = self.read(&self.text()?);
        let wrong = problems(&settings);
        if !wrong.is_empty() {
            return Err(ConfigurationError::Wrong(wrong));
        }
        let view = |key: Key| SettingView {
            key: key.as_str().to_owned(),
            value: settings.setting(key).value,
            is_default: settings.given(key).is_none(),
            takes_effect: key.takes_effect(),
        };
        Ok(SettingsView {
            file: self.path.clone(),
            settings: Key::ALL.into_iter().map(view).collect(),
        })
    }

    fn check(&self, changes: &Changes) -> Vec<SettingProblem> {
        match self.changed(changes) {
            Ok(_) => Vec::new(),
            Err(ConfigurationError::Wrong(problems)) => problems,
            Err(error) => vec![SettingProblem {
                message: crate::exit::chain(&error),
                fix: "make it a readable file, or remove it".to_owned(),
            }],
        }
    }

    fn change(&self, changes: &Changes) -> Result<(), ConfigurationError> {
        let _one_at_a_time = self.changing.lock();
        let text = self.changed(changes)?;
        write_private(&self.path, text.as_bytes())
            .and_then(|()| {
                let directory = self.path.parent().map(File::open);
                directory.map_or(Ok(()), |directory| directory?.sync_all())
            })
            .map_err(|source| self.failed("write", source))
    }
}

fn problems(settings: &Settings) -> Vec<SettingProblem> {
    let shown = |problem: &Problem| SettingProblem {
        message: problem.message.clone(),
        fix: problem.fix.clone(),
    };
    settings.problems.iter().map(shown).collect()
}

/// The text with these changes, and what cannot be written at all. Whether the result is a good
/// configuration, its reader says.
fn edited(text: &str, changes: &Changes) -> (String, Vec<SettingProblem>) {
    let places = places(text);
    let mut wrong = Vec::new();
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    let mut added = String::new();
    for (key, value) in changes {
        if key == MEMORY {
            wrong.push(SettingProblem {
                message: format!("`{MEMORY}` is a table, which a call does not change"),
                fix: "change it in the file itself".to_owned(),
            });
            continue;
        }
        let place = places.get(key.as_str());
        let Some(value) = value else {
            edits.extend(place.map(|place| (whole_lines(text, place), String::new())));
            continue;
        };
        match (literal(value), place) {
            (None, _) => wrong.push(SettingProblem {
                message: format!("`{key}` cannot be `{value}`"),
                fix: "give a text, a whole number, true or false, or a list of texts".to_owned(),
            }),
            (Some(literal), Some(place)) => {
                edits.push((place.clone(), format!("{} = {literal}", bare(key))));
            }
            (Some(literal), None) => {
                added.extend([bare(key).as_str(), " = ", &literal, "\n"]);
            }
        }
    }
    let mut text = text.to_owned();
    edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    for (range, new) in edits {
        text.replace_range(range, &new);
    }
    if added.is_empty() {
        return (text, wrong);
    }
    // Behind the head of a table they would be keys of that table.
    let place = first_table(&text).unwrap_or(text.len());
    if !text[..place].is_empty() && !text[..place].ends_with('\n') {
        added.insert(0, '\n');
    }
    text.insert_str(place, &added);
    (text, wrong)
}

/// Where the head of the first table stands.
fn first_table(text: &str) -> Option<usize> {
    let table = DeTable::parse(text).ok()?.into_inner();
    let heads = table.into_iter().filter_map(|(name, _)| {
        let start = name.span().start;
        let line = text[..start].rfind('\n').map_or(0, |at| at + 1);
        text[line..].trim_start().starts_with('[').then_some(line)
    });
    heads.min()
}

/// Where each key and its value stand.
fn places(text: &str) -> BTreeMap<String, Range<usize>> {
    let Ok(table) = DeTable::parse(text) else {
        return BTreeMap::new();
    };
    let table = table.into_inner().into_iter();
    table
        .map(|(name, value)| {
            let range = name.span().start..value.span().end;
            (name.into_inner().into_owned(), range)
        })
        .collect()
}

fn whole_lines(text: &str, place: &Range<usize>) -> Range<usize> {
    let start = text[..place.start].rfind('\n').map_or(0, |at| at + 1);
    let end = text[place.end..]
        .find('\n')
        .map_or(text.len(), |at| place.end + at + 1);
    start..end
}

/// A key as it can stand in the file. One that needs quotes is no key of ours, and its reader says
/// so.
fn bare(key: &str) -> String {
    let is_bare = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    if !key.is_empty() && key.chars().all(is_bare) {
        return key.to_owned();
    }
    Value::from(key).to_string()
}

/// A value as the file has it. Texts are written alike in JSON and TOML.
fn literal(value: &Value) -> Option<String> {
    let is_text = |item: &Value| {
        item.as_str()
            .is_some_and(|text| !text.chars().any(char::is_control))
    };
    let fits = match value {
        Value::String(_) => is_text(value),
        Value::Bool(_) => true,
        Value::Number(number) => number.is_i64() || number.is_u64(),
        Value::Array(items) => items.iter().all(is_text),
        Value::Null | Value::Object(_) => false,
    };
    fits.then(|| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn file(directory: &std::path::Path) -> ConfigurationFile {
        ConfigurationFile {
            path: directory.join("config").join(FILE_NAME),
            changing: Mutex::new(()),
        }
    }

    fn changes(of: Value) -> Changes {
        let Value::Object(of) = of else {
            panic!("{of}");
        };
        let change =
            |(key, value): (String, Value)| (key, Some(value).filter(|one| !one.is_null()));
        of.into_iter().map(change).collect()
    }

    #[test]
    fn only_the_lines_of_what_is_changed_change() {
        let text = "# ours\nstrategy = \"round-robin\" # for now\n\nevents_days=3\nlisten = \"127.0.0.1:1\"\n";
        let wanted = changes(json!({
            "strategy": "optimal", "events_days": null, "interfaces": ["eth0", "10.0.0.0/8"],
        }));
        let (text, wrong) = edited(text, &wanted);
        assert_eq!(wrong, []);
        assert_eq!(
            text,
            "# ours\nstrategy = \"optimal\" # for now\n\nlisten = \"127.0.0.1:1\"\n\
             interfaces = [\"eth0\",\"10.0.0.0/8\"]\n"
        );
    }

    #[test]
    fn what_is_added_does_not_become_part_of_a_table() {
        let peer = "[memory.peers.lab]\nurl = \"http://127.0.0.1:9\"\ntoken_file = \"t\"\n";
        let wanted = changes(json!({ "events_days": 3 }));
        let (text, wrong) = edited(&format!("strategy = \"optimal\"\n\n{peer}"), &wanted);
        assert_eq!(wrong, []);
        assert_eq!(
            text,
            format!("strategy = \"optimal\"\n\nevents_days = 3\n{peer}")
        );
        assert_eq!(edited(peer, &wanted).0, format!("events_days = 3\n{peer}"));
        let table = changes(json!({ "memory": null }));
        let (text, wrong) = edited(peer, &table);
        assert_eq!((text.as_str(), wrong.len()), (peer, 1));
    }

    #[test]
    fn a_change_is_made_as_a_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let file = file(directory.path());
        let value = |key: &str| {
            let settings = file.settings().unwrap().settings;
            let found = settings.into_iter().find(|one| one.key == key).unwrap();
            (found.value, found.is_default)
        };
        assert_eq!(value("events_days"), ("7".to_owned(), true));
        let good = changes(json!({ "events_days": 9, "strategy": "round-robin" }));
        file.change(&good).unwrap();
        assert_eq!(value("events_days"), ("9".to_owned(), false));
        for wrong in [
            json!({ "events_days": 0 }),
            json!({ "events_days": 4, "colour": "red" }),
            json!({ "events_days": 4, "a b": 1 }),
            json!({ "strategy": { "x": 1 } }),
            json!({ "strategy": 7 }),
            json!({ "strategy": "line\nbreak" }),
        ] {
            let wrong = changes(wrong);
            assert!(!file.check(&wrong).is_empty(), "{wrong:?}");
            let refused = file.change(&wrong).unwrap_err();
            assert!(matches!(refused, ConfigurationError::Wrong(_)), "{refused}");
            assert_eq!(value("events_days").0, "9", "{wrong:?}");
        }
        file.change(&changes(json!({ "events_days": null, "url": null })))
            .unwrap();
        assert_eq!(value("events_days"), ("7".to_owned(), true));
        assert_eq!(value("strategy").0, "round-robin");
        std::fs::write(&file.path, "strategy = ").unwrap();
        assert!(file.settings().is_err());
        assert!(
            file.change(&good).is_err(),
            "what is wrong is not written over"
        );
    }
}
