//! `skep config`: the values that commands use, and where each comes from.

use super::Session;
use crate::args::ConfigCommand;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{table, text};
use crate::settings::{Key, Setting};
use serde_json::{Value, json};
use std::path::Path;

pub(crate) fn run(session: &Session, command: &ConfigCommand) -> Outcome {
    if let Some(failure) = session.settings.failure() {
        return Err(failure);
    }
    match command {
        ConfigCommand::Show => {
            session.output.document(&shown_values(session)?, shown)?;
        }
        ConfigCommand::Explain { key } => {
            let entries = entries(session)?;
            let entry = entries.iter().find(|(name, _)| name == key);
            let entry = entry.ok_or_else(|| unknown(key, &entries))?;
            session.output.document(&document(entry), |entry| {
                format!("{}\nfrom {}", text(entry, "/value"), text(entry, "/origin"))
            })?;
        }
        ConfigCommand::Validate => {
            let files = &session.settings.files;
            let valid = json!({ "valid": true, "files": files });
            session.output.document(&valid, |_| match files.len() {
                0 => "there is no configuration file: all values are defaults".to_owned(),
                count => format!("{count} configuration files are valid"),
            })?;
        }
    }
    Ok(Exit::Ok)
}

/// All values, as a document; why there are none when a file is wrong.
pub(crate) fn shown_values(session: &Session) -> Result<Value, Failure> {
    if let Some(failure) = session.settings.failure() {
        return Err(failure);
    }
    let entries: Vec<_> = entries(session)?.iter().map(document).collect();
    Ok(json!({ "items": entries }))
}

type Entry = (String, Setting);

/// All values, in the order in which they matter to a reader.
fn entries(session: &Session) -> Result<Vec<Entry>, Failure> {
    let target = crate::connection::target(&session.global, &session.places)?;
    let settings = &session.settings;
    let mut entries = vec![
        entry("url", &target.url, &target.url_origin),
        // The secret itself is nobody's business here.
        entry(
            "token",
            if target.token.is_some() {
                "set"
            } else {
                "none"
            },
            &target.token_origin,
        ),
    ];
    for key in Key::ALL.into_iter().filter(|key| *key != Key::Url) {
        entries.push((key.as_str().to_owned(), settings.setting(key)));
    }
    let home = match &session.global.home {
        Some(home) => format!("{} (flag --home or SKEP_HOME)", home.display()),
        None => "XDG directories".to_owned(),
    };
    let place = |name: &str, path: &Path| entry(name, &path.display().to_string(), &home);
    entries.push(place("state_dir", &session.places.state));
    entries.push(place("config_dir", &session.places.config));
    entries.push(place("data_dir", &session.places.coordinator()));
    Ok(entries)
}

fn entry(name: &str, value: &str, origin: &str) -> Entry {
    (
        name.to_owned(),
        Setting {
            value: value.to_owned(),
            origin: origin.to_owned(),
        },
    )
}

fn document((name, setting): &Entry) -> Value {
    json!({ "key": name, "value": setting.value, "origin": setting.origin })
}

fn shown(document: &Value) -> String {
    let rows = crate::api::items(document).iter().map(|entry| {
        ["/key", "/value", "/origin"]
            .map(|field| text(entry, field))
            .to_vec()
    });
    table(&["key", "value", "origin"], rows)
}

fn unknown(key: &str, entries: &[Entry]) -> Failure {
    let known: Vec<_> = entries.iter().map(|(name, _)| name.as_str()).collect();
    Failure::new(
        Exit::NotFound,
        "key_unknown",
        format!("there is no value `{key}`"),
    )
    .hint(format!("the values are {}", known.join(", ")))
}
