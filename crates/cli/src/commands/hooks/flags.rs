//! Flags of hooks as Claude-Flow's settings write them: `--task-id x`, `--taskId x` and
//! `--task-id=x` are the same, and a flag that is on or off may say `true` or `false`.

use std::collections::BTreeMap;

/// The flags of one hook.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Flags {
    values: BTreeMap<String, String>,
    /// Flags that the hook does not know, and words without a flag.
    pub(super) unknown: Vec<String>,
}

impl Flags {
    /// Reads the arguments behind the name of a hook. `switches` are on or off, all other `known`
    /// ones take the argument that follows.
    pub(super) fn read(arguments: &[String], known: &[&str], switches: &[&str]) -> Self {
        let mut flags = Self::default();
        let mut rest = arguments.iter().peekable();
        while let Some(argument) = rest.next() {
            let Some(flag) = argument.strip_prefix("--") else {
                flags.unknown.push(argument.clone());
                continue;
            };
            let (name, given) = match flag.split_once('=') {
                Some((name, value)) => (dashed(name), Some(value.to_owned())),
                None => (dashed(flag), None),
            };
            let is_switch = switches.contains(&name.as_str());
            if !is_switch && !known.contains(&name.as_str()) {
                flags.unknown.push(argument.clone());
                // Its value goes with it.
                rest.next_if(|next| !next.starts_with("--"));
                continue;
            }
            let value = given.or_else(|| {
                let is_value = |next: &&String| !is_switch || is_truth(next);
                rest.next_if(is_value).cloned()
            });
            let value = value.unwrap_or_else(|| "true".to_owned());
            flags.values.insert(name, value);
        }
        flags
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Whether a switch is on.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    /// The flags as they may leave this process: `redact` takes secrets out of each value.
    pub(super) fn redacted(self, redact: impl Fn(&str) -> String) -> Redacted {
        let values = self.values.into_iter();
        let values = values.map(|(name, text)| (name, redact(&text)));
        Redacted(Self {
            values: values.collect(),
            unknown: self.unknown,
        })
    }
}

/// Flags without secrets. What is stored, and what is looked up, comes out of them.
#[derive(Debug)]
pub(super) struct Redacted(Flags);

impl Redacted {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.text(name)
    }

    /// Whether a switch is on.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.0.is_on(name)
    }
}

fn is_truth(text: &str) -> bool {
    matches!(text, "true" | "false")
}

/// `taskId` as `task-id`.
fn dashed(name: &str) -> String {
    let mut dashed = String::with_capacity(name.len());
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            dashed.push('-');
        }
        dashed.push(letter.to_ascii_lowercase());
    }
    dashed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Flags {
        let arguments: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
        Flags::read(
            &arguments,
            &["task-id", "command"],
            &["load-context", "format"],
        )
    }

    #[test]
    fn dashes_capitals_and_equals_signs_are_the_same() {
        for text in ["--task-id t1", "--taskId t1", "--task-id=t1", "--taskId=t1"] {
            assert_eq!(read(text).text("task-id"), Some("t1"), "{text}");
        }
        assert_eq!(
            read("--command --version").text("command"),
            Some("--version")
        );
    }

    #[test]
    fn switches_are_on_alone_or_say_so() {
        for (text, on) in [
            ("--load-context", true),
            ("--loadContext true", true),
            ("--load-context false", false),
            ("--load-context=false", false),
            ("--load-context --format true", true),
            ("", false),
        ] {
            assert_eq!(read(text).is_on("load-context"), on, "{text}");
        }
    }

    #[test]
    fn what_a_hook_does_not_know_is_kept_apart_with_its_value() {
        let flags = read("stray --colour red --task-id t1 --quick");
        assert_eq!(flags.unknown, ["stray", "--colour", "--quick"]);
        assert_eq!(flags.text("task-id"), Some("t1"));
    }
}
