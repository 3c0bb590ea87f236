//! Takes secrets out of text that is going to be shown to others.
//!
//! It knows the forms that secrets have here, and those that are given by their value. It cannot
//! know what a command of a task calls a secret: whoever sends the text has to look at it.

use regex::{Captures, Regex};
use serde_json::{Map, Value};

/// Stands where a secret was.
pub(crate) const REDACTED: &str = "[redacted]";
/// Shorter values are no secrets, and replacing them would make the text unreadable.
const KNOWN_BYTES_MIN: usize = 6;
/// What secrets look like; what the first group matches stays.
const FORMS: [&str; 6] = [
    // Before all others: it spans lines.
    r"(?s)(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)",
    // Tokens of Skep: of users, tasks, nodes, agents, and join tokens.
    r"(sw[a-z][0-9]_|skj[0-9]_)[A-Za-z0-9_.\-]+",
    r#"(?i)((?:proxy-)?authorization\\?["']?\s*[:=]\s*\\?["']?)[^"'\\\r\n,}]+"#,
    r"(?i)(\bbearer\s+)[A-Za-z0-9._~+/=\-]+",
    r#"(?i)(\b[a-z0-9_.\-]*(?:token|secret|passw(?:or)?d|api_?key|private_?key|credential)[a-z0-9_\-]*=)(?:\\?"[^"\\\r\n]*\\?"?|'[^'\r\n]*'?|[^\s"',;&}\\]+)"#,
    // The password of a URL, with its user.
    r"(://)[^/\s@:]*:[^/\s@]+@",
];
/// Members of JSON objects that hold a secret, by a part of their name.
const SECRET_NAMES: [&str; 8] = [
    "secret",
    "password",
    "passwd",
    "authorization",
    "cookie",
    "api_key",
    "private_key",
    "credential",
];
/// Members whose values are of the environment: names stay, values go.
const ENVIRONMENTS: [&str; 2] = ["env", "environment"];

/// The forms, and secrets that are known by their value.
#[derive(Debug)]
pub(crate) struct Redaction {
    forms: Vec<Regex>,
    /// The longest first: one may be a part of another.
    known: Vec<String>,
}

impl Redaction {
    pub(crate) fn new(known: impl IntoIterator<Item = String>) -> Self {
        let compile = |form: &&str| Regex::new(form).expect("the forms are tested");
        let mut known: Vec<String> = known
            .into_iter()
            .map(|value| value.trim().to_owned())
            .filter(|value| value.len() >= KNOWN_BYTES_MIN)
            .collect();
        known.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self {
            forms: FORMS.iter().map(compile).collect(),
            known,
        }
    }

    /// The values of variables of this process whose names say that they are secret.
    pub(crate) fn secrets_of_the_environment() -> impl Iterator<Item = String> {
        std::env::vars_os().filter_map(|(name, value)| {
            let name = name.to_string_lossy().to_lowercase();
            let is_secret =
                is_secret_name(&name) || name.contains("token") || name.ends_with("key");
            is_secret.then(|| value.to_string_lossy().into_owned())
        })
    }

    /// A text without secrets.
    pub(crate) fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for known in &self.known {
            text = text.replace(known.as_str(), REDACTED);
        }
        for form in &self.forms {
            let without = form.replace_all(&text, |found: &Captures<'_>| {
                format!("{}{REDACTED}", &found[1])
            });
            text = without.into_owned();
        }
        text
    }

    /// Lines of text; those that are JSON as such.
    pub(crate) fn lines(&self, text: &str) -> String {
        let text = self.text(text);
        let lines = text
            .lines()
            .map(|line| match serde_json::from_str::<Value>(line) {
                Ok(document @ Value::Object(_)) => self.document(&document).to_string() + "\n",
                _ => format!("{line}\n"),
            });
        lines.collect()
    }

    /// A document without secrets.
    pub(crate) fn document(&self, document: &Value) -> Value {
        match document {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.document(item)).collect(),
            Value::Object(members) => {
                let members = members
                    .iter()
                    .map(|(name, value)| (self.text(name), self.member(name, value)));
                Value::Object(members.collect())
            }
            other => other.clone(),
        }
    }

    fn member(&self, name: &str, value: &Value) -> Value {
        let name = name.to_lowercase();
        if is_secret_name(&name) || is_secret_token(&name, value) {
            return Value::String(REDACTED.to_owned());
        }
        match value {
            Value::Object(members) if ENVIRONMENTS.contains(&name.as_str()) => {
                let hide = |(name, _): (&String, &Value)| {
                    (self.text(name), Value::String(REDACTED.to_owned()))
                };
                Value::Object(members.iter().map(hide).collect::<Map<_, _>>())
            }
            other => self.document(other),
        }
    }
}

fn is_secret_name(lowercase: &str) -> bool {
    SECRET_NAMES.iter().any(|part| lowercase.contains(part))
}

/// The member `token` may also be the id of one, which is no secret.
fn is_secret_token(lowercase: &str, value: &Value) -> bool {
    lowercase == "token" && value.as_str().is_some_and(|text| !text.contains("token_"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A secret that no form knows by itself.
    const CANARY: &str = "Canary0Value1Of2A3Secret";

    #[test]
    fn every_form_of_a_secret_is_taken_out_and_the_rest_stays() {
        let redaction = Redaction::new(["known-value\n".to_owned(), "short".to_owned()]);
        for before in [
            "swu1_",
            "swt1_",
            "swn1_",
            "sws1_",
            "skj1_",
            "Authorization: Basic ",
            "authorization=Bearer ",
            r#"{"authorization": ""#,
            r#"\"Authorization\": \"Bearer "#,
            "bearer ",
            "Bearer  ",
            "GITHUB_TOKEN=",
            "db_password=",
            "DB_PASSWD='",
            "aws_secret_access_key=\"",
            "https://user:",
            "-----BEGIN PRIVATE KEY-----\n",
            "-----BEGIN EC PRIVATE KEY-----\nx\n",
        ] {
            let end = if before.starts_with("https") {
                "@host/"
            } else {
                ""
            };
            let text = format!("said {before}{CANARY}{end}");
            let shown = redaction.text(&text);
            assert!(!shown.contains(CANARY), "{text:?} gave {shown:?}");
            assert!(
                shown.contains(REDACTED) && shown.starts_with("said "),
                "{shown:?}"
            );
        }
        assert_eq!(
            redaction.text("a known-value, short"),
            "a [redacted], short"
        );
        for harmless in [
            "token_01KB0000000000000000000000 was made",
            "the node token was accepted",
            "http://127.0.0.1:8600/api",
            "basic isolation s1",
        ] {
            assert_eq!(redaction.text(harmless), harmless);
        }
    }

    #[test]
    fn members_that_hold_secrets_and_values_of_environments_go() {
        let redaction = Redaction::new([]);
        let document = json!({
            "env": {"HOME": CANARY},
            "nested": [{"Environment": {"A": CANARY}, "client_secret": CANARY}],
            "token": CANARY,
            "headers": {"Set-Cookie": CANARY},
            "text": format!("swu1_{CANARY}"),
            "id": {"token": "token_1"},
        });
        let shown = redaction.document(&document);
        assert!(!shown.to_string().contains(CANARY), "{shown}");
        assert_eq!(shown["env"]["HOME"], REDACTED);
        assert_eq!(shown["id"]["token"], "token_1");
        let lines = format!("plain\n{document}\n");
        let shown = redaction.lines(&lines);
        assert!(
            shown.starts_with("plain\n{") && !shown.contains(CANARY),
            "{shown}"
        );
    }
}
