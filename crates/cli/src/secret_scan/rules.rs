//! What secrets look like. Forms that are somebody's own are known by their beginning and length;
//! anything else must be named as a secret and look random.

use super::{Severity, expression};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use regex::Regex;

/// Bits for each character of a text that looks random. Words have less.
const ENTROPY_BITS_MIN: f64 = 3.5;
/// The same for tokens of a known form, where only fillings are to be left out.
const TOKEN_ENTROPY_BITS_MIN: f64 = 2.5;
/// Characters of a match that are shown, if it is long enough.
const SHOWN_CHARS: usize = 4;
/// The least length of a match of which any is shown.
const SHOWN_FROM: usize = 16;
/// Parts of texts that stand for a secret and are none.
const PLACEHOLDERS: [&str; 12] = [
    "example",
    "changeme",
    "placeholder",
    "xxxx",
    "your",
    "dummy",
    "sample",
    "redacted",
    "${",
    "{{",
    "<",
    "****",
];

/// A place that looks like a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) rule: &'static str,
    pub(super) severity: Severity,
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) excerpt: String,
}

/// One form of secrets. What is secret is the group 1 of the expression, or all of it.
#[derive(Debug)]
struct Rule {
    name: &'static str,
    severity: Severity,
    form: Regex,
    check: fn(&str) -> bool,
}

/// All forms.
#[derive(Debug)]
pub(super) struct Rules(Vec<Rule>);

/// Names, how grave, what it looks like, and what more must be true.
type Form = (&'static str, Severity, &'static str, fn(&str) -> bool);

const FORMS: [Form; 15] = [
    (
        "private-key",
        Severity::High,
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----\r?\n[A-Za-z0-9+/=]{20}",
        |_| true,
    ),
    (
        "aws-access-key-id",
        Severity::High,
        r"\b((?:AKIA|ASIA)[A-Z2-7]{16})\b",
        is_token,
    ),
    (
        "github-token",
        Severity::High,
        r"\b(gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{60,255})\b",
        is_token,
    ),
    (
        "gitlab-token",
        Severity::High,
        r"\b(glpat-[A-Za-z0-9_-]{20,64})\b",
        is_token,
    ),
    (
        "anthropic-key",
        Severity::High,
        r"\b(sk-ant-[A-Za-z0-9_-]{32,255})\b",
        is_token,
    ),
    (
        "openai-key",
        Severity::High,
        r"\b(sk-(?:proj-|svcacct-)?[A-Za-z0-9]{32,255})\b",
        is_token,
    ),
    (
        "google-api-key",
        Severity::High,
        r"\b(AIza[A-Za-z0-9_-]{35})\b",
        is_token,
    ),
    (
        "slack-token",
        Severity::High,
        r"\b(xox[abeoprs]-[A-Za-z0-9-]{20,255})\b",
        is_token,
    ),
    (
        "stripe-key",
        Severity::High,
        r"\b([rs]k_live_[A-Za-z0-9]{20,255})\b",
        is_token,
    ),
    (
        "npm-token",
        Severity::High,
        r"\b(npm_[A-Za-z0-9]{36})\b",
        is_token,
    ),
    (
        "pypi-token",
        Severity::High,
        r"\b(pypi-AgE[A-Za-z0-9_-]{50,255})\b",
        is_token,
    ),
    (
        "skep-token",
        Severity::High,
        r"\b(sw[a-z]1_[0-9a-f]{64})\b",
        is_token,
    ),
    (
        "json-web-token",
        Severity::Medium,
        r"\b(eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{16,})",
        is_signed_token,
    ),
    (
        "password-in-url",
        Severity::Medium,
        r#"\b[a-z][a-z0-9+.-]{1,20}://[^/\s:@'"`]{1,64}:([^/\s:@'"`]{4,128})@[A-Za-z0-9\[]"#,
        |text| !is_placeholder(text) && text != "password",
    ),
    (
        "assigned-secret",
        Severity::Medium,
        r#"(?i)[a-z0-9_.-]*(?:secret|passwo?r?d|token|api_?key|access_?key)["']?\s*(?:=|:|=>)\s*["']([^"'\s]{16,200})["']"#,
        |text| is_random(text),
    ),
];

impl Rules {
    pub(super) fn new() -> Self {
        let rule = |(name, severity, form, check): Form| Rule {
            name,
            severity,
            form: expression(form),
            check,
        };
        Self(FORMS.into_iter().map(rule).collect())
    }

    /// What looks like a secret, each place once, by the first form that fits.
    pub(super) fn find(&self, text: &str) -> Vec<Found> {
        let mut taken: Vec<std::ops::Range<usize>> = Vec::new();
        let mut found = Vec::new();
        for rule in &self.0 {
            for captures in rule.form.captures_iter(text) {
                let Some(secret) = captures.get(1).or_else(|| captures.get(0)) else {
                    continue;
                };
                let range = secret.range();
                let is_taken = |other: &std::ops::Range<usize>| {
                    other.start < range.end && range.start < other.end
                };
                if taken.iter().any(is_taken) || !(rule.check)(secret.as_str()) {
                    continue;
                }
                taken.push(range.clone());
                found.push(Found {
                    rule: rule.name,
                    severity: rule.severity,
                    line: text[..range.start].matches('\n').count() + 1,
                    excerpt: excerpt(rule.name, secret.as_str()),
                });
            }
        }
        found.sort_by_key(|found| found.line);
        found
    }
}

/// Enough to find it again, and not enough to use it.
fn excerpt(rule: &str, secret: &str) -> String {
    let length = secret.chars().count();
    if rule == "private-key" {
        return secret.lines().next().unwrap_or_default().to_owned();
    }
    let shown = if length >= SHOWN_FROM { SHOWN_CHARS } else { 0 };
    let beginning: String = secret.chars().take(shown).collect();
    format!("{beginning}... ({length} characters)")
}

fn is_token(text: &str) -> bool {
    !is_placeholder(text) && entropy_bits(text) >= TOKEN_ENTROPY_BITS_MIN
}

fn is_random(text: &str) -> bool {
    let has = |kind: fn(&char) -> bool| text.chars().any(|letter| kind(&letter));
    has(char::is_ascii_digit)
        && has(char::is_ascii_alphabetic)
        && !is_placeholder(text)
        && entropy_bits(text) >= ENTROPY_BITS_MIN
}

fn is_placeholder(text: &str) -> bool {
    let small = text.to_lowercase();
    small.starts_with('$') || PLACEHOLDERS.iter().any(|part| small.contains(part))
}

/// Whether its first part says by what algorithm it is signed.
fn is_signed_token(text: &str) -> bool {
    let head = text.split('.').next().unwrap_or_default();
    let head = BASE64_URL_SAFE_NO_PAD.decode(head).ok();
    let head = head.and_then(|head| serde_json::from_slice::<serde_json::Value>(&head).ok());
    head.is_some_and(|head| head["alg"].is_string())
}

/// How much each character says that the others do not (Shannon), in bits.
fn entropy_bits(text: &str) -> f64 {
    let mut counts = std::collections::BTreeMap::new();
    for letter in text.chars() {
        *counts.entry(letter).or_insert(0_u32) += 1;
    }
    let length = text.chars().count() as f64;
    let bits = |count: &u32| {
        let share = f64::from(*count) / length;
        -share * share.log2()
    };
    counts.values().map(bits).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In two parts, so that this file holds no secret itself.
    fn joined(parts: [&str; 2]) -> String {
        parts.concat()
    }

    fn names(text: &str) -> Vec<&'static str> {
        let found = Rules::new().find(text);
        found.iter().map(|found| found.rule).collect()
    }

    #[test]
    fn each_form_is_known() {
        let random = "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY1zA2";
        let hex = "0123456789abcdef".repeat(4);
        let jwt = ["eyJhbGciOiJIUzI1NiJ9", ".eyJzdWIiOiIxMjM0NTY3ODkwIn0."];
        for (text, rule) in [
            (joined(["AKIA", "Q7ZL2WX5KD3MN6PR"]), "aws-access-key-id"),
            (joined(["ghp_", random]), "github-token"),
            (joined(["glpat-", &random[..20]]), "gitlab-token"),
            (joined(["sk-ant-", random]), "anthropic-key"),
            (joined(["sk-", random]), "openai-key"),
            (joined(["AIza", &random[..35]]), "google-api-key"),
            (joined(["xoxb-", random]), "slack-token"),
            (joined(["sk_live_", random]), "stripe-key"),
            (joined(["npm_", random]), "npm-token"),
            (joined(["pypi-AgE", &random.repeat(2)]), "pypi-token"),
            (joined(["swu1_", &hex]), "skep-token"),
            (format!("{}{random}", joined(jwt)), "json-web-token"),
            (
                joined(["postgres://ann:", "h0rse-staple@db.internal/x"]),
                "password-in-url",
            ),
            (
                joined(["api_key = \"", &format!("{}\"", &random[..24])]),
                "assigned-secret",
            ),
            (
                joined([
                    "-----BEGIN RSA PRIVATE ",
                    "KEY-----\nMIIEpAIBAAKCAQEA0123456789\n",
                ]),
                "private-key",
            ),
        ] {
            assert_eq!(names(&format!("before\n{text}\nbehind")), [rule], "{text}");
        }
        assert_eq!(FORMS.len(), 15);
    }

    #[test]
    fn what_only_looks_like_a_secret_is_left_alone() {
        for text in [
            "password = \"correct horse battery\"",
            "password = \"changeme-changeme-1\"",
            "token: \"${{ secrets.TOKEN }}\"",
            "secret = \"aaaaaaaaaaaaaaaaaaaa1\"",
            "https://user:password@example.com/",
            "https://ann:${PASSWORD}@host/",
            "AKIAIOSFODNN7EXAMPLE",
            "eyJub3QiOiJhIHRva2VuIn0x.eyJzdWIiOiIxMjM0NTY3ODkwIn0.aaaaaaaaaaaaaaaaaaaa",
            "-----BEGIN PRIVATE KEY-----\n<your key here>",
            "sha256: \"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"",
        ] {
            assert_eq!(names(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn an_excerpt_is_of_no_use() {
        let key = joined(["AKIA", "Q7ZL2WX5KD3MN6PR"]);
        let found = Rules::new().find(&format!("\n\nkey {key}"));
        assert_eq!(
            (found[0].line, found[0].excerpt.as_str()),
            (3, "AKIA... (20 characters)")
        );
        assert_eq!(excerpt("password-in-url", "short"), "... (5 characters)");
    }
}
